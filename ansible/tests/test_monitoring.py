"""Metrics, alerts and what CloudWatch is told: Prometheus itself judges rules and dashboards, by what a real worker tells."""

from __future__ import annotations

import importlib.util
import json
import re
import threading
import time
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from conftest import TARGET
from hosts import docker
from playbooks import ANSIBLE

ROLE = ANSIBLE / "roles/monitoring"
KINDS = {"edge": (1, ["monitoring"])}
DASHBOARDS = sorted((ROLE / "files/dashboards").glob("*.json"))
RULES = sorted((ROLE / "files/rules").glob("*.yml"))
KEYS = {"AccessKeyId": "AKIAEXAMPLE", "SecretAccessKey": "made/up", "Token": "of+the/role=="}
WORKER = """
systemctl reset-failed up-worker 2>/dev/null
systemd-run -q --unit up-worker env MILLSTREAM_DATA=/var/tmp/console /usr/local/bin/wordcount process
MILLSTREAM_DATA=/var/tmp/console /usr/local/bin/wordcount produce --once --limit 200 --rate max
"""


def cloudwatch():
    spec = importlib.util.spec_from_file_location("cloudwatch", ROLE / "files/cloudwatch.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class StandIn(BaseHTTPRequestHandler):
    """An instance's metadata, and CloudWatch, which checks who asks as AWS does."""

    def do_PUT(self):
        self.answer(200 if "X-aws-ec2-metadata-token-ttl-seconds" in self.headers else 400, "token")

    def do_GET(self):
        if self.headers.get("X-aws-ec2-metadata-token") != "token":
            self.answer(401, "")
        else:
            self.answer(200, "millstream-edge" if self.path.endswith("/") else json.dumps(KEYS))

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if not self.is_signed(body):
            self.answer(403, "SignatureDoesNotMatch")
            return
        self.server.told.append(dict(parse_qsl(body.decode())))
        self.answer(self.server.status, "<PutMetricDataResponse/>")

    def is_signed(self, body: bytes) -> bool:
        """botocore signs the same request with the same keys at the same time: to the letter the same."""
        stamp, ours = self.headers["X-Amz-Date"], self.headers["Authorization"]
        if abs(datetime.now(timezone.utc) - datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)).total_seconds() > 300:
            return False
        headers = {"Content-Type": self.headers["Content-Type"], "Host": self.headers["Host"]}
        request = AWSRequest("POST", f"http://{self.headers['Host']}/", headers=headers, data=body)
        request.context["timestamp"] = stamp
        auth = SigV4Auth(Credentials(KEYS["AccessKeyId"], KEYS["SecretAccessKey"], KEYS["Token"]), "monitoring", "eu-central-1")
        request.headers["X-Amz-Date"] = stamp
        request.headers["X-Amz-Security-Token"] = KEYS["Token"]
        text = auth.string_to_sign(request, auth.canonical_request(request))
        return ours.endswith(f"Signature={auth.signature(text, request)}") and self.headers["X-Amz-Security-Token"] == KEYS["Token"]

    def answer(self, code: int, text: str):
        self.send_response(code)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        """Nothing."""


@pytest.fixture(scope="module")
def installation(installations):
    made = installations(KINDS, variables={"monitoring_consoles": ["127.0.0.1:9090"], "monitoring_interval": "2s"})
    server = ThreadingHTTPServer((made.hosts.gateway, 0), StandIn)
    server.daemon_threads, server.told, server.status = True, [], 200
    threading.Thread(target=server.serve_forever, daemon=True).start()
    made.aws = server
    url = f"http://{made.hosts.gateway}:{server.server_port}"
    made.playbooks.variables |= {"monitoring_cloudwatch": True, "monitoring_cloudwatch_endpoint": url, "monitoring_metadata_endpoint": url}
    host = made.hosts["edge-1"]
    docker("cp", "-q", "-L", str(TARGET.parent / "debug/wordcount"), f"{host.container}:/usr/local/bin/wordcount")
    host.shell(WORKER)
    # What a service reads: its end is told.
    host.shell("mkdir -p /etc/millstream/tls && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=a -days 9 -keyout /dev/null -out /etc/millstream/tls/cert.pem")
    made.play("common.yml")
    made.play("monitoring.yml", "--check")
    made.play("monitoring.yml")
    yield made
    server.shutdown()


