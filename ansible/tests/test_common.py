"""What every host has: the look beforehand, judged without hosts, and the role on one."""

from __future__ import annotations

import copy
import importlib.util
import time

import pytest
from playbooks import ANSIBLE

ROLE = ANSIBLE / "roles/common"
NEEDS = {"memory_mb": {"kafka": 900, "cassandra": 1800}, "disk_mb": {"kafka": 1000}, "system_mb": 500}
KINDS = {"store": (1, ["mysql"])}
VOLUME = """- hosts: all
  gather_facts: true
  tasks:
    - ansible.builtin.include_role: {name: common, tasks_from: volume}
"""


def preflight():
    spec = importlib.util.spec_from_file_location("preflight", ROLE / "filter_plugins/preflight.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def host(name: str, address: str, *groups: str) -> dict:
    facts = {
        "distribution": "Debian", "distribution_version": "12.9", "architecture": "x86_64", "service_mgr": "systemd",
        "memtotal_mb": 8000, "all_ipv4_addresses": [address],
    }  # fmt: skip
    return {"private_ip": address, "public_ip": "", "domain": "", "instance_id": "i-0a1b", "data_volume_id": "vol-0a1b", "group_names": list(groups), "ansible_facts": facts}


def problems(hosts: dict, name: str = "kafka-1", free: int = 20000, clock: float = 0) -> list[str]:
    members = {"all": list(hosts)}
    for other, variables in hosts.items():
        for group in variables["group_names"]:
            members.setdefault(group, []).append(other)
    looked = f"{int(time.time() + clock)}\n/opt/millstream {free}\n/var/lib {free}"
    return preflight().problems_of(name, hosts, members, NEEDS, looked)


GOOD = {"kafka-1": host("kafka-1", "10.0.0.1", "kafka")}


def test_a_good_host_has_no_problem():
    assert problems(GOOD) == []
    trio = {f"kafka-{n}": host(f"kafka-{n}", f"10.0.0.{n}", "kafka") for n in (1, 2, 3)}
    assert problems(trio) == []


@pytest.mark.parametrize(
    ("changed", "told", "remedy"),
    [
        ({"ansible_facts": {"distribution_version": "11.2"}}, "it runs Debian 11.2", "Debian 12, Debian 13, Ubuntu 22.04, Ubuntu 24.04"),
        ({"ansible_facts": {"distribution": "Ubuntu", "distribution_version": "20.04"}}, "it runs Ubuntu 20.04", "install one of these"),
        ({"ansible_facts": {"architecture": "riscv64"}}, "its processor is riscv64", "use another machine"),
        ({"ansible_facts": {"service_mgr": "sysvinit"}}, "its init is sysvinit", "boot it with systemd"),
        ({"ansible_facts": {"memtotal_mb": 512}}, "it has 512 MB of memory, and its roles want 900 MB", "take a larger machine"),
        ({"private_ip": "10.0.0.9"}, "private_ip 10.0.0.9 is none of its addresses (10.0.0.1)", "correct it"),
        ({"private_ip": "10.0.0.300"}, "private_ip is '10.0.0.300'", "give an IPv4 address"),
        ({"private_ip": "0.0.0.0"}, "private_ip is '0.0.0.0'", "give an IPv4 address"),
        ({"private_ip": 7}, "private_ip is 7", "give an IPv4 address"),
        ({"public_ip": "none"}, "public_ip is 'none'", 'or "" if it has none'),
        ({"domain": "localhost"}, "domain is 'localhost'", "give a name as"),
        ({"data_volume_id": "sdf"}, "data_volume_id is 'sdf'", "give an EBS volume's id"),
        ({"instance_id": 5}, "instance_id is 5", "give an instance's id"),
        ({"group_names": ["kafka", "kafak"]}, "it is in group kafak", "is kafka meant?"),
        ({"group_names": ["mine"]}, "it is in none of the groups", "put it into one"),
        ({"group_names": ["worker"]}, "no host is in group kafka", "put one, or 3, into it"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_remedy(changed, told, remedy):
    hosts = copy.deepcopy(GOOD)
    for name, value in changed.items():
        if name == "ansible_facts":
            hosts["kafka-1"][name].update(value)
        else:
            hosts["kafka-1"][name] = value
    (found,) = problems(hosts)
    assert told in found and remedy in found, found


def test_all_is_told_at_once():
    hosts = copy.deepcopy(GOOD)
    hosts["kafka-1"].update(private_ip="x", domain="x", ansible_facts={"distribution": "Arch"})
    assert len(problems(hosts, free=10, clock=-500)) == 9


@pytest.mark.parametrize(("free", "clock", "told"), [(1499, 0, "1499 MB are free for /opt/millstream, and its roles want 1500 MB"), (20000, 400, "ahead of"), (20000, -400, "behind")])
def test_room_and_clock(free, clock, told):
    assert any(told in found for found in problems(GOOD, free=free, clock=clock))


def test_two_cannot_agree_and_no_two_share_an_address():
    two = {f"kafka-{n}": host(f"kafka-{n}", "10.0.0.1", "kafka") for n in (1, 2)}
    found = problems(two)
    assert len(found) == 2
    assert "private_ip 10.0.0.1 is kafka-2's, too" in found[0] and "group kafka has 2 hosts" in found[1]


@pytest.fixture(scope="module")
def installation(installations):
    made = installations(KINDS, variables={"common_administrators": [{"name": "alice", "key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJJJJJJJJJJJJJJJJJJJJJJJJJJJJJJJJJJJJJJJJJJJ alice"}]})
    made.play("common.yml", "--check")
    made.play("common.yml")
    return made


def test_a_second_run_changes_nothing(installation):
    again = installation.play("common.yml")
    assert again.changed == {}, again.changed_tasks


def test_updates_that_are_none_of_security_are_not_installed_by_themselves(installation):
    told = installation.hosts["store-1"].shell("apt-config dump | grep -E 'Unattended-Upgrade::(Origins-Pattern|Allowed-Origins|Automatic-Reboot )|APT::Periodic::Unattended'")
    assert 'APT::Periodic::Unattended-Upgrade "1";' in told and 'Automatic-Reboot "false";' in told
    origins = [line for line in told.splitlines() if "Origins" in line and '"origin=' in line]
    assert len(origins) == 2 and all("security" in line.lower() for line in origins), told


def test_administrators_come_by_their_keys_only(installation):
    machine = installation.hosts["store-1"]
    assert "ssh-ed25519" in machine.shell("cat ~alice/.ssh/authorized_keys")
    assert machine.shell("passwd --status alice").split()[1] == "L"
    assert machine.shell("runuser -u alice -- sudo -n id -u") == "0"


def test_a_file_system_is_made_only_where_there_is_nothing(installation):
    """Up to the mount, which not every container may: an empty disk gets one, one that has something is left alone."""
    machine = installation.hosts["store-1"]
    machine.shell("apt-get install -qq -y --no-install-recommends e2fsprogs util-linux fdisk > /dev/null; truncate -s 64M /var/tmp/empty /var/tmp/parted; echo 'label: gpt' | sfdisk -q /var/tmp/parted")
    playbook = installation.directory / "volume.yml"
    playbook.write_text(VOLUME)

    def play(disk: str, ok: bool | None) -> str:
        given = {"common_data_device": f"/var/tmp/{disk}", "millstream_data_root": "/var/lib/millstream-data"}
        return installation.play(str(playbook), ok=ok, **given).output

    assert "Make a file system" in play("empty", None)
    uuid = machine.shell("blkid --probe --match-tag UUID --output value /var/tmp/empty")
    assert 'TYPE="ext4"' in machine.shell("blkid --probe /var/tmp/empty") and f"UUID={uuid} /var/lib/millstream-data ext4 noatime,nofail" in machine.shell("cat /etc/fstab")
    play("empty", None)
    assert machine.shell("blkid --probe --match-tag UUID --output value /var/tmp/empty") == uuid, "it was made anew"
    before = machine.shell("sha256sum < /var/tmp/parted")
    said = " ".join(play("parted", False).split())
    assert "holds something that is neither ext4 nor XFS and wasn't touched" in said and "wipefs --all /var/tmp/parted" in said
    assert machine.shell("sha256sum < /var/tmp/parted") == before
    machine.shell("umount /var/lib/millstream-data || true; sed -i '/millstream-data/d' /etc/fstab")
