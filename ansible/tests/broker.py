"""A broker of the tests, asked on its own host: by the role's own words, and by Kafka's tools."""

from __future__ import annotations

import json
import time

from hosts import Host, docker
from playbooks import ANSIBLE

WIRE = ANSIBLE / "roles/kafka/module_utils/kafka_wire.py"
TOOLS = "/opt/millstream/kafka/bin"
CA = "/etc/kafka/tls/ca.pem"
ALL = "create=False, cluster_rights=False, topic_rights=False"


class Broker:
    def __init__(self, host: Host, secrets):
        self.host, self.secrets = host, secrets
        self.address = f"{host.address}:9092"

    def password(self, name: str) -> str:
        return (self.secrets / f"kafka-{name}").read_text().strip()

    def ask(self, expression: str, user: str | None = "admin", password: str | None = None, address: str = "", certificate: str | None = None):
        """The value of an expression with `c`, a connection; of a refusal, its class and text."""
        docker("cp", "-q", str(WIRE), f"{self.host.container}:/root/kafka_wire.py")
        login = {"user": user, "password": password or self.password(user)} if user else {}
        script = (
            "import json\nfrom kafka_wire import *\n"
            f"try:\n    c = Connection({address or self.address!r}, {CA!r}, certificate={certificate!r}, **{login!r})\n"
            f"    print(json.dumps({expression}, default=str))\n"
            "except (KafkaError, OSError) as e:\n    print(json.dumps({'refused': type(e).__name__, 'why': str(e)}))\n"
        )
        return json.loads(self.host.run("env", "PYTHONPATH=/root", "PYTHONDONTWRITEBYTECODE=1", "python3", "-", stdin=script).stdout)

    def topics(self, user: str = "admin", **given) -> dict[str, dict]:
        told = self.ask(f"c.ask('Metadata', topics=None, {ALL})", user, **given)
        assert "topics" in told, told
        return {topic["name"]: topic for topic in told["topics"]}

    def settings_for(self, user: str) -> str:
        """A file with which Kafka's tools log in as that user."""
        file = f"/root/{user}.properties"
        lines = self.host.shell("cat /etc/kafka/admin.properties").replace(self.password("admin"), self.password(user)).replace('"admin"', f'"{user}"')
        self.host.run("tee", file, stdin=lines + "\nacks=all\n")
        return file

    def tool(self, name: str, *arguments: str, user: str = "admin", option: str = "--command-config", stdin: str = "") -> tuple[int, str]:
        settings = "/etc/kafka/admin.properties" if user == "admin" else self.settings_for(user)
        done = self.host.run(f"{TOOLS}/{name}.sh", "--bootstrap-server", self.address, option, settings, *arguments, stdin=stdin, check=False)
        return done.returncode, done.stdout + done.stderr

    def started(self) -> str:
        return self.host.shell("systemctl show --value --property=ExecMainPID,NRestarts kafka | tr '\\n' ' '")

    def wait_until_up(self, seconds: float = 120) -> None:
        deadline = time.monotonic() + seconds
        while "brokers" not in (said := self.ask(f"c.ask('Metadata', topics=None, {ALL})")):
            assert time.monotonic() < deadline, f"{self.host.name} isn't up after {seconds} s: {said}"
            time.sleep(1)
