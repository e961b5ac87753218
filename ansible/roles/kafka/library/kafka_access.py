"""Users and their rights."""

from __future__ import annotations

import secrets
import time

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.kafka_wire import ITERATIONS, SCRAM_SHA_512, Connection, KafkaError, Refused, active_controller, salted

DOCUMENTATION = """
module: kafka_access
short_description: Users of Kafka (SCRAM-SHA-512) and their rights, as they are declared
description:
  - Asks the controllers by the host's certificate, so no password of an administrator is needed, and none is on a command line.
  - A user whose password opens the door is left as it is. Of declared principals, rights that are not declared are taken away.
  - A user who ends is not deleted, but keeps no right, and a password that nobody knows. Kafka (4.2.1, 4.3.1) forgets all users where a broker reads a
    deletion together with what made them, and the deleted name happens to be the first of its map: `ScramDelta.apply` drops the map once it is empty,
    and goes on filling it. That broker, one with a new disk or only restarted, then lets nobody in.
options:
  controllers: {description: "Controllers, host:port", type: list, elements: str, required: true}
  broker: {description: "A broker to try passwords at, host:port", type: str, required: true}
  ca: {description: File of the authority, type: path, required: true}
  certificate: {description: "File of key and certificate of a super user", type: path, required: true}
  users:
    description: Users, or with no password principals of certificates.
    type: list
    elements: dict
    required: true
  ended: {description: "Beginning of the names of users who end unless they are declared", type: str}
  wait: {description: "Seconds to wait for controllers and broker", type: int, default: 60}
"""

TYPES = {"topic": 2, "group": 3, "cluster": 4, "transactional_id": 5}
PATTERNS = {"literal": 3, "prefixed": 4}
OPERATIONS = {"read": 3, "write": 4, "create": 5, "delete": 6, "alter": 7, "describe": 8, "cluster_action": 9, "describe_configs": 10,
              "alter_configs": 11, "idempotent_write": 12}
ALLOW, ANY = 3, 1
RIGHT = {"type": {"type": "str", "choices": list(TYPES), "required": True}, "name": {"type": "str", "default": "kafka-cluster"},
         "pattern": {"type": "str", "choices": list(PATTERNS), "default": "literal"},
         "operations": {"type": "list", "elements": "str", "choices": list(OPERATIONS), "required": True}}
USER = {"name": {"type": "str", "required": True}, "password": {"type": "str", "no_log": True},
        "rights": {"type": "list", "elements": "dict", "options": RIGHT, "default": []}}


def declared(users):
    """(type, name, pattern, principal, operation) of all that is to be."""
    return {
        (TYPES[right["type"]], right["name"], PATTERNS[right["pattern"]], f"User:{user['name']}", OPERATIONS[operation])
        for user in users for right in user["rights"] for operation in right["operations"]
    }


def there(controller, principals):
    """The same of all that is."""
    told = controller.ask("DescribeAcls", type=ANY, name=None, pattern=ANY, principal=None, host=None, operation=ANY, permission=ANY)
    if told["error"]:
        raise KafkaError(f"list rights: {told['message']}")
    return {
        (found["type"], found["name"], found["pattern"], acl["principal"], acl["operation"])
        for found in told["resources"] for acl in found["acls"]
        if acl["principal"] in principals and acl["host"] == "*" and acl["permission"] == ALLOW
    }


def acl(right):
    kind, name, pattern, principal, operation = right
    return {"type": kind, "name": name, "pattern": pattern, "principal": principal, "host": "*", "operation": operation, "permission": ALLOW}


def in_words(right):
    kind, name, pattern, principal, operation = right
    word = {mapping[key]: key for mapping in (TYPES,) for key in mapping}[kind]
    does = {number: key for key, number in OPERATIONS.items()}.get(operation, operation)
    return f"{principal} may {does} {word} {name}{'*' if pattern == PATTERNS['prefixed'] and name != '*' else ''}"


