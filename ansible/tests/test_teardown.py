"""What site.yml puts on a host, teardown.yml takes off it: for each role, on the hosts of the same groups."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

ANSIBLE = Path(__file__).parents[1]
ROLES = sorted(path.parents[1].name for path in ANSIBLE.glob("roles/*/tasks/teardown.yml"))


def plays(playbook: str) -> list[dict]:
    return yaml.safe_load((ANSIBLE / playbook).read_text())


def put_on() -> dict[str, set[str]]:
    """For each role the groups that get it. Groups made during a play (kafka_running) are of the group they are named after."""
    found: dict[str, set[str]] = {}
    for step in plays("site.yml"):
        for play in plays(step["import_playbook"]):
            for role in play.get("roles", []):
                groups = play["hosts"].split(":")
                found.setdefault(role, set()).update(re.sub(rf"^{role}_\w+$", role, group) for group in groups)
    return found


def taken_off() -> dict[str, set[str]]:
    """For each role the groups whose hosts lose it; all, where nothing is asked."""
    tasks = [task for play in plays("teardown.yml") for task in play["tasks"] if "ansible.builtin.include_role" in task]
    return {task["ansible.builtin.include_role"]["name"]: set(re.findall(r"'(\w+)'", task.get("when", "'all'"))) for task in tasks}


def test_roles_were_found():
    assert put_on()["worker"] == {"worker", "edge"}
    assert put_on()["kafka"] == {"kafka"}
    assert "nginx" in ROLES


@pytest.mark.parametrize("role", sorted(put_on()))
def test_a_role_is_taken_off_each_host_that_has_it(role):
    on, off = put_on()[role], taken_off().get(role, set())
    assert off in (on, {"all"}), f"{role} is put on hosts of {sorted(on)} and taken off those of {sorted(off)}"


def test_what_a_role_knows_to_take_off_is_taken_off():
    """By teardown.yml, or by the teardown of a role that brings it along."""
    texts = [(ANSIBLE / "teardown.yml").read_text(), *(path.read_text() for path in ANSIBLE.glob("roles/*/tasks/teardown.yml"))]
    assert [role for role in ROLES if not any(f"name: {role}, tasks_from: teardown" in text for text in texts)] == []
