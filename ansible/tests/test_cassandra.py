"""The role cassandra, one node: who is let in and to what, what it refuses, and that it comes back."""

from __future__ import annotations

import pytest
from stores import install, outward, pid, refuses, tears_down, until

KINDS = {"cassandra": (1, ["cassandra"])}
# At home it would make a directory for its history.
CQLSH = "HOME=/tmp SSL_VALIDATE=true SSL_CERTFILE=/etc/cassandra/tls/ca.pem /opt/millstream/cassandra/bin/cqlsh"


@pytest.fixture(scope="module")
def installation(installations, artifacts):
    made = installations(KINDS, artifacts, variables={"cassandra_heap_mb": 384})
    return install(made, made.hosts["cassandra-1"], "cassandra.yml", 9042)


@pytest.fixture(scope="module")
def node(installation):
    return Node(installation)


class Node:
    """Asked by Cassandra's own client, on the host."""

    def __init__(self, installation, host: str = "cassandra-1"):
        self.host, self.secrets = installation.hosts[host], installation.playbooks.secrets

    def password(self, secret: str) -> str:
        return (self.secrets / f"cassandra-{secret}").read_text().strip()

    def ask(self, user: str, password: str, cql: str, options: str = "--ssl") -> tuple[int, str]:
        command = f"{CQLSH} {options} -u '{user}' -p '{password}' {self.host.address} -e \"{cql}\" 2>&1"
        done = self.host.run("bash", "-c", command, check=False)
        return done.returncode, done.stdout

    def app(self, name: str, cql: str) -> str:
        code, told = self.ask(name, self.password(name), cql)
        assert code == 0, told
        return told

    def refused(self, name: str, cql: str) -> str:
        code, told = self.ask(name, self.password(name), cql)
        assert code != 0, told
        return told

    def admin(self, cql: str) -> str:
        code, told = self.ask("millstream_admin", self.password("admin"), cql)
        assert code == 0, told
        return told


@pytest.fixture(scope="module")
def row(node):
    """That a restart and a reboot must not lose."""
    node.app("weather", "CREATE TABLE weather.seen (id int PRIMARY KEY, told text); INSERT INTO weather.seen (id, told) VALUES (1, 'kept')")
    return "SELECT told FROM weather.seen WHERE id = 1"


def test_a_second_run_changes_nothing(installation, node):
    running = pid(node.host, "cassandra")
    again = installation.play("cassandra.yml", "--diff")
    assert again.changed == {}, again.changed_tasks
    assert pid(node.host, "cassandra") == running


def test_an_app_has_rights_on_its_own_keyspaces_only(node, row):
    assert "kept" in node.app("weather", row)
    for cql in (
        "CREATE TABLE recalls.mine (id int PRIMARY KEY)",
        "CREATE KEYSPACE mine WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}",
        "CREATE ROLE mine",
        "DROP KEYSPACE weather",
        "SELECT * FROM system_auth.roles",
    ):
        assert "Unauthorized" in node.refused("weather", cql), cql
    assert "Unauthorized" in node.refused("recalls", row)


@pytest.mark.parametrize(
    "user, password, options",
    [("cassandra", "cassandra", "--ssl"), ("weather", "wrong", "--ssl"), ("weather", None, "")],
    ids=["everybody's login", "a wrong password", "without TLS"],
)
def test_a_stranger_is_refused(node, user, password, options):
    code, told = node.ask(user, password or node.password(user), "SELECT cluster_name FROM system.local", options)
    assert code != 0 and "stores" not in told, told


def test_nodetool_wants_its_password(node):
    # The same command, but for who asks.
    bare = node.host.run("bash", "-c", "sed 's/ -u millstream -pwf [^ ]*//' /usr/local/sbin/nodetool | sh -s -- status 2>&1", check=False)
    assert bare.returncode != 0 and "Credentials required" in bare.stdout, bare.stdout
    assert f"UN  {node.host.address}" in node.host.shell("nodetool status")


def test_it_listens_inside_only(node):
    assert outward(node.host) == {(node.host.address, 9042), (node.host.address, 7000)}


def test_its_unit_is_confined(node):
    told = node.host.shell("systemd-analyze security --no-pager cassandra | tail -n 1")
    assert float(told.split(": ")[1].split()[0]) <= 3.0, told


def test_rights_that_somebody_gave_are_taken_again(installation, node, row):
    node.admin("GRANT SELECT ON KEYSPACE weather TO recalls; ALTER ROLE weather WITH PASSWORD = 'another'")
    until("the right", lambda: node.ask("recalls", node.password("recalls"), row)[0] == 0)
    played = installation.play("cassandra.yml")
    assert [task.partition(":")[0] for task in played.changed_tasks] == ["cassandra "], played.changed_tasks
    until("the revocation", lambda: node.ask("recalls", node.password("recalls"), row)[0] != 0)
    # A node remembers passwords for a while.
    until("the password", lambda: "kept" in node.ask("weather", node.password("weather"), row)[1])


def test_settings_that_it_doesnt_take_are_refused(installation, node):
    file = "/etc/cassandra/cassandra.yaml"
    refuses(installation, node.host, "cassandra.yml", "cassandra", file, "concurrent_raeds", cassandra_settings={"concurrent_raeds": 8})


def test_a_change_restarts_it_once_and_loses_nothing(installation, node, row):
    running = pid(node.host, "cassandra")
    installation.variables["cassandra_settings"] = installation.playbooks.variables["cassandra_settings"] = {"concurrent_reads": 16}
    played = installation.play("cassandra.yml")
    assert pid(node.host, "cassandra") != running and len(played.changed_tasks) == 2, played.changed_tasks
    assert "DRAINED" in node.host.shell("journalctl -u cassandra --no-pager")
    assert "kept" in node.app("weather", row)


def test_it_comes_back_after_a_reboot(installation, node, row):
    installation.hosts.reboot(node.host)
    until("the row", lambda: "kept" in node.ask("weather", node.password("weather"), row)[1])
    assert node.host.shell("systemctl is-active cassandra-repair.timer") == "active"


def test_teardown_leaves_nothing(installation, node):
    tears_down(installation, node.host, "cassandra", (), ("/etc/cassandra", "/etc/systemd/system/cassandra.service"))
