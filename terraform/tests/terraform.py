"""Runs Terraform on a copy of the configuration, against the local API and nothing else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[2]
# A step that takes longer hangs: the longest, an apply of the cluster, takes two minutes on a busy machine.
PATIENCE = 420


def is_loopback(endpoint: str) -> bool:
    return urlsplit(endpoint).hostname in ("127.0.0.1", "::1", "localhost")


def environment(endpoint: str, data: Path) -> dict[str, str]:
    """All that Terraform gets to know: nothing of the caller's AWS settings, so that no test can reach the real one."""
    if not is_loopback(endpoint):
        raise ValueError(f"{endpoint} is not on this machine; tests go to a loopback address only")
    kept = {key: os.environ[key] for key in ("PATH", "TF_CLI_CONFIG_FILE", "TMPDIR") if key in os.environ}
    return kept | {
        "HOME": str(data),
        "TF_DATA_DIR": str(data / "terraform-data"),
        "TF_IN_AUTOMATION": "1",
        "CHECKPOINT_DISABLE": "1",
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_REGION": "eu-central-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "NO_PROXY": "*",
    }


def copy_configuration(to: Path) -> Path:
    """Without what a user may have beside it: state, variables, a backend."""
    own = shutil.ignore_patterns(
        ".terraform*", "*.tfstate*", "*.tfvars", "backend.tf", "backend.hcl", "tests", "__pycache__"
    )
    shutil.copytree(ROOT / "terraform", to / "terraform", ignore=own)
    for queries in (ROOT / "apps").glob("*/queries"):
        shutil.copytree(queries, to / "apps" / queries.parent.name / "queries")
    return to / "terraform"


class Terraform:
    """One installation: a directory with its configuration and its state."""

    def __init__(self, directory: Path, endpoint: str, variables: dict, *init: str):
        self.directory = directory
        self.env = environment(endpoint, directory.parent)
        self.variables = variables
        self.run("init", "-input=false", *init)

    def run(self, *arguments: str, ok: tuple[int, ...] = (0,)) -> subprocess.CompletedProcess:
        begun = time.monotonic()
        done = subprocess.run(
            ["terraform", *arguments, "-no-color"],
            cwd=self.directory,
            env=self.env,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=PATIENCE,
        )
        print(f"terraform {' '.join(arguments)[:80]}: {done.returncode}, {time.monotonic() - begun:.0f} s")
        assert done.returncode in ok, f"terraform {arguments} ended with {done.returncode}:\n{done.stdout[-6000:]}"
        return done

    def plan(self, **changes) -> dict:
        """The plan as JSON, with `has_changes`; what is applied by `apply_plan`."""
        done = self.run("plan", "-detailed-exitcode", "-out=plan", *self._variables(changes), ok=(0, 2))
        plan = self.show("plan")
        plan["has_changes"] = done.returncode == 2
        plan["text"] = done.stdout
        return plan

    def show(self, *what: str) -> dict:
        done = subprocess.run(
            ["terraform", "show", "-json", *what],
            cwd=self.directory,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=True,
        )
        return json.loads(done.stdout)

    def apply_plan(self) -> None:
        self.run("apply", "-auto-approve", "-input=false", "plan")

    def apply(self, **changes) -> None:
        self.run("apply", "-auto-approve", "-input=false", *self._variables(changes))

    def destroy(self, ok: tuple[int, ...] = (0,), **changes) -> str:
        return self.run("destroy", "-auto-approve", "-input=false", *self._variables(changes), ok=ok).stdout

    def outputs(self) -> dict:
        done = subprocess.run(
            ["terraform", "output", "-json"],
            cwd=self.directory,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=True,
        )
        return {name: output["value"] for name, output in json.loads(done.stdout).items()}

    def resources(self) -> list[str]:
        """What the state still has, but for data sources."""
        listed = self.run("state", "list").stdout.split()
        return [address for address in listed if ".data." not in f".{address}"]

    def _variables(self, changes: dict) -> list[str]:
        values = {**self.variables, **changes}
        return [f"-var={name}={v if isinstance(v, str) else json.dumps(v)}" for name, v in values.items()]


def changes(plan: dict) -> dict[str, list[str]]:
    """What a plan does: create, update, delete (a replacement is both), each with the addresses."""
    does: dict[str, list[str]] = {"create": [], "update": [], "delete": []}
    for change in plan.get("resource_changes", []):
        for action in change["change"]["actions"]:
            if action in does and change["mode"] == "managed":
                does[action].append(change["address"])
    return {action: sorted(addresses) for action, addresses in does.items()}
