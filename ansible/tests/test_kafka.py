"""The role kafka, one broker: what it makes of a bare host, who is let in, and what it refuses."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import yaml
from broker import CA, Broker
from playbooks import ANSIBLE

APPS = yaml.safe_load((ANSIBLE / "group_vars/all/apps.yml").read_text())["millstream_apps"]
KINDS = {"kafka": (1, ["kafka"])}
UNKNOWN, NOT_ALLOWED = 3, 29


@pytest.fixture(scope="module")
def installation(installations, artifacts):
    """After a dry run on the bare host and the first real one."""
    made = installations(KINDS, artifacts, variables={"kafka_heap_mb": 384})
    host = made.hosts["kafka-1"]
    before = touched(host)
    write_password(made.playbooks.secrets / "kafka-broker", next(filter(comes_first, map(str, range(1 << 20)))))
    made.play("pki.yml")
    dry = made.play("kafka.yml", "--check")
    assert dry.changed and touched(host) == before
    host.shell("systemd-run -q --unit busy python3 -m http.server 9092")
    busy = made.play("kafka.yml", ok=False)
    assert "something else listens on port 9092" in busy.output and touched(host) == before
    host.shell("systemctl stop busy")
    first = made.play("kafka.yml")
    assert not any(secret in first.output + dry.output for secret in passwords(made))
    return made


@pytest.fixture(scope="module")
def broker(installation):
    return Broker(installation.hosts["kafka-1"], installation.playbooks.secrets)


def broker_user(password: str) -> str:
    return f"broker-{hashlib.sha256(password.encode()).hexdigest()[:8]}"


def comes_first(password: str) -> bool:
    """Whether the brokers' user of that password is the first one in a map of Java, of up to 1024 places. Deleted, Kafka would forget all others with it."""
    number = 0
    for letter in broker_user(password):
        number = (31 * number + ord(letter)) % (1 << 32)
    return (number ^ number >> 16) % 1024 == 0


def write_password(file: Path, password: str) -> None:
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file.touch(0o600)
    file.write_text(password + "\n")


def touched(host) -> set[str]:
    """Whoever comes to look has a home, and its times change."""
    return {line for line in host.changes() if "/home" not in line}


def passwords(installation) -> list[str]:
    return [path.read_text().strip() for path in installation.playbooks.secrets.glob("kafka-*")]


def test_a_second_run_changes_nothing(installation, broker):
    pid = broker.started()
    again = installation.play("kafka.yml", "--diff")
    assert again.changed == {}, again.changed_tasks
    assert broker.started() == pid


def test_each_app_has_its_topics(broker):
    topics = broker.topics()
    for app, uses in APPS.items():
        for topic in uses["topics"]:
            assert len(topics[topic["name"]]["partitions"]) == topic["partitions"], app
            for pipeline in topic["pipelines"]:
                assert f"{topic['name']}.replay.{app}.{pipeline}" in topics
    asked = "[dict(type=2, name=name, keys=['cleanup.policy', 'max.message.bytes']) for name in ('devices', 'weather')]"
    told = broker.ask(f"c.ask('DescribeConfigs', resources={asked}, synonyms=False)")["resources"]
    found = {it["name"]: {setting["name"]: setting["value"] for setting in it["configs"]} for it in told}
    assert found["devices"] == {"cleanup.policy": "compact", "max.message.bytes": "8388608"}
    assert found["weather"]["cleanup.policy"] == "delete"


