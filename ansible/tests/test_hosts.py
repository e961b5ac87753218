"""The containers that stand for hosts are as the tests need them: alone, named, filtered, and gone afterwards."""

from __future__ import annotations

import time
from hashlib import sha512
from urllib.request import urlopen

import pytest
from hosts import BOOKWORM, TRIXIE, Hosts, docker, free_subnet, read_inventory, ruleset
from inventories import inventory

KINDS = {"kafka": (2, ["kafka"]), "edge": (1, ["edge", "monitoring"])}
SERVE = "systemd-run --quiet python3 -m http.server {port}"


@pytest.fixture(scope="module")
def installation(installations, tmp_path_factory):
    files = tmp_path_factory.mktemp("served")
    (files / "a.tgz").write_bytes(b"a" * 100_000)
    made = installations(KINDS, files)
    for name, ports in {"kafka-1": (9092, 9093, 9101), "edge-1": (443,)}.items():
        for port in ports:
            made.hosts[name].shell(SERVE.format(port=port))
    wait_for(lambda: made.hosts["kafka-1"].reaches("127.0.0.1", 9101) and made.hosts["edge-1"].reaches("127.0.0.1", 443))
    return made


def wait_for(happens, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("port", "reached_by"),
    [(9092, {"kafka-2", "edge-1"}), (9093, {"kafka-2"}), (9101, set())],
    ids=["inside", "peers", "nobody"],
)
def test_a_port_is_open_to_whom_the_inventory_says(installation, port, reached_by):
    hosts = installation.hosts
    asked = [hosts["kafka-2"], hosts["edge-1"], hosts.outside]
    address = hosts["kafka-1"].address
    assert {host.name for host in asked if host.reaches(address, port, 1)} == reached_by


def test_the_world_reaches_what_is_open_to_it(installation):
    hosts = installation.hosts
    assert hosts.outside.reaches(hosts["edge-1"].address, 443)
    assert not hosts.outside.reaches(hosts["edge-1"].address, 22, 1)


def test_a_host_has_its_address_and_its_name_and_comes_back_filtered(installation):
    host = installation.hosts["kafka-2"]
    assert host.shell("hostname") == "kafka-2"
    assert host.address in host.shell("hostname -I").split()
    installation.hosts.reboot(host)
    assert host.address in host.shell("hostname -I").split()
    assert "policy drop" in host.shell("nft list table inet millstream")


def test_ansible_comes_in_as_the_user_of_the_cloud_and_becomes_root(installation, tmp_path):
    playbook = tmp_path / "who.yml"
    playbook.write_text(
        "- {hosts: all, gather_facts: false, tasks: [{ansible.builtin.command: id -un, become: '{{ item }}', "
        "register: who, changed_when: false, loop: [true, false]}, {ansible.builtin.debug: {msg: \"{{ who.results | map(attribute='stdout') }}\"}}]}\n"
    )
    played = installation.play(str(playbook))
    assert played.output.count("- root\n    - ubuntu") == 3, played.output
    assert played.changed == {} and set(played.hosts) == {"kafka-1", "kafka-2", "edge-1"}


def test_what_was_changed_on_a_host_is_found(installation):
    host = installation.hosts["edge-1"]
    before = host.changes()
    host.shell("touch /etc/left-behind && touch /tmp/not-of-interest")
    assert host.changes() - before == {"A /etc/left-behind"}


def test_files_come_from_the_mirror_and_tampered_ones_differ_in_one_byte(installation):
    mirror = installation.mirror
    whole = urlopen(f"{mirror.url}/a.tgz").read()
    mirror.tampered.add("a.tgz")
    try:
        bad = installation.hosts["edge-1"].shell(f"curl -fsS {mirror.url}/a.tgz | sha512sum").split()[0]
    finally:
        mirror.tampered.clear()
    assert whole == b"a" * 100_000
    assert bad == sha512(whole[:-1] + bytes([whole[-1] ^ 1])).hexdigest()


def test_a_host_is_replaced_by_an_empty_one_at_the_same_address(installation):
    host = installation.hosts["kafka-2"]
    host.shell("touch /root/mine")
    installation.hosts.replace(host)
    assert host.shell("ls /root") == ""
    assert host.reaches(installation.hosts["kafka-1"].address, 9093)


@pytest.mark.parametrize("image", [BOOKWORM, TRIXIE], ids=["Debian 12", "Debian 13"])
def test_nothing_is_left_when_it_ends(image):
    prefix = "ms-left"
    try:
        with Hosts(inventory({"edge": (1, ["edge"])}, free_subnet(), prefix), prefix, image) as hosts:
            assert hosts["edge-1"].shell("systemctl --failed --quiet") == ""
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass
    listed = docker("ps", "-aq", "--filter", f"name={prefix}").stdout + docker("network", "ls", "-q", "--filter", f"name={prefix}").stdout
    assert listed == ""


def test_who_is_killed_for_memory_is_told():
    prefix = "ms-memory"
    with Hosts(inventory({"edge": (1, ["edge"])}, free_subnet(), prefix), prefix, memory="256m") as hosts:
        assert hosts.killed_for_memory() == []
        small, big = ("python3", "-c", "bytes(1 << 20)"), ("python3", "-c", "bytearray(1 << 30).count(1)")
        for program, code in [(small, 0), (big, 137)]:
            assert hosts["edge-1"].run(*program, check=False).returncode == code
        said = hosts.killed_for_memory()
        assert len(said) == 1 and "task=python3" in said[0], said


def test_memory_is_that_of_the_hosts_own_processes(installation):
    one, other = installation.hosts["kafka-1"], installation.hosts["kafka-2"]
    before = one.memory_used(), other.memory_used()
    one.shell("systemd-run --quiet python3 -c 'import time; kept = bytearray(b\"1\") * (200 << 20); time.sleep(600)'")
    wait_for(lambda: 195 < one.memory_used() - before[0] < 230)
    assert abs(other.memory_used() - before[1]) < 50


def test_an_inventory_without_an_address_is_refused():
    with pytest.raises(ValueError, match="host a-1 of the inventory has no private_ip"):
        read_inventory({"all": {"hosts": {"a-1": {"ansible_host": "a"}}}})


def test_the_filter_keeps_rules_that_are_not_its_own():
    _, hosts = read_inventory(inventory(KINDS, free_subnet(), "x"))
    assert "flush" not in ruleset(hosts[0], hosts)
