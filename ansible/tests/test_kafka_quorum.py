"""Three brokers: while 1,000 records a second are written, whatever is done to them loses none and doubles none."""

from __future__ import annotations

import json
import os
import re
import time

import pytest
import yaml
from broker import TOOLS, WIRE, Broker
from hosts import docker, free_subnet
from inventories import inventory

pytestmark = pytest.mark.full

RATE = 1000
OLD, NEW = "4.2.1", "4.3.1"
TOPIC = {"name": "load", "partitions": 6, "compacted": False}
VARIABLES = {"kafka_heap_mb": 384, "kafka_more_topics": [TOPIC], "millstream_patience": 180, "kafka_gate_seconds": 60}

# Looks at one broker after the other, and tells the worst that any of them said.
WATCH = """
import json, os, sys, time
sys.path.insert(0, '/root')
from kafka_wire import *
password, addresses = sys.argv[1], sys.argv[2:]
said, asked = [], 0
while True:
    for address in addresses:
        try:
            c = Connection(address, '/etc/kafka/tls/ca.pem', user='admin', password=password, timeout=3)
            told = c.ask('Metadata', topics=None, create=False, cluster_rights=False, topic_rights=False)
            c.close()
        except (KafkaError, OSError):
            continue
        asked += 1
        said += [f"{t['name']}-{p['index']}" for t in told['topics'] for p in t['partitions'] if p['leader'] < 0]
    with open('/root/watching', 'w') as file:
        json.dump({'asked': asked, 'offline': sorted(set(said))}, file)
    os.replace('/root/watching', '/root/watched')
    time.sleep(0.5)
"""


class Cluster:
    def __init__(self, installation, names):
        self.installation, self.hosts = installation, installation.hosts
        self.brokers = {name: Broker(self.hosts[name], installation.playbooks.secrets) for name in names}

    def __getitem__(self, name: str) -> Broker:
        return self.brokers[name]

    def play(self, playbook: str, *options: str, **variables):
        return self.installation.play(playbook, *options, **{"kafka_version": OLD, **variables})

    def started(self) -> dict[str, str]:
        return {name: broker.started() for name, broker in self.brokers.items()}

    def stored(self) -> int:
        code, said = self["kafka-1"].tool("kafka-get-offsets", "--topic", TOPIC["name"])
        assert code == 0, said
        return sum(int(line.rsplit(":", 1)[1]) for line in said.splitlines() if line.startswith("load:"))

    def wait_until_well(self, seconds: float = 120) -> None:
        """All three there, and each partition with all its replicas."""
        deadline = time.monotonic() + seconds
        while True:
            told = self["kafka-1"].ask("c.ask('Metadata', topics=None, create=False, cluster_rights=False, topic_rights=False)")
            partitions = [it for topic in told.get("topics", []) for it in topic["partitions"]]
            behind = [it for it in partitions if len(it["isr"]) < len(it["replicas"])]
            if len(told.get("brokers", [])) >= 3 and partitions and not behind:
                return
            assert time.monotonic() < deadline, f"not well after {seconds} s: {told.get('brokers', told)}, {len(behind)} partitions lack replicas"
            time.sleep(1)


