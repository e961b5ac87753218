"""Accounts, keyspaces and rights of a Cassandra cluster, compared before anything is changed."""

from __future__ import annotations

import secrets

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.cql import BAD_CREDENTIALS, Refused, Session, mapping, name, quoted, text, texts

DOCUMENTATION = """
module: cassandra_access
short_description: accounts, keyspaces and rights of a Cassandra cluster
description:
  - Has the administrator's account, and closes the login that each new cluster has (cassandra, with that password).
  - Has the keyspaces, with as many copies of each row.
  - Has a role for each app, with rights on its keyspaces and on nothing else. What it made itself there stays its own.
"""

# What an app does: tables of its own, rows in them. It drops none.
RIGHTS = {"CREATE", "ALTER", "SELECT", "MODIFY"}
DEFAULT = "cassandra"
STRATEGY = "org.apache.cassandra.locator.NetworkTopologyStrategy"


class Access:
    def __init__(self, module: AnsibleModule):
        self.module, self.wanted = module, module.params
        self.told: list[str] = []
        self.altered: list[str] = []
        self.session: Session | None = None

    def connect(self, user: str, password: str) -> Session | None:
        """None: that user has another password, or there is none."""
        try:
            return Session(self.wanted["host"], self.wanted["port"], self.wanted["ca"], user, password)
        except Refused as refused:
            if refused.code == BAD_CREDENTIALS:
                return None
            raise

    def change(self, told: str, cql: str) -> None:
        self.told.append(told)
        if not self.module.check_mode:
            self.session.query(cql)

    def log_in(self) -> None:
        admin, password = self.wanted["admin"], self.wanted["admin_password"]
        self.session = self.connect(admin, password)
        if self.session is not None:
            return
        self.session = self.connect(DEFAULT, DEFAULT)
        if self.session is None:
            self.module.fail_json(
                msg=f"log in to Cassandra at {self.wanted['host']}: it knows {admin} by another password than the secret cassandra-admin, and its"
                " default login is closed. Give the password that it has (see millstream_secrets_from), or restore millstream_secrets_dir from its backup"
            )

    def admin(self) -> None:
        """Once there is an administrator, the login that everybody knows is closed."""
        admin, password = self.wanted["admin"], self.wanted["admin_password"]
        roles = {text(row["role"]): row for row in self.session.query("SELECT role, is_superuser, can_login FROM system_auth.roles")}
        if admin not in roles:
            self.change(
                f"made {admin}", f"CREATE ROLE {name(admin)} WITH SUPERUSER = true AND LOGIN = true AND PASSWORD = {quoted(password)}"
            )
            if not self.module.check_mode:
                # One can't take one's own rights.
                self.session = self.connect(admin, password)
        default = roles.get(DEFAULT)
        if default and (default["can_login"] == b"\1" or default["is_superuser"] == b"\1"):
            self.change(
                f"closed the login {DEFAULT}",
                f"ALTER ROLE {name(DEFAULT)} WITH SUPERUSER = false AND LOGIN = false AND PASSWORD = {quoted(secrets.token_urlsafe(32))}",
            )

    def keyspaces(self) -> None:
        copies = {"class": STRATEGY, self.wanted["dc"]: str(self.wanted["replicas"])}
        options = ", ".join(f"{quoted(key)}: {quoted(value)}" for key, value in copies.items())
        there = {
            text(row["keyspace_name"]): mapping(row["replication"])
            for row in self.session.query("SELECT keyspace_name, replication FROM system_schema.keyspaces")
        }
        for keyspace in self.wanted["keyspaces"]:
            if keyspace not in there:
                self.change(f"made keyspace {keyspace}", f"CREATE KEYSPACE {name(keyspace)} WITH replication = {{{options}}}")
            elif there[keyspace] != copies:
                self.change(f"changed the copies of {keyspace}", f"ALTER KEYSPACE {name(keyspace)} WITH replication = {{{options}}}")
                self.altered.append(keyspace)

    def role(self, role: dict, known: set[str]) -> None:
        password = quoted(role["password"])
        if role["name"] not in known:
            self.change(
                f"made role {role['name']}",
                f"CREATE ROLE {name(role['name'])} WITH SUPERUSER = false AND LOGIN = true AND PASSWORD = {password}",
            )
            return
        session = self.connect(role["name"], role["password"])
        if session is None:
            self.change(
                f"gave {role['name']} its password",
                f"ALTER ROLE {name(role['name'])} WITH SUPERUSER = false AND LOGIN = true AND PASSWORD = {password}",
            )
        else:
            session.socket.close()

    def rights(self, role: dict) -> None:
        cql = f"SELECT resource, permissions FROM system_auth.role_permissions WHERE role = {quoted(role['name'])}"
        there = {text(row["resource"]): set(texts(row["permissions"])) for row in self.session.query(cql)}
        for keyspace in role["keyspaces"]:
            for right in sorted(RIGHTS - there.get(f"data/{keyspace}", set())):
                self.change(f"granted {role['name']} {right} on {keyspace}", f"GRANT {right} ON KEYSPACE {name(keyspace)} TO {name(role['name'])}")
        for resource, rights in there.items():
            kind, *path = resource.split("/")
            if kind != "data" or not path or (len(path) > 1 and path[0] in role["keyspaces"]):
                continue
            # Of its keyspaces, and of no others.
            for right in sorted(rights - RIGHTS if path[0] in role["keyspaces"] else rights):
                on = f"KEYSPACE {name(path[0])}" if len(path) == 1 else f"TABLE {name(path[0])}.{name(path[1])}"
                self.change(f"revoked {role['name']}'s {right} on {'.'.join(path)}", f"REVOKE {right} ON {on} FROM {name(role['name'])}")

    def run(self) -> None:
        self.log_in()
        if self.wanted["roles"] is None:
            self.keyspaces()
            return
        self.admin()
        self.keyspaces()
        known = {text(row["role"]) for row in self.session.query("SELECT role FROM system_auth.roles")}
        for role in self.wanted["roles"]:
            self.role(role, known)
            self.rights(role)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "host": {"type": "str", "required": True},
            "port": {"type": "int", "default": 9042},
            "ca": {"type": "path", "required": True},
            "admin": {"type": "str", "required": True},
            "admin_password": {"type": "str", "required": True, "no_log": True},
            "dc": {"type": "str", "required": True},
            "replicas": {"type": "int", "required": True},
            "keyspaces": {"type": "list", "elements": "str", "default": []},
            "roles": {
                "type": "list",
                "elements": "dict",
                "options": {
                    "name": {"type": "str", "required": True},
                    "password": {"type": "str", "required": True, "no_log": True},
                    "keyspaces": {"type": "list", "elements": "str", "required": True},
                },
            },
        },
        supports_check_mode=True,
    )
    access = Access(module)
    try:
        access.run()
    except FileNotFoundError as error:
        if module.check_mode:
            module.exit_json(changed=True, msg="Cassandra isn't there yet")
        module.fail_json(msg=f"read {error.filename}: it isn't there; run cassandra.yml from its beginning")
    except (OSError, Refused) as error:
        if module.check_mode and isinstance(error, ConnectionRefusedError):
            module.exit_json(changed=True, msg="Cassandra doesn't run yet")
        module.fail_json(msg=f"change accounts at {module.params['host']}:{module.params['port']}: {error}; see `nodetool status` there", told=access.told)
    module.exit_json(changed=bool(access.told), told=access.told, altered=access.altered)


if __name__ == "__main__":
    main()
