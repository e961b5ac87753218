"""check.yml tells of what is well and what isn't, and what to do."""

from __future__ import annotations

import importlib.util
import json

import pytest
from hosts import docker
from playbooks import ANSIBLE

KINDS = {"edge": (1, ["edge"]), "store": (1, ["mysql"])}
PAGES = "systemctl reset-failed up-pages 2>/dev/null; systemd-run -q --unit up-pages python3 -m http.server --bind 127.0.0.1 8080"


def check():
    spec = importlib.util.spec_from_file_location("check", ANSIBLE / "filter_plugins/check.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def installation(installations):
    made = installations(KINDS, variables={"edge_consoles": ["127.0.0.1:9090"]})
    for playbook in ("pki.yml", "common.yml", "edge.yml"):
        made.play(playbook)
    made.hosts["edge-1"].shell(PAGES)
    # A server that was set up once and doesn't run: what MariaDB's package leaves when it is stopped.
    made.hosts["store-1"].shell("printf '[Service]\\nExecStart=/bin/sleep inf\\n' > /etc/systemd/system/mariadb.service; systemctl daemon-reload")
    return made


def test_each_is_told_of_and_what_is_bad_says_what_to_do(installation):
    said = installation.play("check.yml", ok=False).output
    lines = [line.split(maxsplit=3) for line in said.splitlines() if line.split(maxsplit=1)[:1] in (["ok"], ["bad"])]
    found = {(state, host, what) for state, host, what, _ in lines}
    assert {("ok", "edge-1", what) for what in ("disk", "certificate", "units", "pages", "edge")} <= found
    assert ("bad", "store-1", "mariadb") in found
    assert "it is inactive: see `journalctl -u mariadb`, then run mysql.yml" in said
    assert "aren't well:" in said


def test_pages_that_are_gone_and_a_host_that_is_gone_are_told(installation):
    installation.hosts["edge-1"].shell("systemctl stop up-pages")
    docker("kill", installation.hosts["store-1"].container)
    try:
        said = installation.play("check.yml", ok=False).output
    finally:
        installation.hosts.power_on(installation.hosts["store-1"])
        installation.hosts["edge-1"].shell(PAGES)
    assert "/ answers 502: see `systemctl status nginx 'millstream-serve@*'`" in said
    assert "it can't be asked:" in said and "`ansible -m ping store-1`" in said


def test_a_disk_that_is_full_and_a_certificate_that_ends_are_told(installation):
    said = installation.play("check.yml", ok=False, check_disk_percent=1, check_days=4000).output
    assert "are used: make room, or enlarge the volume" in said
    assert "days: run site.yml, which makes certificates anew" in said


def test_what_the_doctor_finds_is_told_one_by_one():
    findings = {
        "weather": [{"what": "topics", "state": "good", "told": "reached"}, {"what": "stores.tables", "state": "bad", "told": "no answer", "remedy": "start it"}],
        "users": [{"what": "topics", "state": "good", "told": "reached"}, {"what": "clock", "state": "warning", "told": "2 s off"}],
    }
    told = check().doctor({"stdout": json.dumps({"healthy": False, "apps": findings})})
    assert told == [("bad", "doctor weather", "stores.tables no answer start it"), ("ok", "doctor users", "all 2 that its settings name can be used")]
    ((state, _, text),) = check().doctor({"stdout": "", "stderr": "millstream-here: not found"})
    assert state == "bad" and "not found" in text
    assert check().doctor({"skipped": True}) == []
