"""README.md and the configuration say the same of variables and modules, and every one is described."""

from __future__ import annotations

import re

from terraform import ROOT

README = (ROOT / "terraform" / "README.md").read_text()


def section(title: str) -> str:
    return README.split(f"## {title}\n")[1].split("\n## ")[0]


def test_variables_are_few_and_all_in_the_table():
    text = (ROOT / "terraform" / "variables.tf").read_text()
    blocks = re.findall(r'^variable "(\w+)" \{\n(.*?)^\}', text, re.MULTILINE | re.DOTALL)
    names = [name for name, _ in blocks]
    assert len(names) <= 20
    assert sorted(re.findall(r"^\| `(\w+)` \|", section("Variables"), re.MULTILINE)) == sorted(names)
    for name, block in blocks:
        assert re.search(r"^  type +=", block, re.MULTILINE), name
        assert re.search(r"^  description +=", block, re.MULTILINE), name
        # A switch takes true and false only, as its type says.
        assert "validation {" in block or "= bool" in block, name


def test_modules_are_all_in_the_table_and_alike():
    modules = ROOT / "terraform" / "modules"
    named = re.findall(r"^\| `(\w+)` \|", section("What it makes"), re.MULTILINE)
    there = sorted(path.name for path in modules.iterdir())
    assert sorted(name for name in named if name not in ("single", "cluster")) == there
    for name in there:
        for file in ("main.tf", "variables.tf", "outputs.tf", "versions.tf"):
            assert (modules / name / file).exists(), f"{name}/{file}"
