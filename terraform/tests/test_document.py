"""docs/deploy.md as a reader types it: its commands, in its order, from the example's variables to the destroy."""

from __future__ import annotations

import re
import shutil
import subprocess

import yaml
from leftovers import what_is_left
from terraform import PATIENCE, ROOT, environment

DOCUMENT = "docs/deploy.md"


def commands() -> list[str]:
    """What stands in its blocks of `sh`; the commands of millstream are run by the tests of documents."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", (ROOT / DOCUMENT).read_text(), re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    return [line for line in lines if line and not line.startswith("millstream ")]


def run(command: str, where, env: dict) -> str:
    """As in a shell, with `yes` to what is asked."""
    done = subprocess.run(
        command,
        shell=True,
        cwd=where,
        env=env,
        text=True,
        input="yes\n",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout[-6000:]}"
    return done.stdout


def test_its_commands_lead_from_nothing_to_machines_and_back(aws, api, directory):
    # The example of the variables is a reader's, too.
    shutil.copy(ROOT / "terraform/terraform.tfvars.example", directory)
    env = environment(aws.endpoint, directory.parent)
    # A reader's terraform keeps its data beside the configuration.
    del env["TF_DATA_DIR"]
    said = {command: run(command, directory.parent, env) for command in commands()}

    inventory = next(text for command, text in said.items() if "ansible_inventory" in command)
    assert list(yaml.safe_load(inventory)["all"]["hosts"]) == ["millstream-1"], inventory
    last = list(said)[-1]
    assert last.endswith(" destroy") and "Destroy complete!" in said[last], said[last]
    assert what_is_left(api) == []
