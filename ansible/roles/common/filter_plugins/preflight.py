"""What keeps a host from becoming what it is to be, each with its remedy, all at once."""

from __future__ import annotations

import difflib
import ipaddress
import re
import time

ROLES = ("kafka", "cassandra", "mysql", "search", "worker", "edge", "monitoring")
# Names that Ansible gives or Terraform's kinds of hosts have.
GROUPS = (*ROLES, "all", "ungrouped", "millstream", "store", "workers")
SYSTEMS = {"Debian": ("12", "13"), "Ubuntu": ("22.04", "24.04")}
PROCESSORS = ("x86_64", "aarch64")
# Roles whose hosts agree among themselves: two can't tell who of them is gone.
QUORUMS = ("kafka", "cassandra", "search")
NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\Z")
PATTERNS = {
    "domain": (r"([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}", "a name as millstream.example.org"),
    "instance_id": (r"i-[0-9a-z]+", "an instance's id as i-0123456789abcdef0"),
    "data_volume_id": (r"vol-[0-9a-z]+", "an EBS volume's id as vol-0123456789abcdef0"),
    "lake_bucket": (r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", "a bucket's name"),
}
# Seconds. Certificates are good from now on, and requests to AWS for five minutes.
CLOCK = 120


def system(facts: dict) -> list[str]:
    found, problems = (facts.get("distribution", "?"), str(facts.get("distribution_version", "?"))), []
    version = found[1] if found[0] == "Ubuntu" else found[1].split(".")[0]
    if version not in SYSTEMS.get(found[0], ()):
        known = ", ".join(f"{name} {version}" for name, versions in SYSTEMS.items() for version in versions)
        problems.append(f"it runs {found[0]} {found[1]}, and the roles are made for {known}: install one of these")
    if facts.get("architecture") not in PROCESSORS:
        problems.append(f"its processor is {facts.get('architecture')}, and packages are made for {' and '.join(PROCESSORS)}: use another machine")
    if facts.get("service_mgr") != "systemd":
        problems.append(f"its init is {facts.get('service_mgr')}, and services are units of systemd: boot it with systemd")
    return problems


def address(value) -> ipaddress.IPv4Address | None:
    try:
        return ipaddress.IPv4Address(value) if isinstance(value, str) else None
    except ValueError:
        return None


def addresses(host: str, variables: dict, hosts: dict) -> list[str]:
    private, facts, problems = variables.get("private_ip"), variables.get("ansible_facts", {}), []
    own = facts.get("all_ipv4_addresses", [])
    if private is None:
        problems.append("private_ip is missing: give in the inventory the address by which the other hosts reach it")
    elif (parsed := address(private)) is None or parsed.is_unspecified or parsed.is_loopback:
        problems.append(f"private_ip is {private!r}: give an IPv4 address by which the other hosts reach it")
    elif private not in own:
        problems.append(f"private_ip {private} is none of its addresses ({', '.join(own)}): correct it in the inventory")
    twins = [name for name, other in hosts.items() if name != host and private is not None and other.get("private_ip") == private]
    if twins:
        problems.append(f"private_ip {private} is {twins[0]}'s, too: give each host its own")
    public = variables.get("public_ip", "")
    if public != "" and address(public) is None:
        problems.append(f"public_ip is {public!r}: give an IPv4 address, or \"\" if it has none")
    return problems


def settings(host: str, variables: dict) -> list[str]:
    problems = []
    if not NAME.match(host):
        problems.append(f"its name {host!r} is none that certificates and topics take: use small letters, digits and hyphens")
    for name, (pattern, example) in PATTERNS.items():
        value = variables.get(name, "")
        if not isinstance(value, str) or (value and not re.fullmatch(pattern, value)):
            problems.append(f"{name} is {value!r}: give {example}, or \"\" if there is none")
    return problems


def groups(host: str, variables: dict, members: dict) -> list[str]:
    mine, problems = variables.get("group_names", []), []
    for group in mine:
        near = difflib.get_close_matches(group, GROUPS, 1, 0.8)
        if group not in GROUPS and near:
            problems.append(f"it is in group {group}, which no playbook knows: is {near[0]} meant?")
    if not set(mine) & set(ROLES):
        problems.append(f"it is in none of the groups {', '.join(ROLES)}, so nothing would be installed: put it into one, or take it out of the inventory")
    for role in sorted(set(mine) & set(QUORUMS)):
        if len(members.get(role, [])) == 2:
            problems.append(f"group {role} has 2 hosts, and neither can go on without the other: make it 1, or 3 and more")
    for role in sorted(set(mine) & {"mysql", "monitoring"}):
        if len(members.get(role, [])) > 1:
            problems.append(f"group {role} has {len(members[role])} hosts, and one is what the role sets up: leave one in it")
    if "worker" in mine and not members.get("kafka"):
        problems.append("it is a worker, and no host is in group kafka: put one, or 3, into it")
    return problems


def room(variables: dict, needs: dict, looked: str, now: float) -> list[str]:
    """`needs`: MB of memory and disk by role. `looked`: the host's time, then directories and the MB that are free there."""
    mine = set(variables.get("group_names", []))
    memory = variables.get("ansible_facts", {}).get("memtotal_mb", 0)
    problems, wanted = [], sum(needs["memory_mb"].get(role, 0) for role in mine)
    if memory < wanted:
        problems.append(f"it has {memory} MB of memory, and its roles want {wanted} MB: take a larger machine, or spread the roles over more hosts")
    wanted = needs["system_mb"] + sum(needs["disk_mb"].get(role, 0) for role in mine)
    told, *rows = looked.splitlines()
    for directory, free in (row.rsplit(" ", 1) for row in rows):
        if int(free) < wanted:
            problems.append(f"{free} MB are free for {directory}, and its roles want {wanted} MB to begin with: make room, or give it a larger disk")
    if abs(wrong := int(told) - int(now)) > CLOCK:
        way = "ahead of" if wrong > 0 else "behind"
        problems.append(f"its clock is {abs(wrong)} s {way} this machine's: set both by NTP (`timedatectl`)")
    return problems


def problems_of(host: str, hosts: dict, members: dict, needs: dict, looked: str) -> list[str]:
    variables = hosts[host]
    found = system(variables.get("ansible_facts", {})) + settings(host, variables)
    others = {name: hosts[name] for name in members.get("all", []) if name in hosts}
    return found + addresses(host, variables, others) + groups(host, variables, members) + room(variables, needs, looked, time.time())


class FilterModule:
    def filters(self):
        return {"millstream_problems": problems_of}
