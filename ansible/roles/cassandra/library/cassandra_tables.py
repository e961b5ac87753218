"""Makes the tables whose definitions a snapshot holds."""

from __future__ import annotations

import re
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.cql import Refused, Session, quoted

DOCUMENTATION = """
module: cassandra_tables
short_description: makes the tables whose definitions a snapshot of Cassandra holds
description:
  - Below C(directory) is C(KEYSPACE/TABLE/schema.cql), as C(nodetool snapshot) writes it. Tables that are there stay as they are.
"""

COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)


def statements(text: str) -> list[str]:
    """Between semicolons at ends of lines: none of ours has one in a value."""
    return [part.strip() for part in re.split(r";\s*(?:\n|\Z)", COMMENT.sub("", text)) if part.strip()]


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "host": {"type": "str", "required": True},
            "port": {"type": "int", "default": 9042},
            "ca": {"type": "path", "required": True},
            "admin": {"type": "str", "required": True},
            "admin_password": {"type": "str", "required": True, "no_log": True},
            "directory": {"type": "path", "required": True},
        },
    )
    wanted, made = module.params, []
    try:
        with Session(wanted["host"], wanted["port"], wanted["ca"], wanted["admin"], wanted["admin_password"], 60) as session:
            for schema in sorted(Path(wanted["directory"]).glob("*/*/schema.cql")):
                keyspace, table = schema.parts[-3], schema.parts[-2]
                there = f"SELECT table_name FROM system_schema.tables WHERE keyspace_name = {quoted(keyspace)} AND table_name = {quoted(table)}"
                if session.query(there):
                    continue
                for statement in statements(schema.read_text()):
                    session.query(statement)
                made.append(f"{keyspace}.{table}")
    except (OSError, Refused) as error:
        module.fail_json(msg=f"make the tables of {wanted['directory']}: {error}", made=made)
    module.exit_json(changed=bool(made), made=made)


if __name__ == "__main__":
    main()
