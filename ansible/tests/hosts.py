"""Containers that stand for the hosts of an inventory: systemd, its private address, packet filter by its open_ports.

The inventory is Terraform's (`terraform output -raw ansible_inventory`), or one written by hand in its form. Each container
is named by its ansible_host, so that test and field differ in one variable: ansible_connection. Nobody is let in but whom
open_ports says, as by security groups: "inside" is every host of the inventory, "peers" are those whose names differ only in
their number, anything else is a range of addresses. Ansible comes by `docker exec`, which needs no port.

    python -m hosts up INVENTORY --prefix NAME [--image IMAGE] [--memory 8g] [--serve DIR]...
    python -m hosts down --prefix NAME

`up` prints the inventory to use; --serve gives the hosts the files of directories, and Debian's archive by a cache.
"""

from __future__ import annotations

import argparse
import ipaddress
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import yaml

BOOKWORM = "millstream/host:bookworm"
TRIXIE = "millstream/host:trixie"
# A container or a boot that takes longer hangs.
PATIENCE = 120
# What systemd needs to run in a container, short of --privileged.
SYSTEMD = [
    *("--cap-add", "SYS_ADMIN", "--cap-add", "NET_ADMIN"),
    *("--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined"),
    *("--tmpfs", "/run", "--tmpfs", "/run/lock", "-v", "/sys/fs/cgroup:/sys/fs/cgroup:rw", "-e", "container=docker"),
]


def docker(*arguments: str, check: bool = True, stdin: str | None = None) -> subprocess.CompletedProcess:
    done = subprocess.run(
        ["docker", *arguments], input=stdin, text=True, capture_output=True, timeout=PATIENCE, check=False
    )
    if check and done.returncode:
        raise RuntimeError(f"docker {' '.join(arguments)[:300]}: {done.stderr.strip() or done.stdout.strip()}")
    return done


@dataclass
class Host:
    name: str  # in the inventory
    container: str
    address: str
    open_ports: list[dict] = field(default_factory=list)

    @property
    def kind(self) -> str:
        return re.sub(r"-\d+$", "", self.name)

    def run(self, *command: str, check: bool = True, stdin: str | None = None) -> subprocess.CompletedProcess:
        return docker("exec", *(["-i"] if stdin is not None else []), self.container, *command, check=check, stdin=stdin)

    def shell(self, script: str, check: bool = True) -> str:
        return self.run("bash", "-c", script, check=check).stdout.strip()

    def reaches(self, address: str, port: int, seconds: float = 2) -> bool:
        """Whether a connection comes about; refused is also an answer, which only an open port lets through."""
        probe = f"import socket; socket.create_connection(({address!r}, {port}), {seconds}).close()"
        done = self.run("python3", "-c", probe, check=False)
        return done.returncode == 0 or "ConnectionRefusedError" in done.stderr

    def memory_used(self) -> int:
        """MB that its processes have for themselves; what is kept of files comes on top. Of them all, as control groups look different on each engine."""
        return int(self.shell("cat /proc/[0-9]*/status 2> /dev/null | awk '/^RssAnon:/ { kb += $2 } END { print int(kb / 1024) }'"))

    def changes(self) -> set[str]:
        """Paths that were changed, added or deleted since the container was made, but for what every host writes by itself."""
        own = re.compile(r"/(dev|proc|run|sys|tmp|var/tmp|var/log|var/lib/systemd|var/lib/sudo|(root|home/ubuntu)/\.ansible)\b|/(root|home|home/ubuntu)$")
        listed = docker("diff", self.container).stdout.splitlines()
        return {line for line in listed if not own.match(line[2:])}


def read_inventory(source: Path | dict) -> tuple[dict, list[Host]]:
    inventory = source if isinstance(source, dict) else yaml.safe_load(Path(source).read_text())
    found: dict[str, dict] = {}

    def walk(group: dict) -> None:
        for name, variables in (group.get("hosts") or {}).items():
            found.setdefault(name, {}).update(variables or {})
        for child in (group.get("children") or {}).values():
            walk(child or {})

    for top in inventory.values():
        walk(top)
    hosts = []
    for name, variables in found.items():
        missing = [key for key in ("ansible_host", "private_ip") if not variables.get(key)]
        if missing:
            raise ValueError(f"host {name} of the inventory has no {' and no '.join(missing)}")
        ports = variables.get("open_ports") or []
        hosts.append(Host(name, variables["ansible_host"], variables["private_ip"], ports))
    return inventory, hosts


