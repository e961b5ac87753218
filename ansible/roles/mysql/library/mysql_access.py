"""Users and databases of the MariaDB of this host, compared before anything is changed; by its socket, as root."""

from __future__ import annotations

import hashlib
import re

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: mysql_access
short_description: users and databases of the MariaDB of this host
description:
  - Has the databases, and a user for each app with rights on its databases and on nothing else.
  - Has nobody without a password, and root by the socket only.
"""

# What an app does: tables of its own, rows in them. It drops none, but in databases of which it says so.
RIGHTS = {"SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "ALTER"}
GRANT = re.compile(r"GRANT (?P<rights>.+?) ON (?P<on>\S+) TO ")


def quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def name(value: str) -> str:
    return "`" + value.replace("`", "``") + "`"


def pattern(database: str) -> str:
    """In a grant, _ and % stand for any letter and any letters."""
    return name(database.replace("_", "\\_").replace("%", "\\%"))


def hashed(password: str) -> str:
    return "*" + hashlib.sha1(hashlib.sha1(password.encode()).digest()).hexdigest().upper()


class Access:
    def __init__(self, module: AnsibleModule):
        self.module, self.wanted = module, module.params
        self.told: list[str] = []

    def ask(self, sql: str) -> list[list[str]]:
        """By standard input: a command line is for everybody to read."""
        command = ["mariadb", "--no-defaults", "--batch", "--skip-column-names", "--raw"]
        code, out, error = self.module.run_command(command, data=sql + ";\n")
        if code:
            self.module.fail_json(msg=f"change users of MariaDB: {error.strip()}; try `sudo mariadb` on the host", told=self.told)
        return [line.split("\t") for line in out.splitlines()]

    def change(self, told: str, sql: str) -> None:
        self.told.append(told)
        if not self.module.check_mode:
            self.ask(sql)

    def databases(self) -> None:
        there = {row[0] for row in self.ask("SHOW DATABASES")}
        for database in sorted({database for user in self.wanted["users"] for database in user["databases"]} - there):
            self.change(f"made database {database}", f"CREATE DATABASE {name(database)} CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin")

    def strangers(self) -> None:
        """Nobody comes without a name, and root comes from nowhere else."""
        for user, host in self.ask("SELECT user, host FROM mysql.global_priv WHERE user = '' OR (user = 'root' AND host <> 'localhost')"):
            self.change(f"removed '{user}'@'{host}'", f"DROP USER {quoted(user)}@{quoted(host)}")

    def user(self, user: dict) -> None:
        account = f"{quoted(user['name'])}@{quoted(self.wanted['clients'])}"
        as_wanted = f"{account} IDENTIFIED VIA mysql_native_password USING {quoted(hashed(user['password']))} REQUIRE SSL"
        # What it has, as one text: SHOW CREATE USER names password and TLS.
        of = f"user = {quoted(user['name'])} AND host = {quoted(self.wanted['clients'])}"
        there = self.ask(f"SELECT JSON_VALUE(priv, '$.authentication_string'), JSON_VALUE(priv, '$.ssl_type') FROM mysql.global_priv WHERE {of}")
        if not there:
            self.change(f"made user {user['name']}", f"CREATE USER {as_wanted}")
        elif there[0] != [hashed(user["password"]), "1"]:
            self.change(f"gave {user['name']} its password", f"ALTER USER {as_wanted}")
        # Under --check there may be nobody yet whose rights could be looked at.
        self.rights(user, account, bool(there) or not self.module.check_mode)

    def rights(self, user: dict, account: str, there: bool) -> None:
        granted: dict[str, set[str]] = {}
        for row in self.ask(f"SHOW GRANTS FOR {account}") if there else []:
            found = GRANT.match(row[0])
            if found and found["rights"] != "USAGE":
                granted[found["on"]] = set(found["rights"].split(", "))
        wanted = {f"{pattern(database)}.*": RIGHTS | ({"DROP"} if database in user["drops"] else set()) for database in user["databases"]}
        for on in sorted(granted.keys() | wanted.keys()):
            more, less = wanted.get(on, set()) - granted.get(on, set()), granted.get(on, set()) - wanted.get(on, set())
            if less:
                self.change(f"revoked {user['name']}'s {', '.join(sorted(less))} on {on}", f"REVOKE {', '.join(sorted(less))} ON {on} FROM {account}")
            if more:
                self.change(f"granted {user['name']} {', '.join(sorted(more))} on {on}", f"GRANT {', '.join(sorted(more))} ON {on} TO {account}")

    def run(self) -> None:
        self.databases()
        self.strangers()
        for user in self.wanted["users"]:
            self.user(user)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "clients": {"type": "str", "default": "%"},
            "users": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "name": {"type": "str", "required": True},
                    "password": {"type": "str", "required": True, "no_log": True},
                    "databases": {"type": "list", "elements": "str", "required": True},
                    "drops": {"type": "list", "elements": "str", "default": []},
                },
            },
        },
        supports_check_mode=True,
    )
    if module.check_mode and module.get_bin_path("mariadb") is None:
        module.exit_json(changed=True, msg="MariaDB isn't there yet")
    access = Access(module)
    access.run()
    module.exit_json(changed=bool(access.told), told=access.told)


if __name__ == "__main__":
    main()