@pytest.fixture(scope="module")
def host(installation):
    return installation.hosts["edge-1"]


def asked(host, query: str) -> list[dict]:
    """What Prometheus answers; a query that it can't read fails."""
    told = json.loads(host.shell(f"curl -sG http://127.0.0.1:9095/api/v1/query --data-urlencode query={json_quoted(query)}"))
    assert told["status"] == "success", told
    return told["data"]["result"]


def json_quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def until(what, seconds: float = 60):
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.5)
    return found


def test_a_second_run_changes_nothing(installation):
    again = installation.play("monitoring.yml")
    assert again.changed == {}, again.changed_tasks


def test_all_that_it_asks_answers(host):
    until(lambda: {row["metric"]["job"] for row in asked(host, "up == 1")} == {"millstream", "node", "prometheus", "alertmanager"})
    assert asked(host, 'node_systemd_unit_state{name="prometheus.service", state="active"}')[0]["value"][1] == "1"
    (ends,) = until(lambda: asked(host, "(millstream_certificate_ends_seconds - time()) / 86400"))
    assert ends["metric"]["file"] == "/etc/millstream/tls/cert.pem" and 8 < float(ends["value"][1]) < 9


def test_rules_are_loaded_and_can_be_reckoned(host):
    names = {name for path in RULES for name in re.findall(r"- (?:alert|record): (\S+)", path.read_text())}
    told = json.loads(host.shell("curl -s http://127.0.0.1:9095/api/v1/rules"))
    rules = {rule["name"]: rule for group in told["data"]["groups"] for rule in group["rules"]}
    assert set(rules) == names
    until(lambda: all(r["health"] == "ok" for g in json.loads(host.shell("curl -s http://127.0.0.1:9095/api/v1/rules"))["data"]["groups"] for r in g["rules"]))


def test_rules_tell_what_they_are_to_tell(host):
    """By promtool, with made-up measurements: tests/rules/*.yml."""
    host.run("mkdir", "-p", "/var/tmp/rules/etc")
    for path in (*RULES, *(Path(__file__).parent / "rules").glob("*.yml")):
        host.run("tee", f"/var/tmp/rules/{path.name}", stdin=path.read_text())
    said = host.run("bash", "-c", "cd /var/tmp/rules && promtool test rules test_*.yml", check=False)
    assert said.returncode == 0, said.stdout + said.stderr


def test_every_alert_has_a_test_and_a_remedy():
    tests = "".join(path.read_text() for path in (Path(__file__).parent / "rules").glob("*.yml"))
    for path in RULES:
        for alert in path.read_text().split("- alert: ")[1:]:
            name = alert.split("\n")[0]
            assert f"alertname: {name}" in tests, f"{name} is tested nowhere"
            assert "remedy: " in alert and "summary: " in alert, name


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda path: path.stem)
def test_dashboards_ask_for_what_there_is(host, dashboard):
    board = json.loads(dashboard.read_text())
    until(lambda: asked(host, "millstream:lag"))
    known = set(json.loads(host.shell("curl -s http://127.0.0.1:9095/api/v1/label/__name__/values"))["data"])
    expressions = [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]
    assert expressions
    for expression in expressions:
        asked(host, expression.replace("$__rate_interval", "1m").replace("$instance", ".*"))
        names = set(re.findall(r"\b((?:millstream|node|up|process|prometheus)[:_][A-Za-z0-9_:]+|\bup\b)", expression))
        assert names and names <= known, f"{board['title']}: {expression}: {names - known} is told by nobody"


def test_only_the_node_exporter_is_reached_from_elsewhere(host):
    listening = host.shell("ss -Hltn | awk '{ print $4 }'").split()
    assert {address for address in listening if not address.startswith(("127.", "[::1]"))} == {f"{host.address}:9100"}


