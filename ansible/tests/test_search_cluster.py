"""The role search on three hosts: from one to three, who may join, a node that is lost, restarts under load, and a backup by parts."""

from __future__ import annotations

import copy
import json
import subprocess
import threading
import time

import pytest
import yaml
from hosts import docker
from stores import pid, restarted_one_by_one, tears_down, until
from test_search import Server

pytestmark = pytest.mark.full

NAMES = ["search-1", "search-2", "search-3"]
# Nobody asks for a password on the loopback, where root may ask.
LOCAL = "http://127.0.0.1:9200"
# As many files OpenSearch wants to be let open before it speaks to others.
FILES = 65535
LIMIT = f"""
#include <sys/syscall.h>
#include <unistd.h>
enum {{ NOFILE = 7 }};
struct limit {{ unsigned long now, most; }};
int getrlimit(int what, struct limit *told) {{
    int code = syscall(SYS_prlimit64, 0, what, 0, told);
    if (what == NOFILE && told->most < {FILES}) told->now = told->most = {FILES};
    return code;
}}
int getrlimit64(int what, struct limit *told) {{ return getrlimit(what, told); }}
"""


@pytest.fixture(scope="module")
def installation(installations, secured_artifacts):
    known = yaml.safe_load((secured_artifacts / "artifacts.yml").read_text())["artifacts"]["opensearch"]
    secured = next(version for version, told in known.items() if told.get("security_plugin", True))
    # Of a container's host the kernel's settings stay as they are.
    given = {"search_version": secured, "search_heap_mb": 512, "search_settings": {"node.store.allow_mmap": False}}
    made = installations({"search": (3, ["search"])}, secured_artifacts, variables=given)
    made.playbooks.variables["backup_to"] = str(made.directory / "backups")
    made.play("pki.yml")
    for host in made.hosts.all.values():
        promise_files(made, host)
    return made


def promise_files(made, host) -> None:
    """A machine of containers may itself not be let open so many, and gives on what it has: here one says that there are as many."""
    library = made.directory / "files.so"
    if not library.exists():
        subprocess.run(["cc", "-shared", "-fPIC", "-x", "c", "-o", library, "-"], input=LIMIT, text=True, check=True)
    docker("cp", str(library), f"{host.container}:/usr/lib/files.so")
    host.run("mkdir", "-p", "/etc/systemd/system/opensearch.service.d")
    host.run("tee", "/etc/systemd/system/opensearch.service.d/files.conf", stdin="[Service]\nEnvironment=LD_PRELOAD=/usr/lib/files.so\n")


@pytest.fixture(scope="module")
def servers(installation):
    """Any of them is as good as the others."""
    return {name: Server(installation, name) for name in NAMES}


@pytest.fixture(scope="module")
def only(installation):
    """Plays a playbook for those hosts of the group."""

    def play(names: list[str], playbook: str, **options):
        inventory = copy.deepcopy(yaml.safe_load(installation.playbooks.inventory.read_text()))
        inventory["all"]["children"]["search"]["hosts"] = {name: {} for name in names}
        whole, few = installation.playbooks.inventory, installation.directory / "few.yml"
        few.write_text(yaml.safe_dump(inventory))
        installation.playbooks.inventory = few
        try:
            return installation.play(playbook, **options)
        finally:
            installation.playbooks.inventory = whole

    return play


def whole(host) -> bool:
    """Three nodes, and all copies; not while it doesn't answer."""
    told = json.loads(host.run("curl", "-fsS", "-m", "10", f"{LOCAL}/_cluster/health", check=False).stdout or "{}")
    return (told.get("status"), told.get("number_of_nodes")) == ("green", 3)


def documents(host) -> dict[str, tuple[int, dict]]:
    host.shell(f"curl -fsS -m 30 -X POST '{LOCAL}/recalls/_refresh'")
    found = json.loads(host.shell(f"curl -fsS -m 30 '{LOCAL}/recalls/_search?size=10000&version=true'"))["hits"]["hits"]
    return {it["_id"]: (it["_version"], it["_source"]) for it in found}


class Writer(threading.Thread):
    """Writes one document after the other, each to the next node, and to another one if that doesn't take it."""

    def __init__(self, servers: list[Server], first: int):
        super().__init__()
        self.servers, self.number, self.written, self.done = servers, first, {}, threading.Event()

    def run(self) -> None:
        while not self.done.is_set():
            number, self.number = self.number, self.number + 1
            for server in self.servers[number % 3 :] + self.servers[: number % 3]:
                if server.ask("PUT", f"recalls-1-writes/_doc/{number}?timeout=5s", json.dumps({"number": number}))[0] in (200, 201):
                    self.written[str(number)] = time.monotonic()
                    break

    def __enter__(self) -> Writer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        wrote = self.is_alive()
        self.done.set()
        self.join()
        assert wrote, "it ended by itself"


def test_two_nodes_are_refused(installation, only):
    told = only(NAMES[:2], "search.yml", ok=False).output
    assert "Take one, or three" in told, told[-2000:]
    assert installation.hosts["search-1"].run("test", "-e", "/etc/opensearch", check=False).returncode == 1


def test_a_file_without_the_security_plugin_is_refused(installation):
    told = installation.play("search.yml", ok=False, search_version="3.8.0").output
    assert "has no security plugin" in told, told[-2000:]
    assert installation.hosts["search-1"].run("test", "-e", "/etc/opensearch", check=False).returncode == 1