class Load:
    """A producer at a steady rate, on a host that has nothing to do with Kafka but its tools; and a look at all partitions meanwhile."""

    def __init__(self, cluster: Cluster, record):
        self.cluster, self.broker, self.record = cluster, cluster["kafka-3"], record
        self.at = self.broker.host

    def __enter__(self) -> Load:
        # Of one that didn't come to its end.
        self.at.run("systemctl", "stop", "produce", "watch", check=False)
        self.before = self.cluster.stored()
        self.at.run("tee", "/root/watch.py", stdin=WATCH)
        docker("cp", "-q", str(WIRE), f"{self.at.container}:/root/kafka_wire.py")
        settings = self.broker.settings_for("admin")
        self.at.run("tee", "-a", settings, stdin="retries=2147483647\ndelivery.timeout.ms=120000\nenable.idempotence=true\n")
        servers = [broker.address for broker in self.cluster.brokers.values()]
        self.at.run("rm", "-f", "/root/watched", "/root/acked")
        self.at.run("systemd-run", "-q", "--collect", "--unit", "watch", "python3", "/root/watch.py", self.broker.password("admin"), *servers)
        # The release's own directory: the link is pointed elsewhere by an upgrade, and a JVM opens its files when it needs them.
        home = self.at.shell(f"realpath {TOOLS}/..")
        produce = (
            f"exec {home}/bin/kafka-run-class.sh org.apache.kafka.tools.VerifiableProducer --topic load --bootstrap-server {','.join(servers)} "
            f"--throughput {RATE} --acks -1 --producer.config {settings} > /root/acked 2> /root/failed"
        )
        tool = ["--setenv=KAFKA_HEAP_OPTS=-Xmx128m", f"--setenv=KAFKA_HOME={home}"]
        self.at.run("systemd-run", "-q", "--collect", "--unit", "produce", "-p", "KillMode=mixed", *tool, "bash", "-c", produce)
        deadline = time.monotonic() + 60
        # Of each partition, too: a broker that knows nothing of a producer takes any batch of his for the first, and if its partition's leader
        # goes away with the first one in flight, the second may come before it, which is then out of order for ever.
        while self.acked() < RATE or self.partitions() < TOPIC["partitions"]:
            assert time.monotonic() < deadline, self.at.shell("tail -n 5 /root/failed /root/acked", check=False)
            time.sleep(1)
        self.begun, self.looked = time.monotonic(), self.watched()["asked"]
        return self

    def watched(self) -> dict:
        return json.loads(self.at.shell("cat /root/watched"))

    def acked(self) -> int:
        return int(self.at.shell("grep -c producer_send_success /root/acked || true", check=False) or 0)

    def partitions(self) -> int:
        """How many have acknowledged something."""
        told = self.at.shell("grep producer_send_success /root/acked | grep -o '\"partition\":[0-9]*' | sort -u | wc -l", check=False)
        return int(told or 0)

    def __exit__(self, *failed) -> None:
        still = self.at.run("systemctl", "is-active", "watch", check=False).stdout.strip()
        # The tool sends what is in hand before it ends, and tells the totals.
        self.at.run("systemctl", "stop", "produce", check=False)
        self.at.run("systemctl", "stop", "watch", check=False)
        if failed[0]:
            return
        total = json.loads(self.at.shell("grep tool_data /root/acked"))
        watched = self.watched()
        looked = watched["asked"] - self.looked
        stored = self.cluster.stored() - self.before
        self.record("sent, acknowledged, stored", f"{total['sent']}, {total['acked']}, {stored}; {total['avg_throughput']:.0f} a second")
        self.record("partitions looked at, found offline", f"{looked} times, {len(watched['offline'])}")
        assert total["sent"] == total["acked"] == stored > 0, (total, stored, self.at.shell("grep -m 3 error /root/acked", check=False))
        # Each broker in turn, who takes 3 s if he is away.
        assert still == "active" and looked > (time.monotonic() - self.begun) / 5, (still, looked)
        assert watched["offline"] == [], watched


@pytest.fixture(scope="module")
def cluster(installations, artifacts):
    """Three brokers of the version before, one in each place."""
    made = inventory({"kafka": (4, ["kafka"])}, free_subnet(), f"quorum-{os.getpid()}")
    for number, host in enumerate(made["all"]["hosts"].values()):
        host["availability_zone"] = "abca"[number]
    installation = installations(made, artifacts, variables=VARIABLES)
    # The fourth stands there, but nobody knows it yet.
    whole = installation.playbooks.inventory
    three = yaml.safe_load(whole.read_text())
    three["all"]["hosts"].pop("kafka-4")
    three["all"]["children"]["kafka"]["hosts"].pop("kafka-4")
    installation.playbooks.inventory = installation.directory / "three.yml"
    installation.playbooks.inventory.write_text(yaml.safe_dump(three))
    found = Cluster(installation, ["kafka-1", "kafka-2", "kafka-3"])
    found.whole = whole
    installation.play("pki.yml")
    found.play("kafka.yml")
    return found


@pytest.fixture
def load(cluster, record_property) -> Load:
    return Load(cluster, record_property)


def test_a_second_run_changes_nothing(cluster):
    before = cluster.started()
    again = cluster.play("kafka.yml")
    assert again.changed == {}, again.changed_tasks
    assert cluster.started() == before


def test_replicas_are_in_different_places(cluster):
    for name, topic in cluster["kafka-1"].topics().items():
        assert all(sorted(it["replicas"]) == [1, 2, 3] for it in topic["partitions"]), name


