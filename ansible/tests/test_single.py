"""The whole path: Terraform on a local AWS API → its inventory → a bare host in a container that stands for its instance →
site.yml → five apps that run and are exact → pages and console by TLS → a reboot → teardown."""

from __future__ import annotations

import json
import time

import pytest
from broker import Broker
from hosts import docker, free_subnet
from inventories import SINGLE, inventory
from test_cassandra import Node
from test_mysql import TLS
from test_mysql import Server as Database
from test_package import package_file  # noqa: F401
from typed import Typed
from whole import (
    RECALLS, assert_alike, assert_all_are_well, assert_apps_run, assert_comes_back, assert_exact, assert_pages, assert_tears_down, bare_hosts, browse, eventually,
    told_by_terraform,
)  # fmt: skip

pytestmark = pytest.mark.single
HOST = "millstream-1"
# From a bare host to five apps at work.
MINUTES = 15


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """The inventory as Terraform tells it."""
    return told_by_terraform(tmp_path_factory.mktemp("terraform"), "single")


@pytest.fixture(scope="module")
def site(told, installations, artifacts, package_file, tmp_path_factory):  # noqa: F811
    return bare_hosts(installations, told, artifacts, package_file, tmp_path_factory.mktemp("feed"))


def test_terraforms_inventory_is_what_the_other_tests_take(told):
    assert_alike(told, inventory(SINGLE, free_subnet(), "x"))


def test_check_tells_what_would_be_done_and_does_nothing(site):
    host = site.hosts[HOST]
    before = host.changes()
    played = site.play("site.yml", "--check")
    assert host.changes() == before, f"--check changed {sorted(host.changes() ^ before)[:20]}"
    assert played.changed[HOST] > 20, "nothing would be done?"


def test_a_bare_host_gets_everything_in_time(site, record_property):
    played = site.play("site.yml", patience=2 * MINUTES * 60)
    record_property("site.yml on a bare host", f"{played.seconds:.0f} s of {MINUTES * 60}")
    assert played.seconds < MINUTES * 60


def test_a_second_run_changes_nothing(site, record_property):
    played = site.play("site.yml")
    record_property("site.yml again", f"{played.seconds:.0f} s")
    assert played.changed == {}, played.changed_tasks


def test_every_service_says_that_it_is_well(site):
    assert_all_are_well(site)


def test_five_apps_run_and_every_sink_is_exact(site, record_property):
    assert_apps_run(site.hosts[HOST])
    assert_exact(Typed(site.hosts[HOST]))
    record_property("memory that processes have", f"{site.hosts[HOST].memory_used()} MB")


def test_the_world_sees_recalls_and_only_who_has_the_password_the_console(site):
    assert_pages(site, HOST)


def test_brokers_let_in_who_has_a_password_to_what_is_his(site):
    broker = Broker(site.hosts[HOST], site.playbooks.secrets)
    assert "invalid credentials" in broker.ask("1", "weather", password="wrong")["why"]
    named = "c.ask('Metadata', topics=[{'name': 'weather'}], create=False, cluster_rights=False, topic_rights=False)"
    assert "refused" in broker.ask(named, user=None)
    not_allowed, allowed = 29, 0
    assert broker.ask(named, "weather")["topics"][0]["error"] == allowed
    assert broker.ask(named, "wordcount")["topics"][0]["error"] == not_allowed


def test_cassandra_lets_in_who_has_a_password_to_what_is_his(site):
    node = Node(site, HOST)
    rows = "SELECT city FROM weather.weather LIMIT 1"
    for user, password, options in [("weather", "wrong", "--ssl"), ("cassandra", "cassandra", "--ssl"), ("weather", node.password("weather"), "")]:
        assert node.ask(user, password, rows, options)[0] != 0, (user, options)
    node.app("weather", rows)
    assert "Unauthorized" in node.refused("recalls", rows)


def test_mariadb_lets_in_who_has_a_password_to_what_is_his(site):
    database = Database(site, HOST)
    rows = "SELECT count(*) FROM wordcount.wordCount"
    for user, password, options in [("wordcount", "wrong", TLS), ("root", "", TLS), ("wordcount", None, "--skip-ssl")]:
        code, told = database.ask(user, rows, password, options)
        assert code != 0 and "Access denied" in told, (user, told)
    assert int(database.app("wordcount", rows)) > 0
    assert "denied" in database.ask("health", rows)[1]


