"""The whole path, which the single host and the cluster have in common: Terraform's inventory, a lake, a feed, and looks at what runs."""

from __future__ import annotations

import copy
import json
import os
import sys
import time
import zipfile
from pathlib import Path

import pytest
import yaml
from hosts import docker, free_subnet
from playbooks import ANSIBLE, ROOT
from typed import Typed

sys.path.append(str(ROOT / "terraform/tests"))
from local_aws import LocalAws  # noqa: E402
from terraform import Terraform, copy_configuration  # noqa: E402

APPS = yaml.safe_load((ANSIBLE / "group_vars/all/apps.yml").read_text())["millstream_apps"]
PIPELINES = {(app, pipeline) for app, uses in APPS.items() for topic in uses["topics"] for pipeline in topic["pipelines"]}
# Files of servers, where Terraform gives them a volume of their own.
DATA = "/var/lib/millstream-data"
# Of the local lake.
KEY, SECRET = "millstream", "a-secret-of-the-tests"
S3_PORT = 7070
FEED = "device-enforcement.json.zip"
RECALLS = 200
SETTINGS = {
    "wordcount": {"produce": {"rate": 100.0}},
    "users": {"produce": {"rate": 20.0}},
    # Few readings send a vehicle.
    "health": {"produce": {"rate": 10.0}},
}


def told_by_terraform(directory: Path, topology: str) -> dict:
    """The inventory of `terraform apply`, in a network whose range is free on this machine, too."""
    given = {
        "topology": topology,
        "admin_cidrs": ["203.0.113.7/32"],
        "alerts": {"email": "ops@example.org"},
        "network": {"cidr": str(free_subnet(16))},
        "catalog": {"mode": "projection"},
    }
    with pytest.MonkeyPatch.context() as patch, LocalAws() as aws:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        terraform = Terraform(copy_configuration(directory), aws.endpoint, given)
        terraform.apply()
        return yaml.safe_load(terraform.outputs()["ansible_inventory"])


def assert_alike(told: dict, made: dict) -> None:
    """An inventory of Terraform's and one that the other tests take have the same groups, of as many hosts, which let in the same ones."""
    told, made = told["all"], made["all"]
    assert set(told["vars"]) == set(made["vars"])
    assert {name: len(group["hosts"]) for name, group in told["children"].items()} == {name: len(group["hosts"]) for name, group in made["children"].items()}
    for name in made["children"]:
        theirs, ours = first(told, name), first(made, name)
        # A host without a public address is reached by way of the edge.
        assert set(ours) <= set(theirs) <= set(ours) | {"ansible_ssh_common_args"}, name
        assert rules(theirs) == rules(ours), name


def first(inventory: dict, group: str) -> dict:
    return inventory["hosts"][next(iter(inventory["children"][group]["hosts"]))]


def rules(host: dict) -> set[tuple]:
    return {(rule["port"], rule["from"]) for rule in host["open_ports"]}


