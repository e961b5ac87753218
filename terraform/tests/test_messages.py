"""What people are told who give wrong variables, or run the tests at the wrong place: each message says what to do."""

from __future__ import annotations

import os
import subprocess

import pytest
from terraform import ROOT, Terraform

VARIABLES: dict = {}


@pytest.fixture(scope="module")
def bare(aws, directory):
    return Terraform(directory, aws.endpoint, {})


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({}, "Who may log in by ssh: IPv4 ranges"),
        ({"admin_cidrs": []}, "admin_cidrs needs at least one IPv4 range"),
        ({"admin_cidrs": ["me"]}, "admin_cidrs needs at least one IPv4 range"),
        ({"admin_cidrs": ["::/0"]}, "The network has no IPv6"),
        ({"admin_cidrs": ["203.0.113.7/32", "0.0.0.0/0"]}, "may not hold 0.0.0.0/0, nor anything wider than a /8"),
        ({"admin_cidrs": ["128.0.0.0/1"]}, "Name the addresses you log in from"),
        ({"admin_cidrs": ["10.0.0.0/8"], "servers": {"x": {"roles": ["search"]}}}, "a new kind of host needs roles and type"),
        ({"admin_cidrs": ["10.0.0.0/8"], "network": {"mode": "existing"}}, "needs vpc_id and at least one of public_subnet_ids"),
    ],
)
def test_a_bad_variable_is_told_with_what_to_do(bare, variables, told):
    arguments = bare._variables(variables)
    output = bare.run("plan", "-input=false", *arguments, ok=(1,)).stdout
    # Terraform breaks and frames its lines.
    flat = " ".join(output.replace("│", " ").split())
    # Of a variable that is missing it shows where it is declared, which has the description.
    if not variables:
        assert 'No value for required variable' in flat and '"admin_cidrs"' in flat
    else:
        assert told in flat


def infra_test(**env: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [ROOT / "scripts" / "infra-test"],
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **env},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"])
@pytest.mark.parametrize("endpoint", ["https://s3.amazonaws.com", "http://127.0.0.1.example.org:80", "http://10.0.0.7:5000"])
def test_it_refuses_another_machine(name, endpoint):
    done = infra_test(**{name: endpoint})
    assert done.returncode == 2
    assert f"{name} is {endpoint}, which is not this machine" in done.stderr
    assert f"unset {name}" in done.stderr
    assert "passed" not in done.stdout


def test_a_missing_terraform_is_a_failure_with_the_remedy(tmp_path):
    tools = ("bash", "env", "dirname", "mktemp", "rm", "grep", "sed", "sort", "head", "python3", "kill", "cksum", "cat")
    for tool in tools:
        found = next((f"{d}/{tool}" for d in os.environ["PATH"].split(":") if os.access(f"{d}/{tool}", os.X_OK)), None)
        if found:
            (tmp_path / tool).symlink_to(found)
    done = infra_test(PATH=str(tmp_path))
    assert done.returncode == 1
    assert "there is no terraform; install 1.10.0 or newer" in done.stderr
    assert done.stdout.splitlines()[-1] == "0 passed, 1 failed"


def test_an_old_terraform_is_a_failure_with_the_remedy(tmp_path):
    old = tmp_path / "terraform"
    old.write_text("#!/bin/sh\necho '{\"terraform_version\": \"1.5.7\"}'\n")
    old.chmod(0o755)
    done = infra_test(PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert done.returncode == 1
    assert "terraform is 1.5.7, needed is 1.10.0 or newer" in done.stderr
    assert done.stdout.splitlines()[-1] == "0 passed, 1 failed"