def test_an_app_reads_and_writes_its_own_topics_only(broker):
    assert set(broker.topics("wordcount")) == {
        "kpmg_topic", "kpmg_topic.dead-letters", "kpmg_topic.replay.wordcount.counts", "kpmg_topic.replay.wordcount.counts.dead-letters",
        "millstream.history", "millstream.status",
    }  # fmt: skip
    named = [{"name": "weather"}]
    other = broker.ask(f"c.ask('Metadata', topics={named}, create=False, cluster_rights=False, topic_rights=False)", "wordcount")
    assert other["topics"][0]["error"] == NOT_ALLOWED
    code, said = broker.tool("kafka-console-producer", "--topic", "kpmg_topic", user="wordcount", option="--producer.config", stdin="a word\n")
    assert code == 0 and "Exception" not in said, said
    reading = ["--topic", "kpmg_topic", "--from-beginning", "--max-messages", "1", "--timeout-ms", "30000"]
    code, said = broker.tool("kafka-console-consumer", *reading, "--group", "wordcount.counts", user="wordcount", option="--consumer.config")
    assert code == 0 and "a word" in said, said
    _, said = broker.tool("kafka-console-consumer", *reading, "--group", "weather.table", user="wordcount", option="--consumer.config")
    assert "GroupAuthorizationException" in said
    _, said = broker.tool("kafka-console-producer", "--topic", "weather", user="wordcount", option="--producer.config", stdin="a lie\n")
    assert "TopicAuthorizationException" in said or "Not authorized" in said, said
    created = dict(name="mine", partitions=1, replication=1, assignments=[], configs=[])
    refused = broker.ask(f"c.ask('CreateTopics', topics=[{created}], timeout=5000, validate=False)", "wordcount")
    assert refused["topics"][0]["error"] == NOT_ALLOWED


def test_nobody_gets_in_without_the_password(broker):
    wrong = broker.ask("1", "wordcount", password="wrong")
    assert wrong["refused"] == "Refused" and "invalid credentials" in wrong["why"]
    assert broker.ask("1", "nobody", password="wrong")["refused"] == "Refused"
    silent = broker.ask("c.ask('Metadata', topics=None, create=False, cluster_rights=False, topic_rights=False)", user=None)
    assert "closed the connection" in silent["why"] or "reset" in silent["why"]
    # Without TLS, as Kafka's tools come when nobody tells them otherwise.
    plain = "import socket; s = socket.create_connection(('{}', 9092), 5); s.sendall(b'\\0\\0\\0\\x0a\\0\\x12\\0\\0\\0\\0\\0\\1\\xff\\xff'); s.settimeout(5); print(len(s.recv(100)))"
    done = broker.host.run("python3", "-c", plain.format(broker.host.address), check=False)
    assert done.returncode != 0 or done.stdout.strip() in ("0", "7"), done.stdout


def test_controllers_answer_brokers_only(broker):
    controllers = f"{broker.host.address}:9093"
    asked = "c.ask('DescribeCluster', rights=False, endpoints=2)"
    assert broker.ask(asked, None, address=controllers, certificate="/etc/kafka/tls/keystore.pem")["controller"] == 1
    stranger = broker.ask(asked, None, address=controllers)
    assert stranger["refused"], stranger


@pytest.mark.parametrize("port", [9092, 9093])
def test_tls_is_of_version_1_3(broker, port):
    tried = f"openssl s_client -connect {broker.host.address}:{port} -CAfile {CA} -verify_return_error"
    assert "TLSv1.3" in broker.host.shell(f"{tried} -brief < /dev/null 2>&1", check=False)
    assert broker.host.run("bash", "-c", f"{tried} -tls1_2 < /dev/null", check=False).returncode != 0


def test_no_port_is_open_but_on_the_private_address(installation, broker):
    local = [line.split()[3].rsplit(":", 1) for line in broker.host.shell("ss -H -ltn").splitlines()]
    listening = {(address.strip("[]").removeprefix("::ffff:"), int(port)) for address, port in local if not address.startswith("127.")}
    assert listening == {(broker.host.address, 9092), (broker.host.address, 9093)}
    assert not installation.hosts.outside.reaches(broker.host.address, 9092)
    assert not installation.hosts.outside.reaches(broker.host.address, 9093)


def test_no_secret_can_be_read_by_others(installation, broker):
    # They come by the standard input, or the search would find its own command.
    search = "grep -rlF -f - /etc /opt/millstream /run/millstream-started /proc/[0-9]*/cmdline 2>/dev/null"
    found = broker.host.run("bash", "-c", search, check=False, stdin="\n".join(passwords(installation))).stdout
    assert set(found.splitlines()) == {"/etc/kafka/jaas.conf", "/etc/kafka/admin.properties"}
    modes = broker.host.shell("stat -c '%U %G %a' /etc/kafka/jaas.conf /etc/kafka/admin.properties /etc/kafka/tls/key.pem /etc/kafka")
    assert modes.splitlines() == ["root kafka 640", "root root 600", "root kafka 640", "root kafka 750"]
    assert not broker.host.shell(f"journalctl -u kafka | grep -F -e {' -e '.join(passwords(installation))}", check=False)