def refused(results, doing):
    for result in results:
        if result["error"]:
            raise KafkaError(f"{doing}: {result['message'] or 'error ' + str(result['error'])}")


def change_rights(controller, add, remove):
    if add:
        refused(controller.ask("CreateAcls", creations=[acl(right) for right in sorted(add)])["results"], "give rights")
    if remove:
        refused(controller.ask("DeleteAcls", filters=[acl(right) for right in sorted(remove)])["results"], "take rights away")


def opens(params, user):
    try:
        Connection(params["broker"], params["ca"], user=user["name"], password=user["password"]).close()
        return True
    except Refused:
        return False


def old_ones(params):
    """Who is to end, or has. Only brokers tell who there is."""
    admin = params["users"][0]
    broker = Connection(params["broker"], params["ca"], user=admin["name"], password=admin["password"])
    told = broker.ask("DescribeUserScramCredentials", users=None)
    # 91: nobody is there.
    if told["error"] not in (0, 91):
        raise KafkaError(f"list users: {told['message']}")
    return {it["user"] for it in told["users"] or [] if it["user"].startswith(params["ended"])} - {user["name"] for user in params["users"]}


def change_users(controller, new):
    upsertions = []
    for user in new:
        salt, kept = salted(user["password"])
        upsertions.append({"name": user["name"], "mechanism": SCRAM_SHA_512, "iterations": ITERATIONS, "salt": salt, "salted": kept})
    if upsertions:
        refused(controller.ask("AlterUserScramCredentials", deletions=[], upsertions=upsertions)["users"], "set passwords")


def passwords(params, controller, check):
    """Gives those whose password opens nothing theirs; who that was."""
    new = [user for user in params["users"] if user["password"] and not opens(params, user)]
    if not check:
        change_users(controller, new)
    return [f"user {user['name']} has a new password" for user in new]


def rights(params, controller, check):
    """Rights as declared, and the end of old users; what was and what is."""
    old = old_ones(params) if params["ended"] else set()
    want = declared(params["users"])
    have = there(controller, {f"User:{name}" for name in old | {user["name"] for user in params["users"]}})
    # The rights go last, so one who has none has ended.
    ended = sorted(old & {principal.removeprefix("User:") for _, _, _, principal, _ in have})
    if not check:
        change_users(controller, [{"name": name, "password": secrets.token_urlsafe(32)} for name in ended])
        change_rights(controller, want - have, have - want)
    return [in_words(right) for right in have - want] + [f"user {name}" for name in ended], [in_words(right) for right in want - have]


def main():
    module = AnsibleModule(
        argument_spec={
            "controllers": {"type": "list", "elements": "str", "required": True}, "broker": {"type": "str", "required": True},
            "ca": {"type": "path", "required": True}, "certificate": {"type": "path", "required": True},
            "users": {"type": "list", "elements": "dict", "options": USER, "required": True},
            "ended": {"type": "str"}, "wait": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    params, check = module.params, module.check_mode
    deadline = time.monotonic() + params["wait"]
    # What was done stays done when the next question has to be asked again.
    changes = []
    while True:
        try:
            controller = active_controller(params["controllers"], params["ca"], params["certificate"])
            changes += passwords(params, controller, check)
            before, after = rights(params, controller, check)
            diff = {"before": "".join(f"{line}\n" for line in sorted(before)), "after": "".join(f"{line}\n" for line in changes + sorted(after))}
            module.exit_json(changed=bool(changes or before or after), diff=diff)
        except KafkaError as error:
            if check:
                module.exit_json(changed=True, msg=f"no controller can be asked yet ({error}); all users and rights would be made")
            if time.monotonic() > deadline:
                module.fail_json(msg=f"declare Kafka's users and rights: {error}. Look at `journalctl -u kafka` on the brokers")
            time.sleep(1)


if __name__ == "__main__":
    main()
