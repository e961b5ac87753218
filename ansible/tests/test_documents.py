"""What the documents tell people to type exists: playbooks, variables, files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

ANSIBLE = Path(__file__).parents[1]
DOCUMENTS = [*ANSIBLE.parent.glob("docs/*.md"), *ANSIBLE.glob("roles/*/README.md"), *ANSIBLE.glob("*.md")]
PLAYBOOKS = {path.name: path.read_text() for path in ANSIBLE.glob("*.yml") if path.read_text().startswith("---\n") and "\n- name: " in path.read_text()}
TYPED = re.compile(r"ansible-playbook (?:-i \S+ )?([a-z-]+\.yml)([^`\n|]*)")


def variables_known() -> set[str]:
    """Options of roles, of all of them, and those that a playbook asks for itself."""
    known: set[str] = set()
    for path in ANSIBLE.glob("roles/*/meta/argument_specs.yml"):
        for entry in yaml.safe_load(path.read_text())["argument_specs"].values():
            known |= set(entry.get("options", {}))
    for path in ANSIBLE.glob("group_vars/all/*.yml"):
        known |= set(yaml.safe_load(path.read_text()) or {})
    return known


def typed() -> list[tuple[str, str, str]]:
    found = [(path, match) for path in DOCUMENTS for match in TYPED.finditer(path.read_text())]
    return [(path.name, match[1], match[2]) for path, match in found]


def test_commands_were_found():
    assert len(typed()) >= 15
    assert {"site.yml", "check.yml", "backup.yml"} <= set(PLAYBOOKS)


@pytest.mark.parametrize(("document", "playbook", "options"), typed(), ids=lambda value: value if value.endswith(".yml") else None)
def test_a_command_names_what_there_is(document, playbook, options):
    assert playbook in PLAYBOOKS, f"{document}: there is no {playbook}"
    for name in re.findall(r"-e ([a-z0-9_]+)=", options):
        assert name in variables_known() or re.search(rf"\b{name}\b", PLAYBOOKS[playbook]), f"{document}: {playbook} knows no {name}"


def test_each_playbook_is_told_of():
    told = (ANSIBLE.parent / "docs/deploy-servers.md").read_text()
    assert [name for name in PLAYBOOKS if name not in told and name != "preflight.yml"] == []
