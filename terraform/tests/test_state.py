"""State in a bucket, as backend.hcl.example says: made by bootstrap/, written by Terraform, locked by S3 itself."""

from __future__ import annotations

import shutil

import pytest
import rules
from botocore.exceptions import ClientError
from local_aws import ACCOUNT
from terraform import ROOT, Terraform

BUCKET = f"millstream-state-{ACCOUNT}"


@pytest.fixture(scope="module")
def bucket(aws, tmp_path_factory):
    directory = tmp_path_factory.mktemp("state") / "bootstrap"
    own = shutil.ignore_patterns(".terraform*", "*.tfstate*")
    shutil.copytree(ROOT / "terraform" / "bootstrap", directory, ignore=own)
    bootstrap = Terraform(directory, aws.endpoint, {})
    plan = bootstrap.plan()
    assert rules.open_buckets(plan) == []
    bootstrap.apply_plan()
    assert bootstrap.outputs() == {"bucket": BUCKET}
    return bootstrap


def test_the_example_puts_state_there_and_locks_it(bucket, aws, api, tmp_path):
    """Something small in place of the whole configuration, which has the same backend."""
    example = (ROOT / "terraform" / "backend.hcl.example").read_text()
    (tmp_path / "state").mkdir()
    directory = tmp_path / "state" / "configuration"
    directory.mkdir()
    (directory / "backend.hcl").write_text(example.replace("123456789012", ACCOUNT))
    (directory / "main.tf").write_text(
        'terraform {\n  backend "s3" {}\n}\n\n'
        'resource "terraform_data" "held" {\n'
        # While it is applied the lock is there, and another apply is refused.
        '  provisioner "local-exec" {\n'
        '    command = "terraform plan -no-color > while-held 2>&1; true"\n  }\n}\n'
    )
    installation = Terraform(directory, aws.endpoint, {}, "-backend-config=backend.hcl")
    installation.apply()
    assert "Error acquiring the state lock" in (directory / "while-held").read_text()
    assert not (directory / "terraform.tfstate").exists()
    key = "millstream/terraform.tfstate"
    assert b"terraform_data" in api("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read()
    with pytest.raises(ClientError):
        api("s3").head_object(Bucket=BUCKET, Key=f"{key}.tflock")


def test_the_bucket_isnt_destroyed_by_mistake(bucket):
    assert "prevent_destroy" in bucket.destroy(ok=(1,))