def test_search_lets_in_who_has_a_password_to_what_is_his(site):
    host, password = site.hosts[HOST], (site.playbooks.secrets / "search-recalls").read_text().strip()

    def ask(path: str, login: str = "") -> tuple[int, str]:
        """On the host: nobody else reaches the port."""
        curl = ["curl", "-sS", "-K", "-", "--cacert", "/etc/millstream/tls/ca.pem", "-w", "\n%{http_code}", f"https://{host.address}:9200/{path}"]
        answer, _, code = host.run(*curl, stdin=f'user = "{login}"' if login else "").stdout.rpartition("\n")
        return int(code), answer

    assert ask("recalls/_count")[0] == 401
    assert ask("recalls/_count", "recalls:wrong")[0] == 401
    code, answer = ask("recalls/_count", f"recalls:{password}")
    assert code == 200 and json.loads(answer)["count"] == RECALLS, answer
    assert ask("_all/_search", f"recalls:{password}")[0] == 403


def test_what_every_host_has(site):
    host = site.hosts[HOST]
    # A container has its machine's kernel settings; the file is what a host of its own would take.
    assert "vm.max_map_count=1048575" in host.shell("tr -d ' ' < /etc/sysctl.d/60-millstream.conf")
    told = host.shell("apt-config dump | grep APT::Periodic::Unattended")
    assert 'Unattended-Upgrade "1"' in told, told


def test_every_target_is_seen_by_prometheus(site):
    asked = "curl -fsS 'http://127.0.0.1:9095/api/v1/targets?state=active'"

    def up() -> bool:
        targets = json.loads(site.hosts[HOST].shell(asked))["data"]["activeTargets"]
        seen = {target["labels"]["job"] for target in targets if target["health"] == "up"}
        return len(targets) == 4 and seen == {"alertmanager", "millstream", "node", "prometheus"}

    eventually("all targets up", up)


def test_the_edge_speaks_tls_only(site):
    outside, address = site.hosts.outside, site.hosts[HOST].address
    told = outside.run("curl", "-sS", "-o", "/dev/null", "-w", "%{http_code} %{redirect_url}", f"http://{address}/").stdout
    assert told.startswith("301 https://"), told
    assert browse(site, HOST, "/", "--tls-max", "1.1")[0] == 0
    assert "strict-transport-security" in browse(site, HOST, "/", "-I")[1].lower()


def test_sinks_are_saved_by_the_clock(site):
    for store in ("cassandra", "mysql", "search"):
        assert site.hosts[HOST].shell(f"systemctl is-active millstream-save@{store}.timer") == "active"


@pytest.mark.parametrize("unit", ["millstream@weather", "millstream-serve@recalls", "kafka", "cassandra", "opensearch"])
def test_a_unit_may_do_little(site, unit, record_property):
    told = site.hosts[HOST].shell(f"systemd-analyze security --no-pager {unit} | tail -n 1")
    level = float(told.split(": ")[1].split()[0])
    record_property("exposure", f"{level} of 3.0")
    assert level <= 3.0, told


def test_a_search_may_ask_whether_a_page_is_in_memory(site):
    """Lucene does it only now and then, so that a search that succeeds shows nothing."""
    asks = "import ctypes, mmap; page = ctypes.c_char.from_buffer(mmap.mmap(-1, 4096)); print(ctypes.CDLL(None).mincore(ctypes.byref(page), 4096, ctypes.create_string_buffer(1)))"
    allowed = site.hosts[HOST].shell("systemctl show --property SystemCallFilter --value opensearch")
    limits = ["--property", f"SystemCallFilter={allowed}", "--property", "SystemCallErrorNumber=EPERM"]
    assert site.hosts[HOST].run("systemd-run", "--quiet", "--pipe", "--wait", *limits, "python3", "-c", asks).stdout.strip() == "0"


def test_no_port_of_data_can_be_reached_from_outside(site):
    host = site.hosts[HOST]
    reached = [port for port in (9042, 7000, 7001, 3306, 9092, 9093, 9200, 9300, 9090, 9100, 22) if site.hosts.outside.reaches(host.address, port, 0.5)]
    assert reached == []
    listening = host.shell("ss -Hltn | awk '{print $4}'").split()
    wide = {address for address in listening if address.startswith(("0.0.0.0:", "*:", "[::]:"))}
    assert {address.rpartition(":")[2] for address in wide} <= {"80", "443"}, wide


def test_after_a_reboot_everything_comes_back_by_itself(site, record_property):
    host = site.hosts[HOST]
    begun = time.monotonic()
    site.hosts.reboot(host)
    assert_comes_back(site)
    record_property("from the reboot until check.yml finds all well", f"{time.monotonic() - begun:.0f} s")
    assert_exact(Typed(host))


def test_all_of_it_has_enough_with_8_gb(site):
    assert docker("inspect", "--format", "{{.HostConfig.Memory}}", site.hosts[HOST].container).stdout.strip() == str(8 << 30)
    assert site.hosts.killed_for_memory() == []


def test_teardown_leaves_nothing_that_runs_and_no_data(site):
    assert_tears_down(site)
