"""What the brokers' settings are made of."""

from __future__ import annotations

import base64
import re
import uuid

from ansible.errors import AnsibleFilterError


def kafka_uuid(text: str) -> str:
    """Kafka's form of an identifier, always the same for a text. None begins with a hyphen, which tools take for an option."""
    for attempt in range(1000):
        made = base64.urlsafe_b64encode(uuid.uuid5(uuid.NAMESPACE_URL, f"{text}/{attempt}").bytes).decode().rstrip("=")
        if not made.startswith("-"):
            return made
    raise AnsibleFilterError(f"no identifier for {text!r}")


def kafka_nodes(hosts: list[str], hostvars: dict, cluster: str) -> list[dict]:
    """All brokers by their number. The first three are controllers, too; the first one if there are fewer."""
    nodes = []
    for name in hosts:
        variables = hostvars[name]
        ending = re.search(r"[0-9]+$", name)
        number = variables.get("kafka_node_id", ending.group() if ending else 0)
        nodes.append({"name": name, "id": int(number), "address": variables.get("private_ip", ""), "directory": kafka_uuid(f"{cluster}/{name}")})
    nodes.sort(key=lambda node: node["id"])
    voting = 3 if len(nodes) >= 3 else 1
    return [{**node, "votes": position < voting} for position, node in enumerate(nodes)]


def kafka_voter(node: dict, port: int) -> str:
    """As `kafka-storage format --initial-controllers` wants it."""
    return f"{node['id']}@{node['address']}:{port}:{node['directory']}"


def kafka_rights(uses: dict, topics: list[dict]) -> list[dict]:
    """The rights of an app: its own topics and groups, nothing else."""
    groups = [*uses["groups"], "millstream.read"]
    return [
        *({"type": "topic", "name": topic["name"], "operations": ["read", "write", "describe", "describe_configs"]} for topic in topics),
        # The client asks for a group's coordinator even where it only reads, as millstream.read; nobody joins that one.
        *({"type": "group", "name": group, "operations": ["read", "describe"]} for group in groups),
        {"type": "cluster", "operations": ["idempotent_write", "describe"]},
    ]


def kafka_declared(apps: dict[str, list[dict]], brokers: int, settings: dict) -> list[dict]:
    """Each topic of all apps, once, with as many replicas as there are brokers, three at most."""
    replication = min(3, brokers)
    declared = {}
    for topics in apps.values():
        for topic in topics:
            declared[topic["name"]] = {
                "name": topic["name"],
                "partitions": topic["partitions"],
                "replication": replication,
                "settings": {
                    **settings,
                    "cleanup.policy": "compact" if topic["compacted"] else "delete",
                    # A record counts as written when a second broker has it, and one broker may be away.
                    "min.insync.replicas": 2 if replication >= 3 else 1,
                    **topic.get("settings", {}),
                },
            }
    return [declared[name] for name in sorted(declared)]


class FilterModule:
    def filters(self):
        return {made.__name__: made for made in (kafka_uuid, kafka_nodes, kafka_voter, kafka_rights, kafka_declared)}
