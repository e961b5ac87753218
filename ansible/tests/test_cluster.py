"""The cluster as it is by default: Terraform on a local AWS API → its inventory → ten bare hosts in containers → site.yml → five apps
that run and are exact → each service restarted under load → three hosts without power → a reboot of all → teardown."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from hosts import free_subnet
from inventories import CLUSTER, WORLD, inventory
from stores import restarted_one_by_one
from test_cassandra import Node
from test_package import package_file  # noqa: F401
from typed import Typed
from whole import (
    assert_alike, assert_all_are_well, assert_apps_run, assert_comes_back, assert_exact, assert_pages, assert_tears_down, bare_hosts, eventually,
    members, told_by_terraform,
)  # fmt: skip

pytestmark = pytest.mark.full
EDGE = "edge-1"
# A host takes the machine's memory for its own, which ten of them share here.
SMALL = {"kafka_heap_mb": 384, "cassandra_heap_mb": 384, "search_heap_mb": 512}
# All of this takes more than an hour, of which `millstream verify` reads every record.
SLOW = {"wordcount": {"produce": {"rate": 10.0}}, "users": {"produce": {"rate": 5.0}}, "health": {"produce": {"rate": 5.0}}}
# On two processors.
MINUTES = 40
UNITS = {"kafka": "kafka", "cassandra": "cassandra", "mysql": "mariadb", "search": "opensearch", "worker": "millstream@weather", "edge": "nginx", "monitoring": "prometheus"}


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    return told_by_terraform(tmp_path_factory.mktemp("terraform"), "cluster")


@pytest.fixture(scope="module")
def site(told, installations, artifacts, package_file, tmp_path_factory):  # noqa: F811
    made = bare_hosts(installations, told, artifacts, package_file, tmp_path_factory.mktemp("feed"))
    made.playbooks.variables |= SMALL
    made.playbooks.variables["worker_settings"] |= SLOW
    return made


@pytest.fixture(scope="module")
def worker(site):
    """The first one, which runs the producers, too. Their names are AWS's, as it starts them."""
    return Typed(members(site, "worker")[0])


def at_once(act, hosts) -> None:
    """A few at a time: ten hosts that boot together are too much for two processors."""
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(act, hosts))


def test_terraforms_inventory_is_what_the_other_tests_take(told):
    assert_alike(told, inventory(CLUSTER, free_subnet(), "x"))


def test_bare_hosts_become_the_cluster(site, record_property):
    played = site.play("site.yml", patience=MINUTES * 60)
    record_property(f"site.yml on {len(site.hosts.all)} bare hosts", f"{played.seconds:.0f} s")
    record_property("MB of memory that processes have", {name: host.memory_used() for name, host in site.hosts.all.items()})


def test_a_second_run_changes_nothing(site, record_property):
    played = site.play("site.yml")
    record_property("site.yml again", f"{played.seconds:.0f} s")
    assert played.changed == {}, played.changed_tasks


def test_every_service_says_that_it_is_well(site):
    assert_all_are_well(site)


def test_each_row_is_on_three_nodes(site):
    told = Node(site, "cassandra-1").admin("SELECT keyspace_name, replication FROM system_schema.keyspaces")
    own = [line for line in told.splitlines() if line.split("|")[0].strip() in ("weather", "recalls", "my_keyspace", "system_auth")]
    assert len(own) == 4 and all("'dc1': '3'" in line for line in own), told


def test_five_apps_run_and_every_sink_is_exact(site, worker):
    for host in members(site, "worker"):
        assert_apps_run(host)
    assert_exact(worker)


def test_the_world_sees_recalls_and_only_who_has_the_password_the_console(site):
    assert_pages(site, EDGE)


def test_the_world_reaches_the_edges_pages_and_no_other_port(site):
    for host in site.hosts.all.values():
        assert [port for port in (22, 9090, 9100) if site.hosts.outside.reaches(host.address, port, 0.5)] == [], host.name
        inside = {rule["port"] for rule in host.open_ports if rule["from"] != WORLD}
        assert [port for port in inside if site.hosts.outside.reaches(host.address, port, 0.5)] == [], host.name


def test_every_host_is_seen_by_prometheus(site):
    def up() -> bool:
        targets = json.loads(site.hosts[EDGE].shell("curl -fsS 'http://127.0.0.1:9095/api/v1/targets?state=active'"))["data"]["activeTargets"]
        nodes = [target for target in targets if target["labels"]["job"] == "node"]
        return len(nodes) == len(site.hosts.all) and all(target["health"] == "up" for target in targets)

    eventually("all targets up", up)


@pytest.mark.parametrize("service", UNITS)
def test_a_service_is_restarted_host_by_host(site, service):
    def started() -> list[str]:
        return [host.shell(f"systemctl show -P ExecMainPID {UNITS[service]}") for host in members(site, service)]

    before = started()
    site.play("rolling-restart.yml", service=service)
    assert all(now not in ("0", then) for then, now in zip(before, started(), strict=True)), (before, started())
    restarted_one_by_one(members(site, service), UNITS[service])


def test_what_was_sent_during_the_restarts_is_exact(worker):
    assert_exact(worker)


def test_hosts_without_power_are_missed_by_nobody(site, worker):
    """A broker, a node and a worker: two of three copies are a majority, and the other worker has all partitions."""
    gone = [site.hosts["kafka-2"], site.hosts["cassandra-3"], members(site, "worker")[1]]
    at_once(site.hosts.kill, gone)
    assert_exact(worker)
    at_once(site.hosts.power_on, gone)
    assert_comes_back(site)
    assert_exact(worker)


def test_after_a_reboot_of_all_hosts_everything_comes_back_by_itself(site, worker):
    at_once(site.hosts.reboot, site.hosts.all.values())
    assert_comes_back(site)
    assert_exact(worker)


def test_teardown_leaves_nothing_that_runs_and_no_data(site):
    assert_tears_down(site)
