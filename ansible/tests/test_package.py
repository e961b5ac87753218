"""The Debian package: what it asks of a host, and docs/install.md as a reader types it, on Debian 12 and 13."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path

import pytest
from hosts import BOOKWORM, TRIXIE
from playbooks import ROOT
from typed import Typed, sh

PROGRAMS = ["usr/bin/millstream", *(f"usr/lib/millstream/bin/{app}" for app in ["wordcount", "users", "health", "weather", "recalls"])]
# Of Ubuntu 22.04, the oldest system it is for.
NEWEST = {"GLIBC": (2, 35), "OPENSSL": (3, 0, 0), "GCC": (12,), "ZLIB": (1, 2, 11)}
PATIENCE = 120


@pytest.fixture(scope="session")
def package_file(package) -> Path:
    """The newest of the packages that were made."""
    return max(package.glob("millstream_*.deb"), key=os.path.getmtime)


@pytest.fixture(scope="session")
def unpacked(package_file, tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("unpacked")
    sh("dpkg-deb", "--extract", str(package_file), str(directory))
    return directory


@pytest.fixture(scope="session")
def next_package(package_file, tmp_path_factory) -> Path:
    """The same as a later version; packed by dpkg, which is faster than making it."""
    directory = tmp_path_factory.mktemp("next")
    sh("dpkg-deb", "--raw-extract", str(package_file), str(directory / "tree"))
    control = directory / "tree/DEBIAN/control"
    control.write_text(re.sub(r"(?m)^Version: .*", "Version: 99.0.0", control.read_text()))
    sh("dpkg-deb", "--build", "-Zgzip", "-z1", "--root-owner-group", str(directory / "tree"), str(directory / "millstream_99.0.0.deb"), patience=900)
    sh("rm", "-r", str(directory / "tree"))
    return directory / "millstream_99.0.0.deb"


def test_no_program_asks_for_more_than_the_oldest_system_has(unpacked):
    asked = {}
    for program in PROGRAMS:
        for name, version in re.findall(r"\b(GLIBC|OPENSSL|GCC|ZLIB)_([0-9.]+)\b", sh("objdump", "-T", str(unpacked / program))):
            asked.setdefault(name, set()).add(tuple(int(part) for part in version.split(".")))
    assert {"GLIBC", "OPENSSL"} <= set(asked), asked
    for name, versions in asked.items():
        assert max(versions) <= NEWEST[name], f"{name}: {max(versions)}"


def test_it_depends_on_what_its_programs_are_linked_to(package_file, unpacked):
    depends = sh("dpkg-deb", "--field", str(package_file), "Depends")
    for library in ["libc6", "libssl3", "libgcc-s1", "zlib1g", "systemd"]:
        assert re.search(rf"\b{library}\b", depends), depends
    wanted = {name for program in PROGRAMS for name in re.findall(r"NEEDED +(\S+)", sh("objdump", "-p", str(unpacked / program)))}
    assert wanted <= {"libc.so.6", "libm.so.6", "libgcc_s.so.1", "libssl.so.3", "libcrypto.so.3", "libz.so.1", "ld-linux-x86-64.so.2"}, wanted


def test_its_files_are_where_they_belong_and_programs_are_stripped(package_file, unpacked):
    listed = [line.split(maxsplit=5) for line in sh("dpkg-deb", "--contents", str(package_file)).splitlines()]
    assert {line[1] for line in listed} <= {"root/root", "0/0"}
    writable = [line for line in listed if line[0][5] == "w" or line[0][8] == "w"]
    assert not writable, writable
    roots = {"/".join(line[5].split("/")[1:3]) for line in listed if not line[5].endswith("/")}
    assert roots <= {"usr/bin", "usr/lib", "usr/share", "etc/millstream"}, roots
    conffiles = sh("dpkg-deb", "--info", str(package_file), "conffiles").split()
    assert conffiles == ["/etc/millstream/millstream.env"]
    for program in PROGRAMS:
        assert ".debug_info" not in sh("objdump", "-h", str(unpacked / program)), program
    assert (unpacked / "usr/share/doc/millstream/copyright").exists()


def test_its_scripts_are_sound(unpacked, package_file, tmp_path):
    sh("dpkg-deb", "--control", str(package_file), str(tmp_path / "control"))
    for script in [*(tmp_path / "control").glob("p[or]*"), *(unpacked / "usr/lib/millstream").glob("[rd]*")]:
        sh("sh", "-n", str(script))
        assert "#DEBHELPER#" not in script.read_text(), script


def test_a_package_is_called_as_it_is_told(package_file):
    workspace = re.search(r'(?m)^version = "(.*)"', (ROOT / "Cargo.toml").read_text()).group(1)
    architecture = sh("dpkg", "--print-architecture").strip()
    assert package_file.name == f"millstream_{workspace}_{architecture}.deb"
    assert sh("dpkg-deb", "--field", str(package_file), "Version").strip() == workspace


def commands() -> list[str]:
    blocks = re.findall(r"^```sh\n(.*?)^```$", (ROOT / "docs/install.md").read_text(), re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line]


@pytest.fixture(scope="module", params=[BOOKWORM, pytest.param(TRIXIE, marks=pytest.mark.full)], ids=["debian12", "debian13"])
def host(request, installations, package_file, next_package):
    made = installations({"millstream": (1, ["worker"])}, image=request.param)
    host = Typed(made.hosts["millstream-1"])
    host.put(package_file, "/root/millstream.deb")
    host.put(next_package, "/root/millstream-next.deb")
    host.run("apt-get update -q")
    return host


def test_the_document_leads_from_nothing_to_upgrade_and_removal(host, record_property):
    typed = commands()
    upgrade = next(at for at, command in enumerate(typed) if "next.deb" in command)
    removal = next(at for at, command in enumerate(typed) if " remove " in command)
    for command in typed[:upgrade]:
        host.run(command)
    record_property("exposure, of 3.0", is_hardened(host))
    records_are_counted(host)
    is_restarted_when_it_hangs(host)

    before = host.run("systemctl show -P MainPID millstream@wordcount")
    told = host.run(typed[upgrade])
    assert "systemctl restart" in told and "millstream@wordcount.service" in told, told
    assert host.run("systemctl show -P MainPID millstream@wordcount") == before, "the package restarted a worker"
    assert "millstream@wordcount.service" in host.run(typed[upgrade + 1])
    for command in typed[upgrade + 2 : removal]:
        host.run(command)
    assert host.run("/usr/lib/millstream/drifted") == ""
    assert "99.0.0" in host.run("dpkg-query -W millstream")

    told = host.run(typed[removal])
    assert "data is kept in /var/lib/millstream" in told, told
    assert host.code("pgrep -u millstream") == 1, "something still runs"
    host.run("test -d /var/lib/millstream/log && test -f /etc/millstream/wordcount.toml")
    host.run(typed[removal + 1])
    left = host.run("ls -d /var/lib/millstream /etc/millstream /usr/lib/millstream /etc/systemd/system/multi-user.target.wants/millstream* 2>/dev/null || true")
    assert left == "", left


def is_hardened(host: Typed) -> dict[str, float]:
    """What systemd calls the exposure of each unit."""
    levels = {}
    for unit in ["millstream@weather", "millstream-produce@weather", "millstream-serve@recalls"]:
        said = host.run(f"systemd-analyze security --no-pager {unit}.service | tail -n 1")
        levels[unit] = float(re.search(r"([0-9]+\.[0-9])", said).group(1))
        assert levels[unit] <= 3.0, said
    # And it holds: nothing outside its own directory can be written by it, and no settings by anybody else be read.
    status = host.run("cat /proc/$(systemctl show -P MainPID millstream@wordcount)/status")
    assert re.search(r"CapBnd:\t0+\n", status) and re.search(r"NoNewPrivs:\t1\n", status) and re.search(r"Seccomp:\t2\n", status), status
    assert not re.search(r"Uid:\t0\t", status)
    assert host.run("stat -c '%a %U %G' /etc/millstream /var/lib/millstream").splitlines() == ["750 root millstream", "750 millstream millstream"]
    assert host.code("runuser -u ubuntu -- cat /etc/millstream/millstream.env") != 0
    return levels


def records_are_counted(host: Typed) -> None:
    """As position and status tell: while the producer goes on, something waits for the next commit at nearly any time."""

    def committed() -> list[dict]:
        partitions = map(json.loads, host.run("millstream-here position show wordcount.counts --json").splitlines())
        return [one for one in partitions if one["topic"] == "kpmg_topic" and one["position"] > 0]

    def told() -> re.Match | None:
        return re.fullmatch("wordcount.counts (caught up|lag [0-9]+)", host.run("systemctl show -P StatusText millstream@wordcount"))

    deadline = time.monotonic() + PATIENCE
    while not (committed() and told()):
        assert time.monotonic() < deadline, host.run("systemctl status --no-pager millstream@wordcount; journalctl --no-pager -u millstream@wordcount")
        time.sleep(0.5)


def is_restarted_when_it_hangs(host: Typed) -> None:
    """A worker that is stopped beats no more. The time after which that is noticed is shortened."""
    host.run("mkdir -p /run/systemd/system/millstream@.service.d && printf '[Service]\\nWatchdogSec=3\\n' > /run/systemd/system/millstream@.service.d/zz.conf")
    host.run("systemctl daemon-reload && systemctl restart millstream@wordcount")
    before = host.run("systemctl show -P MainPID millstream@wordcount")
    host.run(f"kill -STOP {before}")
    deadline = time.monotonic() + PATIENCE
    while host.run("systemctl show -P MainPID millstream@wordcount") in (before, "0") or host.code("systemctl is-active -q millstream@wordcount") != 0:
        assert time.monotonic() < deadline, host.run("systemctl status --no-pager millstream@wordcount")
        time.sleep(0.5)
    assert "watchdog" in host.run("journalctl --no-pager -u millstream@wordcount").lower()
    host.run("rm /run/systemd/system/millstream@.service.d/zz.conf && systemctl daemon-reload && systemctl restart millstream@wordcount")


def test_a_worker_that_waits_for_a_server_is_up_says_so_and_is_not_restarted(host):
    host.run("apt-get install -y ./millstream.deb")
    host.run("printf 'USERS_TOPICS__URL=\"kafka://127.0.0.1:9?tls=off\"\\n' | install -m 0640 -g millstream /dev/stdin /etc/millstream/users.env")
    host.run("mkdir -p /run/systemd/system/millstream@.service.d && printf '[Service]\\nWatchdogSec=3\\n' > /run/systemd/system/millstream@.service.d/zz.conf && systemctl daemon-reload")
    host.run("systemctl start millstream@users-1 millstream@users-2")
    deadline = time.monotonic() + PATIENCE
    while "retrying" not in (said := host.run("systemctl show -P StatusText millstream@users-2")):
        assert time.monotonic() < deadline, said
        time.sleep(0.5)
    pid = host.run("systemctl show -P MainPID millstream@users-2")
    # Three times the watchdog's time.
    time.sleep(9)
    assert host.run("systemctl show -P MainPID millstream@users-2") == pid
    assert host.run("systemctl show -P NRestarts millstream@users-2") == "0"
    host.run("timeout 30 systemctl stop millstream@users-1 millstream@users-2")
    assert host.run("systemctl show -P Result millstream@users-2") == "success"


def test_an_instance_or_a_file_that_makes_no_sense_is_told(host):
    host.run("apt-get install -y ./millstream.deb")
    host.code("systemctl start millstream@wether")
    assert "there is no app wether" in host.run("journalctl --no-pager -u millstream@wether")
    host.run("printf 'secret without a name\\n' | install -m 0640 -g millstream /dev/stdin /etc/millstream/weather.env")
    host.code("systemctl start millstream@weather")
    said = host.run("journalctl --no-pager -u millstream@weather")
    assert "line 1 of /etc/millstream/weather.env is not NAME=VALUE" in said and "secret" not in said, said
