"""The role worker: settings from an inventory, and a host on which it installs, changes, scales and upgrades the apps."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from playbooks import ANSIBLE
from test_package import PROGRAMS, next_package, package_file  # noqa: F401
from typed import Typed, sh

sys.path.insert(0, str(ANSIBLE / "filter_plugins"))
import worker  # noqa: E402

PROGRAMS_AT = Path(os.environ.get("CARGO_TARGET_DIR") or ANSIBLE.parent / "target") / "debug"

APPS = yaml.safe_load((ANSIBLE / "group_vars/all/apps.yml").read_text())["millstream_apps"]
CLUSTER = {"kafka": ["10.0.0.1", "10.0.0.2", "10.0.0.3"], "cassandra": ["10.0.1.1"], "mysql": ["10.0.2.1"], "search": ["10.0.2.1"]}
CA = "/etc/millstream/tls/ca.pem"
TOLD = {
    "millstream_apps": APPS,
    "millstream_console": "10.0.3.1:9090",
    "millstream_pages": {"recalls": "127.0.0.1:8080"},
    "millstream_lake_endpoint": "",
    "worker_memory_mb": "64",
    "worker_settings": {},
    "domain": "example.org",
    "lake_url": "s3://lake?region=eu-central-1",
    "lake_region": "eu-central-1",
    "glue_database": "millstream",
    "catalog_mode": "registration",
}


@pytest.mark.parametrize("app", APPS)
def test_the_table_says_what_the_app_itself_says(app, tmp_path):
    """Topics, partitions, clean-up, groups, dead letters: as `plan` has them."""
    plan = sh(str(PROGRAMS_AT / app), "--data", str(tmp_path), "plan")
    found = {
        name: {"name": name, "partitions": int(partitions), "compacted": bool(compacted)}
        for name, partitions, compacted in re.findall(r"topic (\S+) \(.*?(\d+) partitions?(, compacted)?\)", plan)
    }
    pipelines = re.findall(rf"─▶ {app}\.(\w+)  \(group (\S+)\)", plan)
    said = {topic["name"]: {name: topic[name] for name in ("name", "partitions", "compacted")} for topic in APPS[app]["topics"] if topic["pipelines"]}
    assert found == said
    assert sorted(name for topic in APPS[app]["topics"] for name in topic["pipelines"]) == sorted(name for name, _ in pipelines)
    refresh = [f"{app}.refresh"] if APPS[app]["serve"] and not APPS[app]["produce"] else []
    assert sorted(APPS[app]["groups"]) == sorted([group for _, group in pipelines] + refresh)
    databases = {match for match in re.findall(r"tables/(\w+)\.db", plan)}
    assert databases == set(APPS[app]["cassandra"]) | set(APPS[app]["mysql"])
    assert ("/search/" in plan) == bool(APPS[app]["search"])


@pytest.mark.parametrize("app", APPS)
def test_the_app_understands_its_settings(app, tmp_path):
    """As they are for three brokers, with TLS; nobody is reached by `plan`."""
    authority = tmp_path / "ca.pem"
    sh("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=ca", "-keyout", "/dev/null", "-out", str(authority))
    settings = worker.settings(app, TOLD, CLUSTER, str(authority))
    file = tmp_path / "settings.toml"
    file.write_text("".join(f"[{section}]\n" + "".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items()) for section, values in settings.items()))
    environment = {**os.environ, **{name: "secret" for name in worker.passwords(app, APPS[app])}}
    done = subprocess.run([PROGRAMS_AT / app, "--data", tmp_path, "--config", file, "plan"], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_settings_follow_from_the_inventory():
    weather = worker.settings("weather", TOLD, CLUSTER, CA)
    assert weather["topics"]["url"] == f"kafka://weather@10.0.0.1:9092,10.0.0.2:9092,10.0.0.3:9092?ca={CA}&sasl=scram-sha-512&replication=3"
    assert weather["stores"]["tables"] == f"cassandra://weather@10.0.1.1:9042?ca={CA}&replication=1"
    assert weather["stores"]["lake"] == "s3://lake?region=eu-central-1"
    assert weather["stores"]["catalog"] == "glue://millstream?region=eu-central-1"
    # Athena reckons the partitions itself: nobody is told.
    assert "catalog" not in worker.settings("weather", {**TOLD, "catalog_mode": "projection"}, CLUSTER, CA)["stores"]
    own = {**TOLD, "millstream_lake_endpoint": "http://10.0.0.5:9000", "worker_settings": {"weather": {"poll": {"every_s": 60}, "topics": {"settings": ["a=b"]}}}}
    changed = worker.settings("weather", own, CLUSTER, CA)
    assert changed["stores"]["lake"].endswith("&endpoint=http://10.0.0.5:9000&path_style=on")
    assert changed["poll"] == {"every_s": 60} and changed["topics"]["settings"] == ["a=b"] and "url" in changed["topics"]
    recalls = worker.settings("recalls", TOLD, {**CLUSTER, "search": ["10.0.2.1", "10.0.2.2", "10.0.2.3"]}, CA)
    assert recalls["stores"]["search"] == f"https://recalls@10.0.2.1:9200,10.0.2.2:9200,10.0.2.3:9200?ca={CA}&replicas=1"
    assert worker.passwords("recalls", APPS["recalls"]) == {
        "RECALLS_TOPICS__PASSWORD": "kafka",
        "RECALLS_STORES__TABLES_PASSWORD": "cassandra",
        "RECALLS_STORES__SEARCH_PASSWORD": "search",
    }


def test_a_worker_is_restarted_only_when_the_others_can_spare_it():
    def overview(**changed):
        one = {"id": "users.details", "state": {"is": "running", "why": ""}, "partitions": 5, "lag": 0, **changed}
        return worker.behind({"pipelines": [one]}, "users", APPS["users"], 100)

    assert overview() == []
    assert "101 records behind" in overview(lag=101)[0]
    assert "3 of 5 partitions" in overview(partitions=3)[0]
    assert "silent: gone" in overview(state={"is": "silent", "why": "gone"})[0]
    assert "nobody tells" in overview(id="users.other")[0]


# ---- on a host, with the embedded stores ----

EMBEDDED = {"topics": {"url": "sqlite://log"}, "stores": {"tables": "sqlite://tables", "lake": "file://lake"}}
SETTINGS = {app: {**EMBEDDED, "roll": {"every_s": 0.5}} for app in APPS}
SETTINGS["health"] = {**EMBEDDED, "demographics": {"url": "sqlite://tables/hospital.db"}}
SETTINGS["recalls"] = {"topics": EMBEDDED["topics"], "stores": {**EMBEDDED["stores"], "search": "tantivy://search"}, "feed": {"url": "http://127.0.0.1:9/none.zip", "tries": 1}, "stand_in": {"recalls": 200}}
UNITS = {f"millstream@{app}" for app in APPS} | {f"millstream-produce@{app}" for app in APPS if APPS[app]["produce"]} | {"millstream-serve@recalls"}


class Site:
    """A host on which every role is said to be, so that settings follow, and none of the servers is."""

    def __init__(self, installation):
        self.installation = installation
        self.host = Typed(installation.hosts["millstream-1"])

    def play(self, playbook: str, *options: str, **variables):
        return self.installation.play(playbook, *options, **{"worker_settings": SETTINGS, "worker_memory_mb": 16, **variables})

    def active(self) -> dict[str, str]:
        """Units that run, with the process of each."""
        listed = self.host.run("systemctl list-units --plain --no-legend --state=active 'millstream*@*' | cut -d' ' -f1").split()
        return {unit.removesuffix(".service"): self.host.run(f"systemctl show -P MainPID {unit}") for unit in listed}


@pytest.fixture(scope="module")
def site(installations):
    made = installations({"millstream": (1, ["kafka", "cassandra", "mysql", "search", "worker", "edge"])})
    made.play("pki.yml")
    site = Site(made)
    site.host.run("apt-get update -q")
    return site


def test_a_host_runs_the_apps_changes_scales_and_upgrades(site, package_file, next_package):  # noqa: F811
    given = {"worker_package": str(package_file)}
    site.play("worker.yml", "--check", **given)
    assert site.host.code("test -e /etc/millstream") != 0, "--check wrote something"
    site.play("worker.yml", **given)
    before = site.active()
    assert set(before) == UNITS
    assert site.play("worker.yml", **given).changed_tasks == []
    assert site.active() == before

    # A setting of one app: its units are restarted, and no other.
    changed = {**SETTINGS, "users": {**SETTINGS["users"], "produce": {"rate": 7.0}}}
    site.play("worker.yml", **given, worker_settings=changed)
    after = site.active()
    assert {unit for unit in UNITS if after[unit] != before[unit]} == {"millstream@users", "millstream-produce@users"}

    # A roll that was stopped after the file was written is made good by the next run.
    site.host.run("sed -i 's/^rate = 7.0/rate = 8.0/' /etc/millstream/users.toml")
    changed["users"]["produce"] = {"rate": 8.0}
    site.play("worker.yml", **given, worker_settings=changed)
    assert site.active()["millstream@users"] != after["millstream@users"]

    # Two workers, and one again.
    site.play("scale-workers.yml", **given, worker_settings=changed, worker_instances=1, worker_instances_of={"wordcount": 2})
    assert set(site.active()) == UNITS - {"millstream@wordcount"} | {"millstream@wordcount-1", "millstream@wordcount-2"}
    site.play("worker.yml", **given, worker_settings=changed)
    assert set(site.active()) == UNITS

    # The package as it is, under another version: every unit is restarted, then none.
    newer = {"worker_package": str(next_package)}
    before = site.active()
    site.play("worker.yml", **newer, worker_settings=changed)
    after = site.active()
    assert set(after) == UNITS and all(after[unit] != before[unit] for unit in UNITS)
    assert "99.0.0" in site.host.run("dpkg-query -W millstream")
    # Everything that was sent on the way has arrived, once.
    site.host.run("systemctl stop 'millstream-produce@*'")
    site.host.run("systemctl stop 'millstream@wordcount*' && millstream-here wordcount process --until-caught-up")
    site.host.run("millstream-here verify wordcount.counts")
    assert all(site.host.code(f"test -x /{program}") == 0 for program in PROGRAMS)


def test_what_is_missing_is_told_before_anything_is_touched(site, tmp_path):
    nothing = site.play("worker.yml", ok=False).output
    assert "make the package by scripts/package" in nothing, nothing[-3000:]
    wrong = site.play("worker.yml", ok=False, worker_package=str(tmp_path / "none.deb"), worker_apps=["wether"]).output
    assert "none.deb, is not on this machine" in wrong and "there is no app wether" in wrong, wrong[-3000:]


def test_why_an_app_doesnt_start_is_told(site, package_file):  # noqa: F811
    told = site.play("worker.yml", ok=False, worker_package=str(package_file), worker_environment={"OPENWEATHER_API_KEY": "no-key"}).output
    assert "millstream-produce@weather.service: weather: produce weather: read OPENWEATHER_API_KEY: a key has letters and digits only" in told, told[-3000:]


def test_passwords_are_in_no_output(site, package_file):  # noqa: F811
    # So that it is written anew while all of it is printed.
    site.host.run("rm /etc/millstream/weather.env")
    said = site.play("worker.yml", "-vv", "--diff", worker_package=str(package_file), worker_environment={"OPENWEATHER_API_KEY": "nottobeseen"}).output
    secrets = [path.read_text().strip() for path in site.installation.playbooks.secrets.iterdir() if path.is_file()]
    assert secrets and not any(secret in said for secret in [*secrets, "nottobeseen"]), "a password was printed"
    assert "OPENWEATHER_API_KEY='nottobeseen'" in site.host.run("cat /etc/millstream/millstream.env")
    assert site.host.run("stat -c '%a %U %G' /etc/millstream/weather.env") == "640 root millstream"
