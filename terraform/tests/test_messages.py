"""What people are told who give wrong variables, or run the tests at the wrong place: each message says what to do."""

from __future__ import annotations

import os
import signal
import subprocess
import time

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


def test_ended_early_it_leaves_no_process_behind(tmp_path):
    """Both lanes hang in tools of ours, which say who they are."""
    for tool, lets_pass in (("terraform", "version"), ("python3", "-c")):
        script = tmp_path / tool
        script.write_text(
            f"#!/bin/sh\n[ \"$1\" = {lets_pass} ] && echo '{{\"terraform_version\": \"1.11.4\"}}' && exit 0\n"
            f"echo $$ >> {tmp_path}/pids\nsleep 300\n"
        )
        script.chmod(0o755)
    run = subprocess.Popen(
        [ROOT / "scripts" / "infra-test"],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(tmp_path), "CARGO_TARGET_DIR": str(tmp_path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    pids = tmp_path / "pids"
    within(30, lambda: pids.exists() and len(pids.read_text().split()) == 2)
    run.send_signal(signal.SIGTERM)
    assert run.wait(timeout=30) == 143
    within(10, lambda: not any(is_alive(int(pid)) for pid in pids.read_text().split()))


def within(seconds: float, holds) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.05)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
