"""The role mysql: who is let in and to what, what it refuses, and that it comes back."""

from __future__ import annotations

import pytest
from stores import install, outward, pid, refuses, tears_down, until

KINDS = {"store": (1, ["mysql"])}


@pytest.fixture(scope="module")
def installation(installations):
    made = installations(KINDS)
    return install(made, made.hosts["store-1"], "mysql.yml", 3306)


@pytest.fixture(scope="module")
def server(installation):
    return Server(installation)


TLS = "--ssl-ca=/etc/mysql/tls/ca.pem --ssl-verify-server-cert"


class Server:
    """Asked by MariaDB's own client."""

    def __init__(self, installation, host: str = "store-1"):
        self.host, self.secrets = installation.hosts[host], installation.playbooks.secrets

    def password(self, app: str) -> str:
        return (self.secrets / f"mysql-{app}").read_text().strip()

    def ask(self, user: str, sql: str, password: str | None = None, options: str = TLS) -> tuple[int, str]:
        password = self.password(user) if password is None else password
        command = f"mariadb --no-defaults -h {self.host.address} {options} -u {user} --password='{password}' -Ne \"{sql}\" 2>&1"
        done = self.host.run("bash", "-c", command, check=False)
        return done.returncode, done.stdout.strip()

    def app(self, user: str, sql: str) -> str:
        code, told = self.ask(user, sql)
        assert code == 0, told
        return told


@pytest.fixture(scope="module")
def row(server):
    """That a restart and a reboot must not lose."""
    server.app("wordcount", "CREATE TABLE wordcount.seen (id int PRIMARY KEY, told text); INSERT INTO wordcount.seen VALUES (1, 'kept')")
    return "SELECT told FROM wordcount.seen WHERE id = 1"


def test_a_second_run_changes_nothing(installation, server):
    running = pid(server.host, "mariadb")
    again = installation.play("mysql.yml", "--diff")
    assert again.changed == {}, again.changed_tasks
    assert pid(server.host, "mariadb") == running


def test_an_app_has_rights_on_its_own_databases_only(server, row):
    assert server.app("wordcount", row) == "kept"
    server.app("wordcount", "ALTER TABLE wordcount.seen ADD COLUMN n int; UPDATE wordcount.seen SET n = 2; DELETE FROM wordcount.seen WHERE id = 2")
    # Health's producer makes the table of patients and fills it.
    server.app("health", "CREATE TABLE hospital.demographics (id int PRIMARY KEY); INSERT INTO hospital.demographics VALUES (1)")
    for user, sql in [
        ("health", row),
        ("wordcount", "SELECT 1 FROM hospital.demographics"),
        ("wordcount", "DROP TABLE wordcount.seen"),
        ("wordcount", "CREATE DATABASE mine"),
        ("wordcount", "SELECT 1 FROM mysql.user"),
        ("wordcount", "SELECT 'a' INTO OUTFILE '/var/lib/mysql/a'"),
    ]:
        code, told = server.ask(user, sql)
        assert code != 0 and "denied" in told, (sql, told)


@pytest.mark.parametrize(
    "user, password, options",
    [("root", "", TLS), ("wordcount", "wrong", TLS), ("stranger", "", TLS), ("wordcount", None, "--skip-ssl")],
    ids=["root by the network", "a wrong password", "nobody's name", "without TLS"],
)
def test_a_stranger_is_refused(server, user, password, options):
    code, told = server.ask(user, "SELECT 1", password, options)
    assert code != 0 and "Access denied" in told, told


def test_root_comes_by_the_socket_only(server):
    assert server.host.shell("mariadb -Ne 'SELECT current_user()'") == "root@localhost"
    other = server.host.run("runuser", "-u", "nobody", "--", "mariadb", "-u", "root", "-e", "SELECT 1", check=False)
    assert other.returncode != 0 and "denied" in other.stderr


def test_it_listens_inside_only(server):
    assert outward(server.host) == {(server.host.address, 3306)}


def test_rights_that_somebody_gave_are_taken_again(installation, server, row):
    grants = "GRANT SELECT ON wordcount.* TO health; GRANT DROP ON wordcount.* TO wordcount; ALTER USER wordcount IDENTIFIED BY 'another'"
    server.host.shell(f'mariadb -e "{grants}"')
    assert server.ask("health", row)[0] == 0 and server.ask("wordcount", row)[0] != 0
    played = installation.play("mysql.yml")
    assert len(played.changed_tasks) == 1, played.changed_tasks
    assert server.ask("health", row)[0] != 0 and server.app("wordcount", row) == "kept"
    assert server.ask("wordcount", "DROP TABLE wordcount.seen")[0] != 0
    assert installation.play("mysql.yml").changed == {}


def test_settings_that_it_doesnt_take_are_refused(installation, server):
    file = "/etc/mysql/mariadb.conf.d/90-millstream.cnf"
    refuses(installation, server.host, "mysql.yml", "mariadb", file, "innodb_bufer_pool", mysql_settings={"innodb_bufer_pool": "1G"})


def test_it_comes_back_after_a_reboot(installation, server, row):
    installation.hosts.reboot(server.host)
    until("the row", lambda: server.ask("wordcount", row)[1] == "kept")


def test_teardown_leaves_nothing(installation, server):
    own = ("/etc/mysql/mariadb.conf.d/90-millstream.cnf", "/etc/mysql/tls", "/etc/systemd/system/mariadb.service.d")
    tears_down(installation, server.host, "mariadb", ("/etc", "/usr", "/var/lib/dpkg", "/var/cache", "/var/lib/apt"), own)
    assert server.host.run("ls", "/var/lib/mysql", check=False).returncode != 0
