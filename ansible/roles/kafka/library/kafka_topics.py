"""Topics."""

from __future__ import annotations

import time

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.kafka_wire import Connection, KafkaError

DOCUMENTATION = """
module: kafka_topics
short_description: Topics with their partitions, replicas and settings, as they are declared
description:
  - A topic that is there keeps its partitions and replicas. More partitions move keys, and a table that is keyed would get rows of one key from two
    of them; so they are added by C(grow) only. What differs is told as a warning.
  - Settings that are not declared stay as they are.
options:
  broker: {description: "host:port", type: str, required: true}
  ca: {description: File of the authority, type: path, required: true}
  user: {description: Who asks, type: str, required: true}
  password: {description: Their password, type: str, required: true}
  topics: {description: "Topics: name, partitions, replication, settings", type: list, elements: dict, required: true}
  grow: {description: Whether partitions are added to topics that have fewer, type: bool, default: false}
  wait: {description: Seconds to wait for the broker, type: int, default: 60}
"""

TOPIC_RESOURCE, SET, UNKNOWN = 2, 0, 3
PATIENCE_MS = 30_000
TOPIC = {"name": {"type": "str", "required": True}, "partitions": {"type": "int", "required": True}, "replication": {"type": "int", "required": True},
         "settings": {"type": "dict", "default": {}}}


def refused(results, doing):
    for result in results:
        if result["error"]:
            raise KafkaError(f"{doing} {result['name']}: {result['message'] or 'error ' + str(result['error'])}")


def text(value):
    return str(value).lower() if isinstance(value, bool) else str(value)


def there(broker, names):
    told = broker.ask("Metadata", topics=[{"name": name} for name in names], create=False, cluster_rights=False, topic_rights=False)
    found = {}
    for topic in told["topics"]:
        if topic["error"] == 0:
            found[topic["name"]] = (len(topic["partitions"]), min(len(it["replicas"]) for it in topic["partitions"]))
        elif topic["error"] != UNKNOWN:
            raise KafkaError(f"look at topic {topic['name']}: error {topic['error']}")
    return found


def settings(broker, names):
    asked = [{"type": TOPIC_RESOURCE, "name": name, "keys": None} for name in names]
    told = broker.ask("DescribeConfigs", resources=asked, synonyms=False)["resources"] if asked else []
    refused(told, "read the settings of topic")
    return {it["name"]: {setting["name"]: setting["value"] for setting in it["configs"]} for it in told}


def create(broker, topics):
    new = [{"name": it["name"], "partitions": it["partitions"], "replication": it["replication"], "assignments": [],
            "configs": [{"name": name, "value": text(value)} for name, value in it["settings"].items()]} for it in topics]
    refused(broker.ask("CreateTopics", topics=new, timeout=PATIENCE_MS, validate=False)["topics"], "make topic")


def alter(broker, changes):
    resources = [{"type": TOPIC_RESOURCE, "name": name, "configs": [{"name": key, "operation": SET, "value": value} for key, value in found.items()]}
                 for name, found in changes.items()]
    refused(broker.ask("IncrementalAlterConfigs", resources=resources, validate=False)["resources"], "set up topic")


def grow(broker, topics):
    new = [{"name": it["name"], "count": it["partitions"], "assignments": None} for it in topics]
    refused(broker.ask("CreatePartitions", topics=new, timeout=PATIENCE_MS, validate=False)["topics"], "add partitions to topic")


def differing(topics, have, grows):
    """In words, what is left as it is."""
    for topic in topics:
        partitions, replicas = have.get(topic["name"], (topic["partitions"], topic["replication"]))
        if partitions != topic["partitions"] and not (grows and partitions < topic["partitions"]):
            yield (f"topic {topic['name']} has {partitions} partitions and is declared with {topic['partitions']}; it is left as it is. More are added by "
                   "`-e kafka_grow_topics=true`, after the workers have caught up and are stopped; fewer are only to be had by a new topic")
        if replicas < topic["replication"]:
            yield f"topic {topic['name']} has {replicas} replicas and is declared with {topic['replication']}; `ansible-playbook add-broker.yml` adds them"


def apply(params, check):
    broker = Connection(params["broker"], params["ca"], user=params["user"], password=params["password"])
    topics = params["topics"]
    have = there(broker, [topic["name"] for topic in topics])
    now = settings(broker, list(have))
    new = [topic for topic in topics if topic["name"] not in have]
    larger = [topic for topic in topics if topic["name"] in have and have[topic["name"]][0] < topic["partitions"] and params["grow"]]
    changes = {}
    for topic in topics:
        wrong = {key: text(value) for key, value in topic["settings"].items() if now.get(topic["name"], {}).get(key) != text(value)}
        if wrong and topic["name"] in have:
            changes[topic["name"]] = wrong
    if not check:
        for does, what in ((create, new), (grow, larger), (alter, changes)):
            if what:
                does(broker, what)
    before = [f"{name} {key}={now[name].get(key)}" for name, found in changes.items() for key in found]
    after = [f"{topic['name']}: {topic['partitions']} partitions" for topic in new + larger]
    after += [f"{name} {key}={value}" for name, found in changes.items() for key, value in found.items()]
    diff = {"before": "".join(line + "\n" for line in before), "after": "".join(line + "\n" for line in after)}
    return bool(after), diff, list(differing(topics, have, params["grow"]))


def main():
    module = AnsibleModule(
        argument_spec={
            "broker": {"type": "str", "required": True}, "ca": {"type": "path", "required": True}, "user": {"type": "str", "required": True},
            "password": {"type": "str", "required": True, "no_log": True},
            "topics": {"type": "list", "elements": "dict", "options": TOPIC, "required": True},
            "grow": {"type": "bool", "default": False}, "wait": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    deadline = time.monotonic() + module.params["wait"]
    while True:
        try:
            changed, diff, warnings = apply(module.params, module.check_mode)
            for warning in warnings:
                module.warn(warning)
            module.exit_json(changed=changed, diff=diff)
        except KafkaError as error:
            if module.check_mode:
                module.exit_json(changed=True, msg=f"no broker can be asked yet ({error}); all topics would be made")
            if time.monotonic() > deadline:
                module.fail_json(msg=f"declare Kafka's topics: {error}. `journalctl -u kafka` on the brokers tells more")
            time.sleep(1)


if __name__ == "__main__":
    main()
