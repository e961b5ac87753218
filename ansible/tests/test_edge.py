"""The edge before the real pages and the real console, which run on the embedded log: nobody gets further than he may."""

from __future__ import annotations

import base64
import http.client
import json
import re
import socket
import ssl
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import TARGET
from hosts import docker
from playbooks import ANSIBLE

KINDS = {"edge": (1, ["edge"])}
# As if a worker were on the same host.
GIVEN = {"edge_consoles": ["127.0.0.1:9090"]}
DEBUG = TARGET.parent / "debug"
# The pages make recalls up, as the feed can't be reached; the console is a worker's.
PAGES = "MILLSTREAM_DATA=/var/tmp/pages RECALLS_FEED__URL=http://127.0.0.1:9/ RECALLS_FEED__TRIES=1 RECALLS_STAND_IN__RECALLS=50"
UPSTREAMS = f"""
systemctl reset-failed 'up-*' 2>/dev/null
systemd-run -q --unit up-pages env {PAGES} /usr/local/bin/recalls serve
systemd-run -q --unit up-console env MILLSTREAM_DATA=/var/tmp/console /usr/local/bin/wordcount process
"""


class Edge:
    """What a browser sees of it, from outside: by its address, and by a certificate of the installation's authority."""

    def __init__(self, installation):
        self.installation, self.host = installation, installation.hosts["edge-1"]
        secrets = installation.playbooks.secrets
        self.password = (secrets / "console-admin").read_text().strip()
        self.authority = secrets / "pki/ca.pem"

    def context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.authority))

    def get(self, path: str, password: str = "", tls: bool = True, seconds: float = 20) -> tuple[int, http.client.HTTPMessage, str]:
        address = self.host.address
        link = http.client.HTTPSConnection(address, context=self.context(), timeout=seconds) if tls else http.client.HTTPConnection(address, timeout=seconds)
        headers = {"Authorization": "Basic " + base64.b64encode(f"admin:{password}".encode()).decode()} if password else {}
        link.request("GET", path, headers=headers)
        answer = link.getresponse()
        body = answer.read().decode()
        link.close()
        return answer.status, answer.headers, body

    def wait(self, path: str, password: str = "", seconds: float = 60) -> str:
        deadline = time.monotonic() + seconds
        while True:
            try:
                status, _, body = self.get(path, password)
            except OSError as error:
                status, body = 0, str(error)
            if status == 200:
                return body
            assert time.monotonic() < deadline, f"{path} answers {status}: {body[:300]}"
            time.sleep(0.5)


@pytest.fixture(scope="module")
def installation(installations):
    made = installations(KINDS, variables=GIVEN)
    made.play("pki.yml")
    made.play("edge.yml", "--check")
    made.play("common.yml")
    made.play("edge.yml")
    for program in ("recalls", "wordcount"):
        docker("cp", "-q", "-L", str(DEBUG / program), f"{made.hosts['edge-1'].container}:/usr/local/bin/{program}")
    made.hosts["edge-1"].shell(UPSTREAMS)
    return made


@pytest.fixture(scope="module")
def edge(installation):
    found = Edge(installation)
    found.wait("/")
    found.wait("/console/", found.password)
    return found


def test_a_second_run_changes_nothing(installation):
    again = installation.play("edge.yml")
    assert again.changed == {}, again.changed_tasks


def test_everybody_sees_the_pages(edge):
    status, headers, body = edge.get("/")
    assert status == 200 and "Device recalls" in body
    assert headers["Strict-Transport-Security"] == "max-age=31536000"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert headers["Server"] == "nginx"


def test_http_leads_to_https(edge):
    status, headers, _ = edge.get("/search?q=a%20b", tls=False)
    assert (status, headers["Location"]) == (301, f"https://{edge.host.address}/search?q=a%20b")


@pytest.mark.parametrize("path", ["/console/", "/console", "/console/api/v1/overview", "/console/metrics", "/console/live/overview", "/console//", "/x/../console/"])
@pytest.mark.parametrize("password", ["", "wrong"], ids=["without", "wrong"])
def test_the_console_is_for_those_who_know_its_password(edge, path, password):
    status, _, body = edge.get(path, password)
    if path == "/console":
        assert status == 301
    else:
        assert status == 401 and "wordcount" not in body


def test_the_consoles_links_stay_below_its_path(edge):
    overview = edge.wait("/console/", edge.password)
    links = set(re.findall(r'(?:href|src|data-live|action)="(/[^"]*)"', overview))
    assert links and all(link.startswith("/console/") for link in links), links
    assert "/console/pipelines/wordcount.counts" in links
    for link in links - {"/console/live/overview"}:
        assert edge.get(link, edge.password)[0] == 200, link
    assert json.loads(edge.get("/console/api/v1/overview", edge.password)[2])


def test_what_is_told_live_comes_at_once_and_leads_back_to_the_console(edge):
    link = http.client.HTTPSConnection(edge.host.address, context=edge.context(), timeout=10)
    key = base64.b64encode(f"admin:{edge.password}".encode()).decode()
    link.request("GET", "/console/live/overview", headers={"Authorization": f"Basic {key}"})
    answer = link.getresponse()
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    told = b""
    # An event each second or so: nothing waits until some buffer is full.
    while told.count(b"event: workers") < 2:
        piece = answer.read1(65536)
        assert piece, told
        told += piece
    link.close()
    assert b'href="/console/workers/' in told and b'href="/workers/' not in told


