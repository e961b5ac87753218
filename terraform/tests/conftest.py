"""A local API and an installation on it per module of tests."""

from __future__ import annotations

import os
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from local_aws import REGION, LocalAws
from terraform import Terraform, copy_configuration

# What every test gives: whom to let in, and who is told.
GIVEN = {"admin_cidrs": ["203.0.113.7/32"], "alerts": {"email": "ops@example.org"}}


class Api:
    """AWS's SDK, turned to the local API."""

    def __init__(self, aws: LocalAws):
        self.aws = aws

    def __call__(self, service: str):
        return boto3.client(
            service,
            endpoint_url=self.aws.endpoint,
            region_name=REGION,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
            config=Config(retries={"max_attempts": 1}, s3={"addressing_style": "path"}, proxies={}),
        )


@pytest.fixture(scope="module", autouse=True)
def no_settings_of_the_caller():
    """Profiles and keys that lie around must not change what tests do."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        yield


@pytest.fixture(scope="module")
def aws():
    with LocalAws() as aws:
        yield aws


@pytest.fixture(scope="module")
def api(aws) -> Api:
    return Api(aws)


@pytest.fixture(scope="module")
def directory(tmp_path_factory) -> Path:
    return copy_configuration(tmp_path_factory.mktemp("installation"))


@pytest.fixture(scope="module")
def installation(request, aws, directory) -> Terraform:
    """What the module's VARIABLES say, with what its `prepare` makes beforehand."""
    if hasattr(request.module, "prepare"):
        request.module.prepare(request.getfixturevalue("api"))
    return Terraform(directory, aws.endpoint, GIVEN | request.module.VARIABLES)
