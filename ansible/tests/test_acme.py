"""A certificate by ACME: from pebble, Let's Encrypt's own test server, which runs beside the edge and asks it for the proof."""

from __future__ import annotations

import json
import os
import subprocess
import time

import pytest
from conftest import TARGET
from hosts import docker

pytestmark = pytest.mark.full
PEBBLE = "github.com/letsencrypt/pebble/v2/cmd/pebble@v2.7.0"
DOMAIN = "mill.example.org"
SETTINGS = {
    "pebble": {
        "listenAddress": "127.0.0.1:14000", "managementListenAddress": "127.0.0.1:15000", "httpPort": 80, "tlsPort": 443,
        "certificate": "/var/tmp/pebble/cert.pem", "privateKey": "/var/tmp/pebble/key.pem",
    }
}  # fmt: skip
START = f"""
echo "$(hostname -I) {DOMAIN}" >> /etc/hosts
systemd-run -q --unit up-pebble env PEBBLE_VA_NOSLEEP=1 /var/tmp/pebble/pebble -config /var/tmp/pebble/pebble.json
for i in $(seq 100); do ss -Hltn 'sport = :14000' | grep -q . && exit; sleep 0.2; done
exit 1
"""
SERVED = f"openssl s_client -connect 127.0.0.1:443 -servername {DOMAIN} < /dev/null 2> /dev/null | openssl x509 -noout -issuer -serial -ext subjectAltName"


@pytest.fixture(scope="module")
def pebble():
    program = TARGET / "pebble"
    if not (program / "pebble").exists():
        done = subprocess.run(["go", "install", PEBBLE], env={**os.environ, "GOBIN": str(program)}, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, f"go install {PEBBLE}: {done.stderr[-2000:]}; pebble needs Go"
    return program / "pebble"


@pytest.fixture(scope="module")
def installation(installations, pebble):
    made = installations({"edge": (1, ["edge"])}, domain=DOMAIN, variables={"edge_consoles": []})
    made.play("pki.yml")
    pki, host = made.playbooks.secrets / "pki", made.hosts["edge-1"]
    host.shell("mkdir -p /var/tmp/pebble")
    # The installation's own authority stands for the one that signs an ACME server's certificate.
    for source, name in ((pebble, "pebble"), (pki / "edge-1.pem", "cert.pem"), (pki / "edge-1.key", "key.pem")):
        docker("cp", "-q", "-L", str(source), f"{host.container}:/var/tmp/pebble/{name}")
    host.run("tee", "/var/tmp/pebble/pebble.json", stdin=json.dumps(SETTINGS))
    host.shell(START)
    made.playbooks.variables |= {
        "edge_acme_email": "ops@example.org", "edge_acme_directory": "https://localhost:14000/dir", "edge_acme_ca": str(pki / "ca.pem"),
    }  # fmt: skip
    made.play("common.yml")
    made.play("edge.yml")
    return made


@pytest.fixture(scope="module")
def host(installation):
    return installation.hosts["edge-1"]


def test_it_serves_the_certificate_that_it_got(host):
    told = host.shell(SERVED)
    assert "Pebble" in told and f"DNS:{DOMAIN}" in told, told


def test_a_second_run_changes_nothing(installation):
    again = installation.play("edge.yml")
    assert again.changed == {}, again.changed_tasks


def test_http_leads_to_the_name_but_for_proofs(host):
    ask = "curl -s -o /dev/null -w '%{http_code} %{redirect_url}' http://127.0.0.1"
    assert host.shell(f"{ask}/search?q=x") == f"301 https://{DOMAIN}/search?q=x"
    assert host.shell(f"{ask}/.well-known/acme-challenge/none").startswith("404")


def test_a_renewed_one_is_served_without_a_hand(host):
    before = host.shell(SERVED)
    assert host.shell("systemctl is-enabled certbot.timer; systemctl is-active certbot.timer").split() == ["enabled", "active"]
    environment = host.shell("systemctl show certbot.service --property=Environment --value")
    assert environment == "REQUESTS_CA_BUNDLE=/etc/letsencrypt/millstream-acme-ca.pem"
    # As the timer's service does, but for that it isn't due yet.
    host.shell(f"systemctl stop certbot.timer; {environment} certbot -q renew --force-renewal --no-random-sleep-on-renew; systemctl start certbot.timer")
    deadline = time.monotonic() + 20
    while (now := host.shell(SERVED)) == before:
        assert time.monotonic() < deadline, "nginx serves the old one"
        time.sleep(0.2)
    assert "Pebble" in now


def test_the_renewed_one_is_no_change_to_the_role(installation):
    again = installation.play("edge.yml")
    assert again.changed == {}, again.changed_tasks