def test_the_pages_own_stream_comes_at_once(edge):
    link = http.client.HTTPSConnection(edge.host.address, context=edge.context(), timeout=10)
    link.request("GET", "/events")
    assert b"event: feed" in link.getresponse().read1(65536)
    link.close()


def test_who_looks_at_a_page_makes_no_stop_a_failure(edge):
    link = http.client.HTTPSConnection(edge.host.address, context=edge.context(), timeout=10)
    link.request("GET", "/events")
    stream = link.getresponse()
    assert b"event: feed" in stream.read1(65536)
    edge.host.shell("systemctl stop nginx")
    assert edge.host.shell("systemctl show -P ActiveState nginx") == "inactive"
    edge.host.shell("systemctl start nginx")
    stream.close()
    link.close()


@pytest.mark.parametrize(("version", "taken"), [("TLSv1_1", False), ("TLSv1_2", True), ("TLSv1_3", True)])
def test_tls_is_1_2_or_newer(edge, version, taken):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(edge.authority)
    # This machine's own policy mustn't be what refuses it.
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = getattr(ssl.TLSVersion, version)
    with socket.create_connection((edge.host.address, 443), 10) as plain:
        try:
            with context.wrap_socket(plain, server_hostname=edge.host.address) as wrapped:
                assert taken and wrapped.version() == version.replace("_", ".")
        except (ssl.SSLError, ConnectionResetError):
            assert not taken


def test_no_other_port_is_open_on_any_address(edge):
    listening = edge.host.shell("ss -Hltn | awk '{ print $4 }'").split()
    open_to_others = {address for address in listening if not address.startswith(("127.", "[::1]"))}
    assert open_to_others == {"0.0.0.0:80", "0.0.0.0:443"}


def test_the_password_is_in_no_output_and_in_no_file_that_others_read(edge, installation):
    installation.play("edge.yml", "--diff")
    assert edge.password not in installation.playbooks.log.read_text()
    assert edge.host.shell("stat -c '%a %U %G' /etc/nginx/millstream-console.htpasswd") == "640 root www-data"
    assert edge.password not in edge.host.shell("cat /etc/nginx/millstream-console.htpasswd")


def test_too_many_requests_of_one_address_are_refused(edge):
    with ThreadPoolExecutor(16) as many:
        codes = list(many.map(lambda _: edge.get("/healthz")[0], range(300)))
    assert set(codes) == {200, 429}, set(codes)
    # The burst is answered, and what comes in the meantime.
    assert codes.count(200) >= 80
    deadline = time.monotonic() + 20
    while edge.get("/healthz")[0] != 200:
        assert time.monotonic() < deadline
        time.sleep(0.5)


def test_it_comes_back_after_a_reboot(edge, installation):
    installation.hosts.reboot(edge.host)
    edge.host.shell(UPSTREAMS)
    edge.wait("/")
    assert edge.get("/console/")[0] == 401
    edge.wait("/console/", edge.password)


def test_a_new_password_takes_the_old_ones_place(edge, installation):
    (installation.playbooks.secrets / "console-admin").write_text("another-one\n")
    changed = installation.play("edge.yml")
    assert [task.partition(":")[0] for task in changed.changed_tasks] == ["edge "], changed.changed_tasks
    assert edge.get("/console/", edge.password)[0] == 401
    edge.password = "another-one"
    edge.wait("/console/", edge.password)


def test_what_is_wrong_is_told_at_once_and_before_anything_is_touched(installation):
    wrong = {"edge_acme_email": "a@example.org", "edge_acme_ca": "/nowhere/ca.pem", "edge_console_user": "a:b", "edge_certificate_key": "/nowhere/key.pem"}
    refused = installation.play("preflight.yml", ok=False, **wrong)
    for told in ("the inventory has no domain", "there is no file /nowhere/key.pem, /nowhere/ca.pem", "edge_console_user is a:b", "give both, or none"):
        assert told in " ".join(refused.output.split()), refused.output[-1500:]
    assert refused.changed == {}


def test_a_value_of_the_wrong_type_is_refused(installation):
    refused = installation.play("preflight.yml", ok=False, edge_rate="many")
    assert "edge_rate" in refused.output and "unable to convert to int" in refused.output


def test_a_busy_port_is_told(installation, edge):
    edge.host.shell("systemctl stop nginx; systemd-run -q --unit up-squatter python3 -m http.server 443")
    deadline = time.monotonic() + 10
    while "python3" not in edge.host.shell("ss -Hltnp 'sport = :443'"):
        assert time.monotonic() < deadline
    refused = installation.play("preflight.yml", ok=False)
    assert "something that is not nginx listens on 0.0.0.0:443" in " ".join(refused.output.split())
    edge.host.shell("systemctl stop up-squatter; systemctl start nginx")


def test_nothing_is_left_of_it(edge, installation):
    edge.host.shell("systemctl stop up-pages up-console")
    playbook = installation.directory / "teardown-edge.yml"
    playbook.write_text("- {hosts: edge, gather_facts: true, tasks: [{ansible.builtin.include_role: {name: edge, tasks_from: teardown}}]}\n")
    shared = [option for name in ("main", "apps") for option in ("-e", f"@{ANSIBLE}/group_vars/all/{name}.yml")]
    installation.play(str(playbook), *shared)
    left = edge.host.shell("ls -d /etc/nginx/conf.d/millstream-* /etc/nginx/*.htpasswd /etc/nginx/tls/edge /etc/systemd/system/nginx.service.d /var/lib/millstream-edge 2>/dev/null; ss -Hltn 'sport = :443'; true")
    assert left == ""