def test_a_rolling_restart_loses_nothing(cluster, load):
    before = cluster.started()
    with load:
        cluster.play("rolling-restart.yml", service="kafka")
    after = cluster.started()
    assert all(before[name] != after[name] for name in before)


def test_an_upgrade_and_the_way_back_lose_nothing(cluster, load):
    def versions():
        return {broker.host.shell("readlink /opt/millstream/kafka") for broker in cluster.brokers.values()}

    with load:
        cluster.play("upgrade.yml", kafka_version=NEW)
        assert versions() == {f"/opt/millstream/kafka-{NEW}"}
        cluster.play("upgrade.yml", kafka_version=OLD)
        assert versions() == {f"/opt/millstream/kafka-{OLD}"}


def test_a_killed_broker_comes_back_by_itself(cluster, load):
    before = cluster["kafka-2"].started()
    with load:
        cluster.hosts["kafka-2"].run("systemctl", "kill", "--signal=KILL", "kafka")
        # As long as dead ones are counted as there, and then some.
        time.sleep(12)
        cluster.wait_until_well()
    assert cluster["kafka-2"].started() != before


def test_a_restart_that_is_due_is_not_lost_when_the_roll_stops(cluster):
    """The first broker has its new settings, and may not be restarted since another one is away; it is at the next run."""
    before = cluster.started()
    changed = {"kafka_settings": {"num.io.threads": 9}, "kafka_gate_seconds": 5, "millstream_patience": 60}
    cluster.hosts["kafka-3"].run("nft", "add", "rule", "inet", "millstream", "input", "tcp", "dport", "9092-9093", "drop")
    cluster.hosts["kafka-3"].run("nft", "insert", "rule", "inet", "millstream", "input", "ct", "state", "established", "drop")
    stopped = cluster.play("kafka.yml", ok=False, **changed)
    assert "look whether broker 1 may be restarted" in stopped.output
    assert cluster.started() == before
    assert "num.io.threads=9" in cluster["kafka-1"].host.shell("cat /etc/kafka/server.properties")
    cluster.hosts.wait(cluster.hosts["kafka-3"])
    cluster.wait_until_well()
    cluster.play("kafka.yml", **changed)
    after = cluster.started()
    assert all(before[name] != after[name] for name in before)
    assert cluster.play("kafka.yml", **changed).changed == {}


def test_new_passwords_and_certificates_lose_nothing(cluster, load):
    secrets, before = cluster.installation.playbooks.secrets, cluster.started()
    with load:
        (secrets / "kafka-broker").unlink()
        for file in (secrets / "pki").glob("kafka-*"):
            file.unlink()
        cluster.play("pki.yml")
        cluster.play("kafka.yml")
    after = cluster.started()
    assert all(before[name] != after[name] for name in before)


def test_a_broker_that_lost_its_disk_takes_its_place_again(cluster, load):
    others = {name: started for name, started in cluster.started().items() if name != "kafka-2"}
    with load:
        cluster.hosts.replace(cluster.hosts["kafka-2"])
        cluster.play("kafka.yml")
        cluster.wait_until_well()
    assert {name: cluster[name].started() for name in others} == others
    code, said = cluster["kafka-1"].tool("kafka-metadata-quorum", "describe", "--status")
    assert code == 0 and len(re.findall(r'"id": [123], "directoryId"', said.partition("CurrentObservers")[0])) == 3, said


def test_a_broker_more_takes_its_share(cluster, load):
    before = cluster.started()
    cluster.installation.playbooks.inventory = cluster.whole
    with load:
        cluster.play("add-broker.yml")
    assert cluster.started() == before
    topics = cluster["kafka-1"].topics()
    held = [number for topic in topics.values() for it in topic["partitions"] for number in it["replicas"]]
    first, second, third, fourth = (held.count(number) for number in (1, 2, 3, 4))
    # Three replicas in three places: the place that the first and the fourth share holds as much as each of the others.
    assert second == third == first + fourth and abs(first - fourth) <= 1, (first, second, third, fourth)
    assert cluster.play("add-broker.yml").changed == {}


def test_finalized_features_have_no_way_back(cluster):
    cluster.play("upgrade.yml", kafka_version=NEW, kafka_finalize=True)
    before = cluster.started()
    refused = cluster.play("upgrade.yml", ok=False, kafka_version=OLD)
    assert "its brokers wouldn't start" in " ".join(refused.output.split()) and cluster.started() == before
