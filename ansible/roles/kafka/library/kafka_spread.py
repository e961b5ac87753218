"""Which broker holds what."""

from __future__ import annotations

import time

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.kafka_wire import Connection, KafkaError

DOCUMENTATION = """
module: kafka_spread
short_description: Spreads replicas evenly over all brokers, moving as few as need be
description:
  - Partitions with fewer replicas than there should be get more; then replicas go from brokers with many to those with few, until no two brokers
    differ by more than one. A replica doesn't go where another place (rack) would be lost. Records are written and read meanwhile.
options:
  broker: {description: "host:port", type: str, required: true}
  ca: {description: File of the authority, type: path, required: true}
  user: {description: Who asks, type: str, required: true}
  password: {description: Their password, type: str, required: true}
  brokers: {description: Numbers of all brokers that replicas may be on, type: list, elements: int, required: true}
  replication: {description: How many replicas each partition has at least, type: int, required: true}
  wait: {description: Seconds to wait until all is where it belongs, type: int, default: 3600}
"""

PATIENCE_MS = 60_000
PREFERRED = 0
# The preferred leader leads already.
NOT_NEEDED = 84


def refused(answer, doing):
    results = [answer, *({**it, "message": f"{topic['name']}-{it['index']}: {it['message']}"} for topic in answer["topics"] for it in topic["partitions"])]
    for result in results:
        if result["error"] not in (0, NOT_NEEDED):
            raise KafkaError(f"{doing}: {result.get('message') or 'error ' + str(result['error'])}")


def places(replicas, racks):
    return len({racks.get(number) or number for number in replicas})


def count(layout, brokers):
    load = dict.fromkeys(brokers, 0)
    for replicas in layout.values():
        for number in replicas:
            load[number] = load.get(number, 0) + 1
    return load


def add_missing(layout, brokers, racks, replication):
    load = count(layout, brokers)
    for partition, replicas in layout.items():
        while len(replicas) < min(replication, len(brokers)):
            free = [number for number in brokers if number not in replicas]
            best = min(free, key=lambda number: (-places([*replicas, number], racks), load[number], number))
            load[best] += 1
            replicas = [*replicas, best]
        layout[partition] = replicas


def move_one(layout, brokers, racks):
    """From the fullest broker that can give to the emptiest that can take; whether anything could be moved."""
    load = count(layout, brokers)
    # Brokers that are not to hold anything any more give all that they have.
    full = sorted(load, key=lambda number: (number in brokers, -load[number]))
    for source in full:
        for target in sorted(brokers, key=lambda number: load[number]):
            if source in brokers and load[source] - load[target] < 2:
                break
            for partition, replicas in layout.items():
                if source not in replicas or target in replicas:
                    continue
                moved = [target if number == source else number for number in replicas]
                if places(moved, racks) >= places(replicas, racks):
                    layout[partition] = moved
                    return True
    return False


def planned(told, brokers, replication):
    racks = {it["id"]: it["rack"] for it in told["brokers"]}
    layout = {(topic["name"], it["index"]): list(it["replicas"]) for topic in told["topics"] for it in topic["partitions"]}
    before = dict(layout)
    add_missing(layout, brokers, racks, replication)
    while move_one(layout, brokers, racks):
        pass
    return before, {partition: replicas for partition, replicas in layout.items() if replicas != before[partition]}


def by_topic(partitions, of):
    names = sorted({name for name, _ in partitions})
    return [{"name": name, "partitions": [of(partition) for partition in sorted(partitions) if partition[0] == name]} for name in names]


def look(broker):
    return broker.ask("Metadata", topics=None, create=False, cluster_rights=False, topic_rights=False)


def wait(broker, changes, seconds):
    deadline = time.monotonic() + seconds
    while True:
        now = {(topic["name"], it["index"]): it for topic in look(broker)["topics"] for it in topic["partitions"]}
        left = [key for key, replicas in changes.items() if sorted(now[key]["replicas"]) != sorted(replicas) or len(now[key]["isr"]) < len(replicas)]
        if not left:
            return
        if time.monotonic() > deadline:
            raise KafkaError(f"{len(left)} partitions aren't there yet after {seconds} s, {left[0][0]}-{left[0][1]} for one; it goes on by itself, and the "
                             "same command waits for it again")
        time.sleep(1)


def apply(params, check):
    broker = Connection(params["broker"], params["ca"], user=params["user"], password=params["password"], timeout=90)
    told = look(broker)
    away = set(params["brokers"]) - {it["id"] for it in told["brokers"]}
    if away:
        raise KafkaError(f"broker {', '.join(map(str, sorted(away)))} isn't there; start it first")
    before, changes = planned(told, params["brokers"], params["replication"])
    if changes and not check:
        topics = by_topic(changes, lambda key: {"index": key[1], "replicas": changes[key]})
        refused(broker.ask("AlterPartitionReassignments", timeout=PATIENCE_MS, topics=topics), "move replicas")
        wait(broker, changes, params["wait"])
        topics = by_topic(changes, lambda key: key[1])
        refused(broker.ask("ElectLeaders", type=PREFERRED, topics=topics, timeout=PATIENCE_MS), "have each partition led by its first replica")
    lines = ["".join(f"{name}-{index}: {where[name, index]}\n" for name, index in sorted(changes)) for where in (before, changes)]
    return len(changes), {"before": lines[0], "after": lines[1]}


def main():
    module = AnsibleModule(
        argument_spec={
            "broker": {"type": "str", "required": True}, "ca": {"type": "path", "required": True}, "user": {"type": "str", "required": True},
            "password": {"type": "str", "required": True, "no_log": True},
            "brokers": {"type": "list", "elements": "int", "required": True}, "replication": {"type": "int", "required": True},
            "wait": {"type": "int", "default": 3600},
        },
        supports_check_mode=True,
    )
    try:
        moved, diff = apply(module.params, module.check_mode)
    except KafkaError as error:
        module.fail_json(msg=f"spread replicas over the brokers: {error}")
    module.exit_json(changed=bool(moved), moved=moved, diff=diff)


if __name__ == "__main__":
    main()
