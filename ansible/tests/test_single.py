"""The whole path: Terraform on a local AWS API → its inventory → a bare host in a container that stands for its instance →
site.yml → five apps that run and are exact → pages and console by TLS → a reboot → teardown."""

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
from broker import Broker
from hosts import docker, free_subnet
from inventories import SINGLE, inventory
from playbooks import ANSIBLE, ROOT
from test_cassandra import Node
from test_mysql import Server as Database
from test_package import package_file  # noqa: F401
from typed import Typed

sys.path.append(str(ROOT / "terraform/tests"))
from local_aws import LocalAws  # noqa: E402
from terraform import Terraform, copy_configuration  # noqa: E402

pytestmark = pytest.mark.single
HOST = "millstream-1"
APPS = yaml.safe_load((ANSIBLE / "group_vars/all/apps.yml").read_text())["millstream_apps"]
# From a bare host to five apps at work.
MINUTES = 15
# Of the local lake.
KEY, SECRET = "millstream", "a-secret-of-the-tests"
S3_PORT = 7070
FEED = "device-enforcement.json.zip"
RECALLS = 200
SETTINGS = {
    "wordcount": {"produce": {"rate": 100.0}},
    "users": {"produce": {"rate": 20.0}},
}


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """Of `terraform apply`, for one host, in a network whose range is free on this machine, too."""
    cidr = str(free_subnet(16))
    given = {"topology": "single", "admin_cidrs": ["203.0.113.7/32"], "alerts": {"email": "ops@example.org"}, "network": {"cidr": cidr}, "catalog": {"mode": "projection"}}
    with pytest.MonkeyPatch.context() as patch, LocalAws() as aws:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        terraform = Terraform(copy_configuration(tmp_path_factory.mktemp("terraform")), aws.endpoint, given)
        terraform.apply()
        yield terraform.outputs()


@pytest.fixture(scope="module")
def told(outputs):
    """The inventory as Terraform tells it."""
    return yaml.safe_load(outputs["ansible_inventory"])