def test_cloudwatch_is_told_of_disk_and_lag(installation, host):
    host.shell("systemctl start millstream-cloudwatch.service")
    told = installation.aws.told[-1]
    assert (told["Action"], told["Namespace"]) == ("PutMetricData", "Millstream")
    assert told["MetricData.member.1.MetricName"] == "disk_used_percent"
    assert told["MetricData.member.1.Dimensions.member.1.Name"] == "InstanceId"
    assert told["MetricData.member.1.Dimensions.member.1.Value"] == installation.hosts.inventory["all"]["hosts"]["edge-1"]["instance_id"]
    assert 0 < float(told["MetricData.member.1.Value"]) <= 100
    assert told["MetricData.member.2.MetricName"] == "lag"
    assert not any("member.2.Dimensions" in name for name in told)
    assert float(told["MetricData.member.2.Value"]) >= 0


def test_cloudwatch_is_told_each_minute(installation):
    before = len(installation.aws.told)
    until(lambda: len(installation.aws.told) > before, 90)


def test_without_a_console_the_disk_is_told_and_the_silence_is_heard_of(installation, host):
    host.shell("systemctl stop up-worker")
    before = len(installation.aws.told)
    done = host.run("systemctl", "start", "millstream-cloudwatch.service", check=False)
    assert done.returncode != 0
    assert len(installation.aws.told) > before and "MetricData.member.2.MetricName" not in installation.aws.told[-1]
    assert "ask the workers' consoles for the lag" in host.shell("journalctl -q -u millstream-cloudwatch -n 20")
    host.shell("systemctl reset-failed; " + WORKER)


def test_a_refusal_of_aws_is_told(installation, host):
    installation.aws.status = 403
    assert host.run("systemctl", "start", "millstream-cloudwatch.service", check=False).returncode != 0
    assert "needs cloudwatch:PutMetricData" in host.shell("journalctl -q -u millstream-cloudwatch -n 20")
    installation.aws.status = 200


def test_the_lag_is_of_the_slowest_pipeline():
    text = "\n".join(
        f'millstream_lag{{app="a",pipeline="{pipeline}",worker="{worker}",topic="t",partition="{partition}"}} {lag}'
        for pipeline, worker, partition, lag in [("x", "1", 0, 5), ("x", "1", 1, 6), ("x", "2", 1, 7), ("y", "1", 0, 11)]
    )
    assert cloudwatch().slowest("# TYPE millstream_lag gauge\n" + text + "\n# EOF\n") == 12
    with pytest.raises(ValueError, match="no worker"):
        cloudwatch().slowest("# EOF\n")


def test_everything_comes_back_after_a_reboot(installation, host):
    installation.hosts.reboot(host)
    host.shell(WORKER)
    until(lambda: "Ready" in host.shell("curl -s http://127.0.0.1:9095/-/ready", check=False), 60)
    until(lambda: {row["metric"]["job"] for row in asked(host, "up == 1")} == {"millstream", "node", "prometheus", "alertmanager"})


def test_a_busy_port_is_told(installation, host):
    host.shell("systemctl stop prometheus; systemd-run -q --unit up-squatter python3 -m http.server --bind 127.0.0.1 9095")
    until(lambda: "python3" in host.shell("ss -Hltnp 'sport = :9095'"))
    refused = installation.play("preflight.yml", ok=False, monitoring_alert_email="a@example.org")
    told = " ".join(refused.output.split())
    assert "something else listens on 127.0.0.1:9095: stop it" in told and "without monitoring_mail_server" in told, told[-2000:]
    host.shell("systemctl stop up-squatter; systemctl start prometheus")


def test_nothing_is_left_of_it(installation, host):
    host.shell("systemctl stop up-worker")
    installation.play("teardown.yml", millstream_delete_data=True)
    left = host.shell(
        "ls -d /etc/prometheus /var/lib/prometheus/metrics2 /var/lib/prometheus/node-exporter /usr/local/lib/millstream/* /etc/systemd/system/millstream-* "
        "/etc/systemd/system/prometheus* /etc/sysctl.d/60-millstream.conf 2>/dev/null; ss -Hltn | grep -E ':(9100|9095|9096) '; true"
    )
    assert left == ""