def bare_hosts(installations, told: dict, artifacts: Path, package: Path, feed: Path):
    """The inventory's hosts with nothing on them yet, a lake in their network, and the variables of a user."""
    made = installations(copy.deepcopy(told), artifacts, package.parent, write_feed(feed / FEED).parent)
    lake = start_lake(made.hosts, told["all"]["vars"])
    made.playbooks.variables |= {
        "worker_package": str(package),
        "worker_settings": SETTINGS | {"recalls": {"feed": {"url": f"{made.mirror.url}/{FEED}"}}},
        "worker_memory_mb": 64,
        "worker_environment": {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_REGION": told["all"]["vars"]["lake_region"]},
        "millstream_lake_endpoint": f"http://{lake}:{S3_PORT}",
        # There is nobody at AWS's address here.
        "monitoring_cloudwatch": False,
    }
    return made


def members(site, group: str) -> list:
    return [site.hosts[name] for name in site.hosts.inventory["all"]["children"][group]["hosts"]]


def write_feed(path: Path) -> Path:
    """Recalls as the FDA gives them out: one of the app's own cases under many numbers."""
    case = ROOT / "apps/recalls/tests/golden/records/input.jsonl"
    recall = json.loads(json.loads(case.read_text().splitlines()[0])["value"])
    recalls = [recall | {"recall_number": f"Z-{number:04}-2013"} for number in range(1, RECALLS + 1)]
    meta = {"last_updated": "2026-01-07", "results": {"skip": 0, "limit": RECALLS, "total": RECALLS}}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr(FEED.removesuffix(".zip"), json.dumps({"meta": meta, "results": recalls}))
    return path


def start_lake(hosts, told: dict) -> str:
    """An S3 in the hosts' network; its address."""
    address = str(hosts.subnet.broadcast_address - 2)
    table = dict(line.split("=", 1) for line in (ROOT / "infra/images/images.env").read_text().splitlines() if "=" in line)
    keys = ["-e", f"ROOT_ACCESS_KEY={KEY}", "-e", f"ROOT_SECRET_KEY={SECRET}", "-e", f"VGW_REGION={told['lake_region']}"]
    name = f"{hosts.prefix}-lake"
    docker("run", "-d", "--name", name, "--network", hosts.prefix, "--ip", address, *keys, *hosts.labels(), table["S3_IMAGE"])
    docker("exec", name, "mkdir", f"/data/{told['lake_bucket']}")
    return address


def eventually(what: str, happens, seconds: float = 180):
    """The first answer that is true; the last one, or what it lacked, is told if there is none in time."""
    deadline, last = time.monotonic() + seconds, None
    while time.monotonic() < deadline:
        try:
            if last := happens():
                return last
        except AssertionError as lacking:
            last = str(lacking)
        time.sleep(1)
    raise AssertionError(f"{what}: not within {seconds} s; last: {last}")


def answer(host: Typed, question: str) -> str:
    """What `millstream` prints; where it fails, what it complains of."""
    return host.run(f"millstream-here {question} --json 2> /tmp/complaints || {{ tail -n 5 /tmp/complaints; false; }}")


def positions(host: Typed) -> dict[tuple[str, str], int]:
    """How many records of each pipeline are in its sink."""
    found = dict.fromkeys(PIPELINES, 0)
    for line in answer(host, "position show").splitlines():
        at = json.loads(line)
        found[tuple(at["pipeline"].split("."))] += at["position"]
    return found


def producers(host: Typed) -> list[str]:
    running = host.run("systemctl list-units --plain --no-legend --state=active 'millstream-produce@*' | cut -d' ' -f1").split()
    assert {unit.removesuffix(".service") for unit in running} == {f"millstream-produce@{app}" for app, uses in APPS.items() if uses["produce"]}
    return running


def assert_exact(host: Typed) -> None:
    """What each producer sends from now on comes into the sinks. Then they are stopped, and all that was sent is there, once, row by row."""
    stopped = producers(host)
    # It fails for the seconds in which a server that has just gone is still asked.
    before = eventually("millstream position show", lambda: positions(host))
    # The feed of recalls doesn't change, and vehicles are sent now and then.
    least = {name: before[name] if APPS[name[0]]["produce"] and name != ("health", "vehicles") else 0 for name in PIPELINES}
    eventually("more records in each sink", lambda: all(now > least[name] for name, now in positions(host).items()), 300)
    host.run("systemctl stop 'millstream-produce@*'")

    def exact() -> bool:
        reports = json.loads(told := answer(host, "verify"))["pipelines"]
        found = {(one["app"], one["pipeline"]) for one in reports if one["pending"] == one["unchecked"] == 0}
        assert found == PIPELINES, told[-4000:]
        return True

    try:
        eventually("millstream verify", exact, 300)
    finally:
        host.run(f"systemctl start {' '.join(stopped)}")


def browse(site, name: str, path: str, *options: str) -> tuple[int, str]:
    """What somebody outside is answered by the edge, whose certificate the installation's authority has signed."""
    outside, address = site.hosts.outside, site.hosts[name].address
    outside.run("tee", "/tmp/ca.pem", stdin=(site.playbooks.secrets / "pki/ca.pem").read_text())
    url = f"https://{address}{path}"
    done = outside.run("curl", "-sS", "--cacert", "/tmp/ca.pem", "--max-time", "20", "-w", "\n%{http_code}", *options, url, check=False)
    body, _, code = done.stdout.rpartition("\n")
    return int(code or 0), body if code != "000" else done.stderr


def assert_all_are_well(site) -> None:
    """check.yml says so, of everything that a host has by its groups."""
    said = site.play("check.yml", check_disk_percent=99).output
    assert "are well" in said, said[-3000:]
    lines = [line.split(maxsplit=4) for line in said.splitlines() if line.split(maxsplit=1)[:1] == ["ok"]]
    found = {(line[1], f"doctor {line[3]}" if line[2] == "doctor" else line[2]) for line in lines}
    looked_at = {
        "kafka": ["kafka"], "cassandra": ["cassandra"], "mysql": ["mariadb"], "search": ["indexes", "search"], "worker": ["workers", "console"],
        "edge": ["pages", "edge"], "monitoring": ["prometheus", "alerts"],
    }  # fmt: skip
    expected = {(host.name, what) for group, asked in looked_at.items() for host in members(site, group) for what in asked}
    expected |= {(host, what) for host in site.hosts.all for what in ("disk", "units", "node-exporter")}
    expected |= {(members(site, "worker")[0].name, f"doctor {app}") for app in APPS}
    assert expected <= found, expected - found


def assert_comes_back(site) -> None:
    """Every service is well again, with nobody's help."""
    eventually("check.yml", lambda: site.play("check.yml", ok=None, check_disk_percent=99).code == 0, 300)


def assert_apps_run(host) -> None:
    running = host.shell("systemctl list-units --plain --no-legend --state=active 'millstream@*' | cut -d' ' -f1").split()
    assert {unit.removesuffix(".service") for unit in running} == {f"millstream@{app}" for app in APPS}, host.name


def assert_pages(site, name: str) -> None:
    """The edge `name` shows recalls to everybody, and the console to who has its password."""
    code, page = eventually("the page of recalls", lambda: [a for a in [browse(site, name, "/")] if a[0] == 200])[0]
    assert "recall" in page.lower(), page[:500]
    assert browse(site, name, "/console/")[0] == 401
    password = (site.playbooks.secrets / "console-admin").read_text().strip()
    code, page = browse(site, name, "/console/", "-u", f"admin:{password}")
    assert code == 200 and "millstream" in page.lower(), f"{code}: {page[:500]}"


def assert_tears_down(site) -> None:
    """Nothing runs any more, there is no data, and a second time changes nothing."""

    def files(host) -> list[str]:
        return host.shell(f"find {DATA} -type f 2> /dev/null | head -n 5").split()

    with_data = {host.name for group in ("kafka", "cassandra", "mysql", "search") for host in members(site, group)}
    assert {host.name for host in site.hosts.all.values() if files(host)} == with_data
    site.play("teardown.yml", millstream_delete_data=True)
    assert site.play("teardown.yml", millstream_delete_data=True).changed == {}
    for host in site.hosts.all.values():
        left = host.shell("systemctl list-units --all --plain --no-legend 'millstream*' kafka.service cassandra.service opensearch.service mariadb.service nginx.service prometheus.service")
        assert left == "", f"{host.name}: {left}"
        assert files(host) == [], host.name
        for path in ("/etc/millstream", "/opt/millstream", "/var/lib/kafka", "/var/lib/cassandra", "/var/lib/millstream"):
            assert host.run("test", "-e", path, check=False).returncode == 1, f"{host.name}: {path}"