@pytest.fixture(scope="module")
def site(told, installations, artifacts, package_file, tmp_path_factory):  # noqa: F811
    feed = write_feed(tmp_path_factory.mktemp("feed") / FEED)
    made = installations(copy.deepcopy(told), artifacts, package_file.parent, feed.parent)
    lake = start_lake(made.hosts, told["all"]["vars"])
    made.playbooks.variables |= {
        "worker_package": str(package_file),
        "worker_settings": SETTINGS | {"recalls": {"feed": {"url": f"{made.mirror.url}/{FEED}"}}},
        "worker_memory_mb": 64,
        "worker_environment": {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_REGION": told["all"]["vars"]["lake_region"]},
        "millstream_lake_endpoint": f"http://{lake}:{S3_PORT}",
        # There is nobody at AWS's address here.
        "monitoring_cloudwatch": False,
    }
    return made


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
    """The first answer that is true; the last one is told if there is none in time."""
    deadline, last = time.monotonic() + seconds, None
    while time.monotonic() < deadline:
        if last := happens():
            return last
        time.sleep(1)
    raise AssertionError(f"{what}: not within {seconds} s; last: {last!r}")


def test_terraforms_inventory_is_what_the_other_tests_take(told):
    made = inventory(SINGLE, free_subnet(), "x")
    assert set(told["all"]["vars"]) == set(made["all"]["vars"])
    assert set(told["all"]["children"]) == set(made["all"]["children"])
    ours, theirs = made["all"]["hosts"][HOST], told["all"]["hosts"][HOST]
    assert set(theirs) == set(ours)

    def rules(host: dict) -> set[tuple]:
        return {(rule["port"], rule["from"]) for rule in host["open_ports"]}

    assert rules(theirs) == rules(ours)


def test_check_tells_what_would_be_done_and_does_nothing(site):
    host = site.hosts[HOST]
    before = host.changes()
    played = site.play("site.yml", "--check")
    assert host.changes() == before, f"--check changed {sorted(host.changes() ^ before)[:20]}"
    assert played.changed[HOST] > 20, "nothing would be done?"


def test_a_bare_host_gets_everything_in_time(site):
    played = site.play("site.yml", patience=2 * MINUTES * 60)
    print(f"site.yml on a bare host: {played.seconds:.0f} s; memory {memory(site.hosts[HOST]):.0f} MB")
    assert played.seconds < MINUTES * 60
    told = json.loads(docker("inspect", site.hosts[HOST].container).stdout)[0]
    assert told["HostConfig"]["Memory"] == 8 << 30 and not told["State"]["OOMKilled"]


def memory(host) -> float:
    """MB that processes have for themselves, in the container's own control group."""
    shell = "cat /sys/fs/cgroup/memory/memory.stat 2>/dev/null || cat /sys/fs/cgroup/memory.stat"
    told = dict(line.split() for line in host.shell(f"cd / && {shell}").splitlines())
    return int(told.get("total_rss", told.get("anon", 0))) / (1 << 20)


def test_a_second_run_changes_nothing(site):
    played = site.play("site.yml")
    assert played.changed == {}, played.changed_tasks


def test_every_service_says_that_it_is_well(site):
    said = site.play("check.yml", check_disk_percent=99).output
    assert "are well" in said, said[-3000:]


def test_five_apps_run_and_every_sink_is_exact(site):
    host = Typed(site.hosts[HOST])
    running = host.run("systemctl list-units --plain --no-legend --state=active 'millstream@*' | cut -d' ' -f1").split()
    assert {unit.removesuffix(".service") for unit in running} == {f"millstream@{app}" for app in APPS}
    exact(host)


def exact(host: Typed) -> None:
    """Nothing more is sent; what was is in every sink, once."""
    producers = host.run("systemctl list-units --plain --no-legend --state=active 'millstream-produce@*' | cut -d' ' -f1").split()
    assert len(producers) > 1, producers
    host.run("systemctl stop 'millstream-produce@*'")
    try:
        said = eventually("millstream verify", lambda: [out for out in [host._do("millstream-here verify --json 2> /dev/null")] if out.returncode == 0], 300)
    finally:
        host.run(f"systemctl start {' '.join(producers)}")
    reports = json.loads(said[0].stdout)["pipelines"]
    assert {report["app"] for report in reports if report["delivered"] > 0} == set(APPS), reports


def browse(site, path: str, *options: str) -> tuple[int, str]:
    """What somebody outside is answered by the edge, whose certificate the installation's authority has signed."""
    outside, address = site.hosts.outside, site.hosts[HOST].address
    outside.run("tee", "/tmp/ca.pem", stdin=(site.playbooks.secrets / "pki/ca.pem").read_text())
    url = f"https://{address}{path}"
    done = outside.run("curl", "-sS", "--cacert", "/tmp/ca.pem", "--max-time", "20", "-w", "\n%{http_code}", *options, url, check=False)
    body, _, code = done.stdout.rpartition("\n")
    return int(code or 0), body if code != "000" else done.stderr


def test_the_world_sees_recalls_and_only_who_has_the_password_the_console(site):
    code, page = eventually("the page of recalls", lambda: [a for a in [browse(site, "/")] if a[0] == 200])[0]
    assert "recall" in page.lower(), page[:500]
    assert browse(site, "/console/")[0] == 401
    password = (site.playbooks.secrets / "console-admin").read_text().strip()
    code, page = browse(site, "/console/", "-u", f"admin:{password}")
    assert code == 200 and "millstream" in page.lower(), f"{code}: {page[:500]}"


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
    for user, password, options in [("wordcount", "wrong", ""), ("root", "", ""), ("wordcount", None, "--skip-ssl")]:
        code, told = database.ask(user, rows, password, options)
        assert code != 0 and ("denied" in told or "secure" in told or "TLS" in told), (user, told)
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
    assert browse(site, "/", "--tls-max", "1.1")[0] == 0
    assert "strict-transport-security" in browse(site, "/", "-I")[1].lower()


def test_sinks_are_saved_by_the_clock(site):
    for store in ("cassandra", "mysql", "search"):
        assert site.hosts[HOST].shell(f"systemctl is-active millstream-save@{store}.timer") == "active"


@pytest.mark.parametrize("unit", ["millstream@weather", "millstream-serve@recalls", "kafka", "cassandra", "opensearch"])
def test_a_unit_may_do_little(site, unit):
    told = site.hosts[HOST].shell(f"systemd-analyze security --no-pager {unit} | tail -n 1")
    assert float(told.split(": ")[1].split()[0]) <= 3.0, told


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


def test_after_a_reboot_everything_comes_back_by_itself(site):
    host = site.hosts[HOST]
    site.hosts.reboot(host)
    eventually("check.yml", lambda: site.play("check.yml", ok=None, check_disk_percent=99).code == 0, 300)
    exact(Typed(host))


def test_teardown_leaves_nothing_that_runs_and_no_data(site):
    host = site.hosts[HOST]
    site.play("teardown.yml", millstream_delete_data=True)
    assert site.play("teardown.yml", millstream_delete_data=True).changed == {}
    left = host.shell("systemctl list-units --all --plain --no-legend 'millstream*' kafka.service cassandra.service opensearch.service mariadb.service nginx.service prometheus.service")
    assert left == ""
    for path in ("/etc/millstream", "/opt/millstream", "/var/lib/kafka", "/var/lib/cassandra", "/var/lib/millstream"):
        assert host.run("test", "-e", path, check=False).returncode == 1, path
