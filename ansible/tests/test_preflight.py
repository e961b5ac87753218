"""What can't work is refused before any host is touched, and the message says what to do."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from inventories import SINGLE
from playbooks import ANSIBLE, Playbooks

HOST = "millstream-1"
# A site.yml that isn't refused would go on for minutes.
PATIENCE = 150


@pytest.fixture(scope="module")
def installation(installations, artifacts, tmp_path_factory):
    package = tmp_path_factory.mktemp("package") / "millstream_0_amd64.deb"
    package.write_bytes(b"never installed")
    return installations(SINGLE, artifacts, variables={"worker_package": str(package)})


def refusal(installation, playbooks: Playbooks | None = None, **variables) -> str:
    """What site.yml says, in one line, when it refuses; nothing is different afterwards."""
    host, playbooks = installation.hosts[HOST], playbooks or installation.playbooks
    before = host.changes()
    played = playbooks.run("site.yml", ok=False, patience=PATIENCE, **variables)
    assert host.changes() == before, f"the host was touched: {host.changes() ^ before}"
    assert not (playbooks.secrets / "pki").exists(), "certificates were made"
    assert played.changed == {}
    return " ".join(played.output.split())


@dataclass
class Case:
    name: str
    variables: dict  # of the host, in the inventory; None takes one away
    says: tuple[str, str]  # what is wrong, what to do
    groups: tuple[str, ...] = ()  # that the host is in besides


BAD_INVENTORIES = [
    Case("no address", {"private_ip": None}, ("private_ip is missing", "give in the inventory the address")),
    Case("not an address", {"private_ip": "10.0.0.256"}, ("private_ip is '10.0.0.256'", "give an IPv4 address")),
    Case("another's address", {"private_ip": "192.0.2.7"}, ("private_ip 192.0.2.7 is none of its addresses", "correct it in the inventory")),
    Case("a group misspelled", {}, ("it is in group kafak, which no playbook knows", "is kafka meant?"), ("kafak",)),
    Case("an address as a name", {"domain": "https://example.org"}, ("domain is 'https://example.org'", "give a name as millstream.example.org")),
]


@pytest.mark.parametrize("case", BAD_INVENTORIES, ids=lambda case: case.name)
def test_a_bad_inventory(installation, tmp_path, case):
    inventory = copy.deepcopy(yaml.safe_load(Path(installation.playbooks.inventory).read_text()))
    variables = inventory["all"]["hosts"][HOST]
    variables.update(case.variables)
    for name in [name for name, value in variables.items() if value is None]:
        del variables[name]
    for group in case.groups:
        inventory["all"]["children"][group] = {"hosts": {HOST: {}}}
    (tmp_path / "inventory.yml").write_text(yaml.safe_dump(inventory))
    said = refusal(installation, Playbooks(tmp_path / "inventory.yml", tmp_path, **installation.playbooks.variables))
    for text in case.says:
        assert text in said, said[-3000:]


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"kafka_version": "9.9.9"}, ("No sha512 of kafka 9.9.9", "Run `scripts/artifacts --pin`")),
        ({"worker_package": ""}, ("worker_package", "scripts/package")),
        ({"kafka_heap_mb": "plenty"}, ("kafka_heap_mb", "int")),
        ({"worker_apps": "wordcount"}, ("a list is expected", "worker_apps: [wordcount]")),
    ],
    ids=["no checksum", "no package", "a word for a number", "a word for a list"],
)
def test_a_missing_or_wrong_variable(installation, variables, says):
    said = refusal(installation, **variables)
    for text in says:
        assert text in said, said[-3000:]


@pytest.mark.parametrize("port", [9092, 9042, 3306, 9200, 443])
def test_a_busy_port(installation, port):
    host = installation.hosts[HOST]
    host.shell(f"systemd-run --quiet --unit busy python3 -m http.server {port}; for i in $(seq 50); do ss -Hltn sport = :{port} | grep -q . && break; sleep 0.1; done")
    try:
        said = refusal(installation)
    finally:
        host.shell("systemctl stop busy; systemctl reset-failed busy 2> /dev/null || true")
    assert str(port) in said and "stop it" in said, said[-3000:]


def test_a_full_disk(installation):
    host = installation.hosts[HOST]
    installation.hosts.replace(host, "--tmpfs", "/opt:size=64m")
    try:
        said = refusal(installation)
    finally:
        installation.hosts.replace(host)
    assert "MB are free for /opt/millstream" in said and "make room, or give it a larger disk" in said, said[-3000:]


def test_a_tampered_tarball_is_not_unpacked(installation, tmp_path):
    """The mirror's file can only be found bad when it has come; then it is gone again, and nothing was made of it."""
    host, name = installation.hosts[HOST], installation.playbooks.variables["artifacts"]["kafka"]["4.3.1"]["file"]
    playbook = tmp_path / "unpack.yml"
    playbook.write_text(
        "- hosts: kafka\n  become: true\n  tasks:\n    - ansible.builtin.include_role: {name: artifact}\n"
        "      vars: {artifact_name: kafka, artifact_version: 4.3.1}\n"
    )
    installation.mirror.tampered.add(name)
    try:
        played = installation.play(str(playbook), ok=False)
    finally:
        installation.mirror.tampered.clear()
    assert "The checksum for" in played.output and installation.playbooks.variables["artifacts"]["kafka"]["4.3.1"]["sha512"] in played.output
    assert host.shell("find /opt/millstream -type f -o -type l") == ""


@pytest.mark.parametrize("role", ["common", *SINGLE["millstream"][1]])
def test_a_role_looks_at_all_its_options_beforehand(role):
    """Ansible checks types where a role begins: they have to be known to its preflight, too."""
    specs = yaml.safe_load((ANSIBLE / f"roles/{role}/meta/argument_specs.yml").read_text())["argument_specs"]
    assert specs["preflight"].get("options") == specs["main"].get("options")