def subnet_of(hosts: list[Host]) -> ipaddress.IPv4Network:
    """The smallest range with all of them, at least a /24: one network of Docker's stands for all subnets."""
    addresses = [ipaddress.ip_address(host.address) for host in hosts]
    for length in range(24, 7, -1):
        network = ipaddress.ip_network(f"{addresses[0]}/{length}", strict=False)
        if all(address in network for address in addresses):
            return network
    raise ValueError(f"no network holds all of {', '.join(map(str, addresses))}")


def free_subnet(length: int = 24) -> ipaddress.IPv4Network:
    """A /24, or a /16 for a whole VPC, that no network of this engine has."""
    ids = docker("network", "ls", "-q").stdout.split()
    told = json.loads(docker("network", "inspect", *ids, check=False).stdout)
    taken = [ipaddress.ip_network(c["Subnet"]) for n in told for c in (n["IPAM"]["Config"] or []) if ":" not in c["Subnet"]]
    form = {24: "10.243.{}.0/24", 16: "10.{}.0.0/16"}[length]
    numbers = {24: range(250), 16: range(100, 240)}[length]
    # Two that look at once find different ones.
    begin = os.getpid() % len(numbers)
    for number in [*numbers[begin:], *numbers[:begin]]:
        candidate = ipaddress.ip_network(form.format(number))
        if not any(candidate.overlaps(other) for other in taken):
            return candidate
    raise RuntimeError(f"all networks {form.format('N')} are taken: `docker network ls` lists them")


def ruleset(host: Host, hosts: list[Host]) -> str:
    """nft's, of the host's open ports. Never a flush: Docker keeps rules of its own in there."""
    groups = {"inside": [h.address for h in hosts], "peers": [h.address for h in hosts if h.kind == host.kind]}
    rules = []
    for opened in host.open_ports:
        sources = groups.get(opened["from"], [opened["from"]])
        rules.append(f"    ip saddr {{ {', '.join(sources)} }} tcp dport {opened['port']} accept")
    head = [
        "add table inet millstream",
        "delete table inet millstream",
        "table inet millstream {",
        "  chain input {",
        "    type filter hook input priority 0; policy drop;",
        "    iif lo accept",
        "    ct state established,related accept",
    ]
    return "\n".join([*head, *rules, "  }", "}", ""])


