"""Backup, loss of the host, restore to a fresh one: topics, positions, tables and index are as before, and the apps go on."""

from __future__ import annotations

import json

import pytest
from stores import until
from test_package import package_file  # noqa: F401

pytestmark = pytest.mark.full

# Producers that end, so that two looks can be compared.
APPS = ["wordcount", "users"]
PIPELINES = ["wordcount.counts", "users.details"]
SETTINGS = {"wordcount": {"produce": {"rate": 500.0}}, "users": {"produce": {"rate": 200.0}}}
SMALL = {"kafka_heap_mb": 384, "cassandra_heap_mb": 384, "worker_memory_mb": 16, "worker_apps": APPS, "worker_settings": SETTINGS}
SEARCH = "curl -fsS http://127.0.0.1:9200/"


@pytest.fixture(scope="module")
def installation(installations, artifacts, package_file):  # noqa: F811
    made = installations({"millstream": (1, ["kafka", "cassandra", "mysql", "search", "worker"])}, artifacts, variables=SMALL)
    made.playbooks.variables |= {"worker_package": str(package_file), "backup_to": str(made.directory / "backups")}
    for playbook in ("pki", "common", "kafka", "cassandra", "mysql", "search", "worker", "backups"):
        made.play(f"{playbook}.yml")
    return made


@pytest.fixture(scope="module")
def host(installation):
    return installation.hosts["millstream-1"]


def nothing_waits(host) -> bool:
    told = host.run("millstream-here", "verify", *PIPELINES, "--json", check=False)
    return all(pipeline["pending"] == 0 for pipeline in json.loads(told.stdout)["pipelines"])


def verified(host) -> dict:
    done = host.run("millstream-here", "verify", *PIPELINES, "--json", check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return json.loads(done.stdout)


def stands(host) -> dict:
    """Everything that a restore has to bring back."""
    tables = host.shell("mariadb -Ne \"SELECT table_name FROM information_schema.tables WHERE table_schema = 'wordcount' ORDER BY 1\"").split()
    return {
        "positions": [host.run("millstream-here", "position", "show", name, "--json").stdout.splitlines() for name in PIPELINES],
        "tables": {table: host.shell(f"mariadb -Ne 'SELECT * FROM wordcount.`{table}`' | sort | sha256sum") for table in tables},
        "index": host.shell(f"{SEARCH}recalls/_search | grep -o '\"hits\":.*'"),
    }


def test_what_is_saved_comes_back(installation, host, record_property):
    until("words that were counted", lambda: host.shell("mariadb -Ne 'SELECT count(*) FROM wordcount._millstream_ledger'") > "1")
    host.shell(f"""{SEARCH}recalls-1 -X PUT -H 'Content-Type: application/json' -d '{{"aliases": {{"recalls": {{}}}}}}'""")
    host.shell(f"""{SEARCH}recalls-1/_doc/1?refresh=true -X PUT -H 'Content-Type: application/json' -d '{{"told": "kept"}}'""")
    host.shell("systemctl stop 'millstream-produce@*'")
    host.shell("systemctl disable 'millstream-produce@wordcount' 'millstream-produce@users'")
    until("all of it in the sinks", lambda: nothing_waits(host))
    before, verify = stands(host), verified(host)

    saved = installation.play("backup.yml")
    record_property("backup.yml", f"{saved.seconds:.0f} s")
    assert host.shell("systemctl is-active millstream@wordcount kafka").split() == ["active", "active"]
    backup = max((installation.directory / "backups").iterdir())
    files = {path.name for path in backup.iterdir()}
    assert files == {"SHA256SUMS", *(f"millstream-1.{store}.tar.zst" for store in ("kafka", "cassandra", "mysql", "search"))}

    # Not over what is there.
    over = installation.play("restore.yml", ok=False)
    assert "isn't fresh" in over.output

    installation.hosts.replace(host)
    restored = installation.play("restore.yml")
    record_property("restore.yml on a bare host", f"{restored.seconds:.0f} s")
    installation.playbooks.variables["worker_produce"] = []
    installation.play("worker.yml")
    assert stands(host) == before
    assert verified(host) == verify

    # And on.
    installation.playbooks.variables.pop("worker_produce")
    installation.play("worker.yml")
    until("words that are counted anew", lambda: stands(host)["tables"] != before["tables"])
    host.shell("systemctl stop 'millstream-produce@*'")
    until("all of it in the sinks", lambda: nothing_waits(host))
    verified(host)


def test_a_backup_that_was_changed_is_refused(installation):
    backup = max((installation.directory / "backups").iterdir())
    saved = backup / "millstream-1.mysql.tar.zst"
    saved.chmod(0o600)
    saved.write_bytes(saved.read_bytes()[:-1] + b"\0")
    assert "millstream-1.mysql.tar.zst: FAILED" in installation.play("restore.yml", ok=False).output
    (backup / "SHA256SUMS").unlink()
    assert "no whole backup" in installation.play("restore.yml", ok=False).output


def test_sinks_are_saved_by_the_clock(installation, host):
    installation.play("backups.yml")
    assert installation.play("backups.yml").changed == {}
    for store in ("cassandra", "mysql", "search"):
        assert host.shell(f"systemctl is-active millstream-save@{store}.timer") == "active"
        host.shell(f"systemctl start millstream-save@{store}.service")
        host.shell(f"cd /var/lib/millstream-backups/{store} && sha256sum --check --quiet *.sha256")
