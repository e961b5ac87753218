"""Inventories in the form of `terraform output -raw ansible_inventory`, without Terraform; test_single.py compares the two."""

from __future__ import annotations

import ipaddress

INSIDE = "inside"
PEERS = "peers"
WORLD = "0.0.0.0/0"
ADMINS = "203.0.113.7/32"
# As terraform/modules/security/main.tf.
PORTS = {
    "edge": [(80, WORLD), (443, WORLD)],
    "worker": [(9090, INSIDE)],
    "kafka": [(9092, INSIDE), (9093, PEERS)],
    "cassandra": [(9042, INSIDE), (7000, PEERS), (7001, PEERS)],
    "mysql": [(3306, INSIDE)],
    "search": [(9200, INSIDE), (9300, PEERS)],
    "monitoring": [],
}
SSH = [(22, ADMINS), (22, INSIDE)]
# What every host tells Prometheus.
METRICS = [(9100, INSIDE)]
# Kind → how many, with which roles; as terraform/topology.tf.
SINGLE = {"millstream": (1, ["kafka", "cassandra", "mysql", "search", "worker", "edge", "monitoring"])}
CLUSTER = {
    "kafka": (3, ["kafka"]),
    "cassandra": (3, ["cassandra"]),
    "store": (1, ["mysql", "search"]),
    "workers": (2, ["worker"]),
    "edge": (1, ["edge", "monitoring"]),
}


def open_ports(roles: list[str]) -> list[dict]:
    return [{"port": port, "from": source} for port, source in [*SSH, *METRICS, *(rule for role in roles for rule in PORTS[role])]]


def inventory(kinds: dict, subnet: ipaddress.IPv4Network, prefix: str, **variables) -> dict:
    """Hosts of `kinds`, with addresses of `subnet` from its tenth on. Containers are called PREFIX-NAME."""
    hosts, groups, number = {}, {}, 10
    topology = "single" if "millstream" in kinds else "cluster"
    for kind, (count, roles) in kinds.items():
        for n in range(1, count + 1):
            name, address, number = f"{kind}-{n}", str(subnet.network_address + number), number + 1
            hosts[name] = {
                "ansible_host": f"{prefix}-{name}",
                "private_ip": address,
                "public_ip": "",
                "instance_id": f"i-{number:017x}",
                "data_volume_id": "",
                "open_ports": open_ports(roles),
            }
            for group in {kind, *roles}:
                groups.setdefault(group, {"hosts": {}})["hosts"][name] = {}
    told = {
        "ansible_user": "ubuntu",
        "installation": "millstream",
        "topology": topology,
        "domain": "",
        "lake_bucket": "millstream-lake",
        "lake_region": "eu-central-1",
        "lake_url": "s3://millstream-lake?region=eu-central-1",
        "glue_database": "millstream",
        "catalog_mode": "registration",
        "athena_workgroup": "millstream",
    }
    return {"all": {"vars": told | variables, "hosts": hosts, "children": groups}}