class Hosts:
    """Stands the hosts up, and takes away all that it made."""

    def __init__(self, inventory: Path | dict, prefix: str, image: str = BOOKWORM, memory: str = "8g", images: dict[str, str] | None = None):
        self.inventory, hosts = read_inventory(inventory)
        self.all = {host.name: host for host in hosts}
        self.prefix, self.image, self.memory, self.images = prefix, image, memory, images or {}
        self.subnet = subnet_of(hosts)
        self.gateway = str(self.subnet.network_address + 1)
        # The last address but one: in the network, and nobody's.
        self.outside = Host("outside", f"{prefix}-outside", str(self.subnet.broadcast_address - 1))
        self.apt_proxy = ""

    def __getitem__(self, name: str) -> Host:
        return self.all[name]

    def __enter__(self) -> Hosts:
        try:
            self.make_network()
            self.up()
        except BaseException:
            self.down()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    def labels(self) -> list[str]:
        run = os.environ.get("MILLSTREAM_DEPLOY_TEST", "")
        return ["--label", f"millstream.hosts={self.prefix}", *(["--label", f"millstream.deploy-test={run}"] if run else [])]

    def make_network(self) -> None:
        range_of = ["--subnet", str(self.subnet), "--gateway", self.gateway]
        docker("network", "create", *range_of, *self.labels(), self.prefix)

    def up(self) -> None:
        for host in self.all.values():
            self.start(host)
        plain = ["--entrypoint", "sleep", self.image, "infinity"]
        where = ["--network", self.prefix, "--ip", self.outside.address]
        docker("run", "-d", "--init", "--name", self.outside.container, "--hostname", "outside", *where, *self.labels(), *plain)
        for host in self.all.values():
            self.wait(host)

    def start(self, host: Host, *options: str) -> None:
        """A fresh container; options are `docker run`'s."""
        where = ["--name", host.container, "--hostname", host.name, "--network", self.prefix, "--ip", host.address]
        memory = ["--memory", self.memory, "--memory-swap", self.memory]
        docker("run", "-d", *where, *memory, *SYSTEMD, *self.labels(), *options, self.images.get(host.name, self.image))

    def wait(self, host: Host) -> None:
        """Until it has booted; then nobody gets in but whom open_ports says."""
        deadline = time.monotonic() + PATIENCE
        while (state := host.run("systemctl", "is-system-running", check=False).stdout.strip()) not in ("running", "degraded"):
            if time.monotonic() > deadline:
                raise RuntimeError(f"{host.name} didn't boot within {PATIENCE} s: {state or docker('logs', host.container).stdout[-500:]}")
            time.sleep(0.2)
        host.run("nft", "-f", "-", stdin=ruleset(host, list(self.all.values())))
        if self.apt_proxy:
            host.run("tee", "/etc/apt/apt.conf.d/90stand-in", stdin=f'Acquire::http::Proxy "{self.apt_proxy}";\n')

    def reboot(self, host: Host) -> None:
        docker("restart", "--time", "60", host.container)
        self.wait(host)

    def kill(self, host: Host) -> None:
        """As if its power were cut."""
        docker("kill", host.container)

    def power_on(self, host: Host) -> None:
        docker("start", host.container)
        self.wait(host)

    def replace(self, host: Host, *options: str) -> None:
        """A new machine at the same address, with nothing on it."""
        docker("rm", "-f", "-v", host.container)
        self.start(host, *options)
        self.wait(host)

    def cut_off(self, host: Host) -> None:
        docker("network", "disconnect", self.prefix, host.container)

    def connect(self, host: Host) -> None:
        docker("network", "connect", "--ip", host.address, self.prefix, host.container)

    def down(self) -> None:
        remove(f"millstream.hosts={self.prefix}")

    def killed_for_memory(self) -> list[str]:
        """What the kernel says of processes that it killed since a host had no memory left. `docker inspect` doesn't tell while the container runs."""
        log = docker("run", "--rm", "--cap-add", "SYSLOG", "--entrypoint", "dmesg", self.image).stdout
        ids = docker("inspect", "--format", "{{.Id}}", *[host.container for host in self.all.values()]).stdout.split()
        return [line for line in log.splitlines() if "oom-kill:" in line and any(one in line for one in ids)]

    def write_inventory(self, to: Path) -> Path:
        """The same with the one variable more."""
        inventory = json.loads(json.dumps(self.inventory))
        inventory["all"].setdefault("vars", {})["ansible_connection"] = "community.docker.docker"
        to.write_text(yaml.safe_dump(inventory, sort_keys=False))
        return to


def remove(label: str) -> None:
    containers = docker("ps", "-aq", "--filter", f"label={label}").stdout.split()
    if containers:
        docker("rm", "-f", "-v", *containers, check=False)
    networks = docker("network", "ls", "-q", "--filter", f"label={label}").stdout.split()
    for network in networks:
        docker("network", "rm", network, check=False)


def main() -> None:
    parser = argparse.ArgumentParser(prog="hosts", description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up")
    up.add_argument("inventory", type=Path)
    up.add_argument("--image", default=BOOKWORM)
    up.add_argument("--memory", default="8g")
    up.add_argument("--serve", action="append", default=[], type=Path)
    down = commands.add_parser("down")
    for command in (up, down):
        command.add_argument("--prefix", required=True)
    given = parser.parse_args()
    state = Path(tempfile.gettempdir()) / f"millstream-hosts-{given.prefix}"
    mirror = state / "mirror.pid"
    if given.command == "down":
        remove(f"millstream.hosts={given.prefix}")
        if mirror.exists():
            subprocess.run(["kill", mirror.read_text()], check=False, stderr=subprocess.DEVNULL)
            mirror.unlink()
        return
    state.mkdir(exist_ok=True)
    hosts = Hosts(given.inventory, given.prefix, given.image, given.memory)
    hosts.make_network()
    if given.serve:
        served = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("mirror.py"), "--address", hosts.gateway, *given.serve],
            stdout=subprocess.PIPE, stderr=(state / "mirror.log").open("w"), text=True, start_new_session=True,
        )  # fmt: skip
        mirror.write_text(str(served.pid))
        hosts.apt_proxy = served.stdout.readline().strip()
        print(f"mirror: {hosts.apt_proxy}   (-e millstream_mirror={hosts.apt_proxy})")
    hosts.up()
    print(f"outside: {hosts.outside.container} {hosts.outside.address}")
    print(f"inventory: {hosts.write_inventory(state / 'inventory.yml')}")


if __name__ == "__main__":
    main()
