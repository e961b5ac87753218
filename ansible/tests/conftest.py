"""Hosts in containers, what they install from, and playbooks: per module of tests."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hosts import BOOKWORM, Hosts, free_subnet
from inventories import inventory
from mirror import Mirror
from playbooks import ROOT, Playbooks

TARGET = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target") / "ansible"
_numbers = itertools.count(1)


@pytest.hookimpl(trylast=True)
def pytest_runtest_logreport(report):
    """Tells a failure when it happens: a whole run takes more than an hour, and may be ended before its summary. And what a test measured."""
    if report.failed:
        print(f"\n{report.longreprtext}", flush=True)
    if report.when == "call":
        for name, value in report.user_properties:
            print(f"\n    {name}: {value}", end="", flush=True)


def pytest_collection_modifyitems(items):
    for item in items:
        if "installations" in item.fixturenames and not any(map(item.get_closest_marker, ("single", "full"))):
            item.add_marker("role")


class Installation:
    """Hosts, their mirror, and the playbooks for them. Everything is gone when it is left."""

    def __init__(self, inventory_of: dict, directory: Path, files: list[Path], prefix: str, image: str = BOOKWORM, **variables):
        self.hosts = Hosts(inventory_of, prefix, image)
        self.directory, self.files, self.variables = directory, files, variables

    def __enter__(self) -> Installation:
        self.hosts.make_network()
        try:
            self.mirror = Mirror(self.hosts.gateway, *self.files)
            self.mirror.__enter__()
            self.hosts.apt_proxy = self.mirror.url
            self.hosts.up()
        except BaseException:
            self.hosts.down()
            raise
        found = [directory / "artifacts.yml" for directory in self.files]
        known = next((yaml.safe_load(path.read_text()) for path in found if path.exists()), {})
        inventory_file = self.hosts.write_inventory(self.directory / "inventory.yml")
        given = {"millstream_mirror": self.mirror.url, **known, **self.variables}
        self.playbooks = Playbooks(inventory_file, self.directory, **given)
        return self

    def __exit__(self, *_: object) -> None:
        self.hosts.down()
        self.mirror.__exit__()

    def play(self, playbook: str, *options: str, **variables):
        return self.playbooks.run(playbook, *options, **variables)


@pytest.fixture(scope="session")
def artifacts() -> Path:
    """The directory of scripts/artifacts."""
    directory = TARGET / "artifacts"
    subprocess.run([ROOT / "scripts/artifacts", directory], check=True, stdout=sys.stderr)
    return directory


@pytest.fixture(scope="session")
def secured_artifacts() -> Path:
    """With an OpenSearch that has its security plugin."""
    directory = TARGET / "artifacts-secured"
    subprocess.run([ROOT / "scripts/artifacts", "--secured", directory], check=True, stdout=sys.stderr)
    return directory


@pytest.fixture(scope="session")
def package() -> Path:
    """The directory with Millstream's package, of the programs that tests are run with."""
    directory = Path(os.environ.get("MILLSTREAM_PACKAGE") or TARGET / "package")
    if "MILLSTREAM_PACKAGE" not in os.environ:
        programs = TARGET.parent / "debug"
        subprocess.run([ROOT / "scripts/package", "--binaries", programs, "--fast", "--output", directory], check=True, stdout=sys.stderr)
    return directory


@pytest.fixture(scope="module")
def installations(tmp_path_factory):
    """Makes an Installation of kinds of hosts (inventories.SINGLE, .CLUSTER, a part of them, or an inventory)."""
    made = []

    def make(kinds: dict, *files: Path, image: str = BOOKWORM, variables: dict | None = None, **told) -> Installation:
        prefix = f"ms-{os.getpid()}-{next(_numbers)}"
        given = kinds if "all" in kinds else inventory(kinds, free_subnet(), prefix, **told)
        installation = Installation(given, tmp_path_factory.mktemp(prefix), list(files), prefix, image, **(variables or {}))
        made.append(installation)
        return installation.__enter__()

    yield make
    for installation in reversed(made):
        installation.__exit__()