def test_one_node_becomes_three_and_keeps_what_it_has(installation, only, servers):
    only(["search-1"], "search.yml")
    settings = {"number_of_shards": 3, "auto_expand_replicas": "0-1"}
    servers["search-1"].good("PUT", "recalls-1", json.dumps({"settings": settings, "aliases": {"recalls": {}, "recalls-1-writes": {"is_write_index": True}}}))
    for number in range(50):
        servers["search-1"].good("PUT", f"recalls-1/_doc/{number}", json.dumps({"number": number}))

    installation.play("search.yml")
    for name in NAMES:
        until(f"whole indexes at {name}", lambda name=name: whole(installation.hosts[name]))
        assert len(documents(installation.hosts[name])) == 50, name


def test_a_second_run_changes_nothing(installation):
    hosts = [installation.hosts[name] for name in NAMES]
    running = [pid(host, "opensearch") for host in hosts]
    again = installation.play("search.yml", "--diff")
    assert again.changed == {}, again.changed_tasks
    assert [pid(host, "opensearch") for host in hosts] == running


def test_nobody_joins_without_a_certificate_of_the_installation(installation):
    peer, address = installation.hosts["search-2"], installation.hosts["search-1"].address
    assert not installation.hosts.outside.reaches(address, 9300)
    assert peer.reaches(address, 9300)
    ask = f"(sleep 2; echo) | timeout 10 openssl s_client -connect {address}:9300 -CAfile /etc/opensearch/tls/ca.pem -verify_return_error"
    with_its_own = peer.shell(f"{ask} -cert /etc/opensearch/tls/cert.pem -key /etc/opensearch/tls/key.pem 2>&1", check=False)
    assert "alert" not in with_its_own and "Verify return code: 0 (ok)" in with_its_own, with_its_own
    assert "alert" in (told := peer.shell(f"{ask} 2>&1", check=False)), told
    peer.shell("openssl req -x509 -newkey rsa:2048 -nodes -keyout /tmp/own.key -out /tmp/own.pem -subj /CN=search-2 -days 1 2> /dev/null")
    assert "alert" in (told := peer.shell(f"{ask} -cert /tmp/own.pem -key /tmp/own.key 2>&1", check=False)), told


def test_a_node_without_power_is_missed_by_nobody(installation, servers):
    gone, left = installation.hosts["search-1"], [servers["search-2"], servers["search-3"]]
    before = documents(left[0].host)
    installation.hosts.kill(gone)
    until("a document that is taken", lambda: left[0].ask("PUT", "recalls/_doc/lost-node", json.dumps({"number": -1}))[0] in (200, 201))
    assert set(documents(left[1].host)) == {*before, "lost-node"}
    installation.hosts.power_on(gone)
    until("whole indexes", lambda: whole(gone), 240)
    assert set(documents(gone)) == {*before, "lost-node"}


def test_nodes_are_restarted_one_by_one_and_nothing_is_lost(installation, servers):
    hosts = [installation.hosts[name] for name in NAMES]
    running = [pid(host, "opensearch") for host in hosts]
    with Writer([servers[name] for name in NAMES], first=1000) as writer:
        installation.play("rolling-restart.yml", service="search")
    assert all(now not in ("0", then) for then, now in zip(running, [pid(host, "opensearch") for host in hosts], strict=True))
    away = restarted_one_by_one(hosts, "opensearch")
    assert len([at for at in writer.written.values() if away[0][0] < at < away[-1][1]]) > 20
    found = documents(hosts[2])
    assert set(writer.written) <= set(found), set(writer.written) - set(found)


def test_all_come_back_when_all_were_without_power(installation):
    hosts = [installation.hosts[name] for name in NAMES]
    before = documents(hosts[0])
    for act in (installation.hosts.kill, installation.hosts.power_on):
        for host in hosts:
            act(host)
    until("whole indexes", lambda: whole(hosts[1]), 240)
    assert documents(hosts[1]) == before


def test_what_three_nodes_saved_comes_back_on_fresh_hosts(installation):
    hosts = [installation.hosts[name] for name in NAMES]
    before = documents(hosts[0])
    installation.play("backup.yml")
    backup = max((installation.directory / "backups").iterdir())
    assert {path.name for path in backup.iterdir()} == {"SHA256SUMS", *(f"{name}.search.tar.zst" for name in NAMES)}
    for host in hosts:
        installation.hosts.replace(host)
        promise_files(installation, host)
    installation.play("restore.yml")
    until("whole indexes", lambda: whole(hosts[2]))
    assert documents(hosts[2]) == before
    assert all(host.shell("ls -A /var/lib/opensearch/snapshots") == "" for host in hosts)


def test_a_new_host_joins_and_begins_no_cluster_of_its_own(installation):
    """The first one, which began the cluster."""
    before, first = documents(installation.hosts["search-2"]), installation.hosts["search-1"]
    installation.hosts.replace(first)
    promise_files(installation, first)
    installation.play("search.yml")
    until("whole indexes", lambda: whole(first), 240)
    assert documents(first) == before


def test_teardown_leaves_nothing(installation):
    tears_down(installation, installation.hosts["search-2"], "opensearch", ("/var/log/nginx",), ("/etc/opensearch", "/etc/nginx/tls/search", "/etc/nginx/millstream-search.htpasswd"))