def test_the_unit_is_confined(broker):
    exposure = broker.host.shell("systemd-analyze security kafka --no-pager | tail -1")
    assert float(exposure.split(": ")[1].split()[0]) <= 3.0, exposure
    assert broker.host.shell("ps -o user= -p $(systemctl show --value -p MainPID kafka)") == "kafka"


def test_settings_that_kafka_refuses_never_reach_the_broker(installation, broker):
    file, pid = broker.host.shell("sha256sum /etc/kafka/server.properties"), broker.started()
    refused = installation.play("kafka.yml", ok=False, kafka_settings={"log.retention.hours": "soon"})
    assert "Kafka refuses these settings" in refused.output and "log.retention.hours" in refused.output
    assert (broker.host.shell("sha256sum /etc/kafka/server.properties"), broker.started()) == (file, pid)
    again = installation.play("kafka.yml")
    assert again.changed == {}, again.changed_tasks


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"kafka_version": "9.9.9"}, "Versions that are known: 4.2.1, 4.3.1"),
        ({"kafka_retention_hours": "soon"}, "kafka_retention_hours"),
        ({"kafka_node_id": 0}, "brokers need numbers of their own"),
        ({"kafka_cluster_id": "AAAAAAAAAAAAAAAAAAAAAA"}, "holds the topics of another installation"),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_touched(installation, wrong, said):
    refused = installation.play("kafka.yml", ok=False, **wrong)
    assert said in refused.output and refused.changed == {}


def test_new_settings_and_passwords_take_effect(installation, broker):
    pid, old = broker.started(), {name: broker.password(name) for name in ("admin", "broker", "wordcount")}
    for name in old:
        (installation.playbooks.secrets / f"kafka-{name}").unlink()
    changed = installation.play("kafka.yml", "--diff", kafka_settings={"log.retention.hours": 24}, kafka_more_topics=[{"name": "more", "partitions": 2, "compacted": False}])
    assert "+log.retention.hours=24" in changed.output and not any(secret in changed.output for secret in [*old.values(), *passwords(installation)])
    assert broker.started() != pid and len(broker.topics()["more"]["partitions"]) == 2
    assert broker.ask("1", "wordcount") == 1 and broker.ask("1", "wordcount", password=old["wordcount"])["refused"]
    assert broker.ask("1", "admin", password=old["admin"])["refused"]
    before = broker_user(old["broker"])
    assert broker.ask("1", before, password=old["broker"])["refused"]
    code, said = broker.tool("kafka-acls", "--list", "--principal", f"User:{before}")
    assert code == 0 and "operation=" not in said, said
    code, said = broker.tool("kafka-acls", "--list", "--principal", f"User:{broker_user(broker.password('broker'))}")
    assert code == 0 and "operation=CLUSTER_ACTION" in said, said
    again = installation.play("kafka.yml")
    assert not any("users" in task for task in again.changed_tasks), again.changed_tasks


def test_it_comes_back_after_a_reboot(installation, broker):
    installation.hosts.reboot(broker.host)
    broker.wait_until_up()
    assert "weather" in broker.topics()
    again = installation.play("kafka.yml")
    assert again.changed == {}, again.changed_tasks


def test_teardown_takes_all_away_but_data_only_when_told(installation, broker):
    host, data = broker.host, "test -f /var/lib/kafka/data/meta.properties && echo there"
    installation.play("teardown.yml")
    assert host.shell("ls -d /etc/kafka /opt/millstream /etc/systemd/system/kafka.service* 2>/dev/null", check=False) == ""
    assert host.shell("systemctl list-units --all --no-legend 'kafka*'") == "" and host.shell(data) == "there"
    assert installation.play("teardown.yml").changed == {}
    installation.play("kafka.yml")
    assert "weather" in broker.topics()
    installation.play("teardown.yml", millstream_delete_data=True)
    assert host.shell(data, check=False) == "" and host.run("id", "kafka", check=False).returncode
    ours = {line for line in host.changes() if "kafka" in line or "millstream" in line}
    # The test's own, and the directory that a volume is mounted at.
    assert ours <= {"A /root/kafka_wire.py", "A /root/wordcount.properties", "A /var/lib/kafka", "C /var/lib/kafka"}, ours
