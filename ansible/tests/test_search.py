"""The role search: TLS and a password before OpenSearch, indexes by app, what it refuses, and that it comes back."""

from __future__ import annotations

import json

import pytest
from stores import install, listening, outward, pid, refuses, tears_down, until

KINDS = {"store": (1, ["search"])}
BULK = 'Content-Type: application/x-ndjson'


@pytest.fixture(scope="module")
def installation(installations, artifacts):
    # By itself it takes two fifths of the machine's memory, and the container has only a part of that.
    made = installations(KINDS, artifacts, variables={"search_heap_mb": 512})
    return install(made, made.hosts["store-1"], "search.yml", 9200)


@pytest.fixture(scope="module")
def server(installation):
    return Server(installation)


class Server:
    """Asked by curl, on the host: its packet filter lets nobody else in."""

    def __init__(self, installation, host: str = "store-1"):
        self.host, self.secrets = installation.hosts[host], installation.playbooks.secrets
        self.host.run("tee", "/var/tmp/ca.pem", stdin=(self.secrets / "pki/ca.pem").read_text())

    def password(self, user: str) -> str:
        return (self.secrets / f"search-{'admin' if user == 'millstream-admin' else user}").read_text().strip()

    def ask(self, method: str, path: str, body: str | None = None, user: str = "recalls", password: str | None = None, header: str = "") -> tuple[int, str]:
        login = f"{user}:{self.password(user) if password is None else password}" if user else ""
        config = f'user = "{login}"' if login else ""
        command = ["curl", "-sS", "-K", "-", "-m", "60", "--cacert", "/var/tmp/ca.pem", "-X", method, "-w", "\n%{http_code}"]
        if body is not None:
            self.host.run("tee", "/var/tmp/body", stdin=body)
            command += ["-H", header or "Content-Type: application/json", "--data-binary", "@/var/tmp/body"]
        done = self.host.run(*command, f"https://{self.host.address}:9200/{path}", stdin=config, check=False)
        answer, _, code = done.stdout.rpartition("\n")
        return int(code or 0), answer or done.stderr

    def good(self, method: str, path: str, body: str | None = None, **options) -> dict:
        code, answer = self.ask(method, path, body, **options)
        assert code in (200, 201), answer
        return json.loads(answer)


@pytest.fixture(scope="module")
def document(server):
    """That a restart and a reboot must not lose."""
    server.good("PUT", "recalls-1", json.dumps({"settings": {"number_of_replicas": 0}, "aliases": {"recalls": {}}}))
    server.good("PUT", "recalls-1/_doc/1", json.dumps({"told": "kept"}))
    return "recalls/_doc/1"


def test_a_second_run_changes_nothing(installation, server):
    running = pid(server.host, "opensearch"), pid(server.host, "nginx")
    again = installation.play("search.yml", "--diff")
    assert again.changed == {}, again.changed_tasks
    assert (pid(server.host, "opensearch"), pid(server.host, "nginx")) == running


def test_an_app_reaches_its_own_indexes_only(server, document):
    assert server.good("GET", document)["_source"] == {"told": "kept"}
    server.good("PUT", "other", user="millstream-admin")
    for method, path in [
        ("GET", "other/_search"), ("GET", "recalls-1,other/_search"), ("GET", "recalls-1%2Cother/_search"), ("GET", "_all/_search"),
        ("GET", "*/_search"), ("DELETE", "other"), ("PUT", "mine"), ("GET", "recalls/../other/_search"), ("GET", "_nodes"),
        ("PUT", "_cluster/settings"), ("GET", "_snapshot"), ("POST", "_bulk"),
    ]:  # fmt: skip
        code, told = server.ask(method, path)
        assert code == 403 and "no rights" in told, (method, path, code, told)
    inside = '{"index":{"_index":"other","_id":"1"}}\n{"a":1}\n'
    code, told = server.ask("POST", "recalls-1/_bulk", inside, header=BULK)
    assert code == 400 and "explicit index in bulk is not allowed" in told


def test_what_the_apps_ask_for_is_let_through(server, document):
    point = server.good("POST", "recalls/_search/point_in_time?keep_alive=1m")["pit_id"]
    asked = json.dumps({"query": {"match_all": {}}, "pit": {"id": point, "keep_alive": "1m"}})
    assert server.good("POST", "_search", asked)["hits"]["total"]["value"] == 1
    server.good("DELETE", "_search/point_in_time", json.dumps({"pit_id": [point]}))
    server.good("POST", "_aliases", json.dumps({"actions": [{"add": {"index": "recalls-1", "alias": "recalls-1-writes"}}]}))
    server.good("PUT", "_index_template/recalls", json.dumps({"index_patterns": ["recalls-*"], "template": {}}))
    assert server.good("GET", "_cluster/health")["number_of_nodes"] == 1
    server.good("GET", "_cat/allocation?format=json")
    assert server.good("GET", "")["version"]["distribution"] == "opensearch"


def test_a_bulk_of_many_megabytes_goes_through(server, document):
    bulk = "".join(f'{{"index":{{"_id":"big-{n}"}}}}\n{{"text":"{"a" * 1_000_000}"}}\n' for n in range(20))
    assert server.good("POST", "recalls-1/_bulk", bulk, header=BULK)["errors"] is False


@pytest.mark.parametrize("user, password", [("", ""), ("recalls", "wrong"), ("stranger", "any")], ids=["nobody", "a wrong password", "a stranger"])
def test_a_stranger_is_refused(server, user, password):
    code, told = server.ask("GET", "", user=user, password=password)
    assert code == 401 and "cluster_name" not in told


def test_nobody_is_served_without_tls(server):
    told = server.host.run("curl", "-s", "-m", "10", f"http://{server.host.address}:9200/", check=False).stdout
    assert "plain HTTP request was sent to HTTPS port" in told


def test_nobody_passes_by_the_password_on_the_host_itself(server):
    asked = ["curl", "-sS", "-m", "5", "http://127.0.0.1:9200/"]
    other = server.host.run("runuser", "-u", "ubuntu", "--", *asked, check=False)
    assert other.returncode == 7, other.stdout
    assert "cluster_name" in server.host.run(*asked).stdout


def test_it_listens_inside_only(server):
    assert outward(server.host) == {(server.host.address, 9200)}
    assert not {address for address, port in listening(server.host) if port == 9300} - {"127.0.0.1", "[::ffff:127.0.0.1]"}


def test_its_unit_is_confined(server):
    told = server.host.shell("systemd-analyze security --no-pager opensearch | tail -n 1")
    assert float(told.split(": ")[1].split()[0]) <= 3.0, told


def test_settings_that_it_doesnt_take_are_refused(installation, server):
    file = "/etc/opensearch/opensearch.yml"
    refuses(installation, server.host, "search.yml", "opensearch", file, "indices.qery", search_settings={"indices.qery.bool": 1})


def test_it_comes_back_after_a_reboot(installation, server, document):
    installation.hosts.reboot(server.host)
    until("the document", lambda: server.ask("GET", document)[0] == 200)


def test_teardown_leaves_nothing(installation, server):
    tears_down(installation, server.host, "opensearch", ("/var/log/nginx",), ("/etc/opensearch", "/etc/nginx/tls/search", "/etc/nginx/millstream-search.htpasswd"))
