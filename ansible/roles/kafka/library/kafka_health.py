"""Whether a cluster is well, and stays so without one of its brokers."""

from __future__ import annotations

import time

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.kafka_wire import Connection, KafkaError

DOCUMENTATION = """
module: kafka_health
short_description: Waits until a Kafka cluster is well
description:
  - Well is when all brokers are there, each partition has a leader and all its replicas in sync, and each node has lately got all that the quorum
    decided. The last is looked at since brokers that died are counted as there, and their replicas as in sync, for nine seconds more.
options:
  broker: {description: "host:port", type: str, required: true}
  ca: {description: File of the authority, type: path, required: true}
  user: {description: Who asks, type: str, required: true}
  password: {description: Their password, type: str, required: true}
  brokers: {description: Numbers of all brokers, type: list, elements: int, required: true}
  voters: {description: "Numbers of those that are controllers, too", type: list, elements: int, required: true}
  without: {description: "Number of a broker: no partition may fall below its min.insync.replicas when that one goes", type: int}
  wait: {description: Seconds to wait, type: int, default: 60}
  age_ms: {description: How long ago a node may have asked the quorum, type: int, default: 3000}
  lag: {description: How many of the quorum's records a node may be behind, type: int, default: 100}
"""

TOPIC_RESOURCE = 2


def some(names):
    """The first of them, and how many more."""
    names = list(names)
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def of_brokers(told, expected):
    missing = set(expected) - {broker["id"] for broker in told["brokers"]}
    if missing:
        yield f"broker {', '.join(map(str, sorted(missing)))} isn't there"


def of_partitions(told):
    partitions = [(f"{topic['name']}-{it['index']}", it) for topic in told["topics"] for it in topic["partitions"]]
    offline = [name for name, it in partitions if it["leader"] < 0]
    behind = [name for name, it in partitions if it["leader"] >= 0 and len(it["isr"]) < len(it["replicas"])]
    if offline:
        yield f"no broker leads {some(offline)}"
    if behind:
        yield f"{some(behind)}: not all replicas are in sync"


def of_quorum(told, params):
    partition = told["topics"][0]["partitions"][0] if told["topics"] else {"error": told["error"], "leader": -1}
    if told["error"] or partition["error"] or partition["leader"] < 0:
        yield "the quorum has no leader"
        return
    voters, nodes = partition["voters"], {it["id"]: it for it in partition["observers"] + partition["voters"]}
    strangers = set(params["voters"]) - {it["id"] for it in voters}
    if strangers:
        yield f"controller {', '.join(map(str, sorted(strangers)))} has no vote"
    leader = nodes[partition["leader"]]
    for number in sorted(set(params["brokers"]) - {leader["id"]}):
        node = nodes.get(number)
        if node is None:
            yield f"node {number} doesn't follow the quorum"
            continue
        # By the leader's clock, both.
        age, lag = leader["caught_up"] - node["fetched"], leader["end"] - node["end"]
        if age > params["age_ms"]:
            yield f"node {number} last asked the quorum {age / 1000:.0f} s ago"
        elif lag > params["lag"]:
            yield f"node {number} is {lag} records of the quorum behind"


def of_leaving(broker, told, number):
    """Partitions that take no more records when that broker goes; those with one replica are down with it by design."""
    shared = {topic["name"]: [it for it in topic["partitions"] if number in it["isr"] and len(it["replicas"]) > 1] for topic in told["topics"]}
    asked = [{"type": TOPIC_RESOURCE, "name": name, "keys": ["min.insync.replicas"]} for name, found in shared.items() if found]
    answers = broker.ask("DescribeConfigs", resources=asked, synonyms=False)["resources"] if asked else []
    for answer in answers:
        needed = int(answer["configs"][0]["value"])
        short = [f"{answer['name']}-{it['index']}" for it in shared[answer["name"]] if len(it["isr"]) - 1 < needed]
        if short:
            yield f"{some(short)} would take no more records (min.insync.replicas is {needed})"


def problems(params):
    broker = Connection(params["broker"], params["ca"], user=params["user"], password=params["password"])
    try:
        told = broker.ask("Metadata", topics=None, create=False, cluster_rights=False, topic_rights=False)
        found = [*of_brokers(told, params["brokers"]), *of_partitions(told)]
        quorum = broker.ask("DescribeQuorum", topics=[{"name": "__cluster_metadata", "partitions": [{"index": 0}]}])
        found += of_quorum(quorum, params)
        if params["without"] is not None:
            found += of_leaving(broker, told, params["without"])
        return found
    finally:
        broker.close()


def main():
    module = AnsibleModule(
        argument_spec={
            "broker": {"type": "str", "required": True}, "ca": {"type": "path", "required": True}, "user": {"type": "str", "required": True},
            "password": {"type": "str", "required": True, "no_log": True},
            "brokers": {"type": "list", "elements": "int", "required": True}, "voters": {"type": "list", "elements": "int", "required": True},
            "without": {"type": "int"}, "wait": {"type": "int", "default": 60},
            "age_ms": {"type": "int", "default": 3000}, "lag": {"type": "int", "default": 100},
        },
        supports_check_mode=True,
    )
    params = module.params
    started = time.monotonic()
    while True:
        try:
            found = problems(params)
        except KafkaError as error:
            found = [str(error)]
        if not found:
            module.exit_json(changed=False, waited=round(time.monotonic() - started, 1))
        if time.monotonic() - started > params["wait"]:
            doing = "wait for Kafka to be well" if params["without"] is None else f"look whether broker {params['without']} may be restarted"
            module.fail_json(msg=(
                f"{doing}: after {params['wait']} s still: {'; '.join(found)}. Start the brokers that are away (`systemctl start kafka`, "
                "`journalctl -u kafka`) and run the same command again; it goes on where it stopped. If this broker needs what is to be read by the "
                "restart in order to get well: -e millstream_force=true"
            ))
        time.sleep(0.5)


if __name__ == "__main__":
    main()
