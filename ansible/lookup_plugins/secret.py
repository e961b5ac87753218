"""Passwords by name."""

from __future__ import annotations

import os
import re
import secrets
import string
from pathlib import Path

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

DOCUMENTATION = """
name: secret
short_description: a password by its name
description:
  - C(millstream_secrets_from) says where passwords come from.
  - C(generated) makes each at its first use and keeps it in a file of C(millstream_secrets_dir) on the control node.
  - C(vault) reads the variable C(millstream_secrets), a mapping, which Ansible Vault encrypts.
  - C(ssm) reads C(/<installation>/<name>) from AWS Systems Manager's Parameter Store.
options:
  _terms:
    description: names, of small letters, digits and hyphens
    required: true
"""

NAME = re.compile(r"[a-z][a-z0-9-]*\Z")
LETTERS = string.ascii_letters + string.digits
LENGTH = 32


def generated(directory: Path, name: str) -> str:
    """What the file of that name holds; made at first. Of two at once, one makes it and the other reads."""
    path = directory / name
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        password = "".join(secrets.choice(LETTERS) for _ in range(LENGTH))
        new = directory / f".{name}.{os.getpid()}"
        try:
            with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(password + "\n")
            # Unlike a rename, it fails if another was faster.
            os.link(new, path)
        except FileExistsError:
            pass
        finally:
            new.unlink(missing_ok=True)
    mode = path.stat().st_mode & 0o077
    if mode:
        raise AnsibleLookupError(f"read the password {name}: {path} may be read by others; run `chmod 600 {path}`")
    password = path.read_text().strip()
    if not password:
        raise AnsibleLookupError(f"read the password {name}: {path} is empty; write the password there, or delete the file to have a new one made")
    return password


def from_vault(variables: dict, templar, name: str) -> str:
    known = templar.template(variables.get("millstream_secrets", {}))
    if name not in known:
        raise AnsibleLookupError(
            f"read the password {name}: millstream_secrets has none of that name; add it with `ansible-vault edit`"
        )
    return str(known[name])


def from_ssm(installation: str, region: str | None, name: str) -> str:
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    parameter = f"/{installation}/{name}"
    try:
        return boto3.client("ssm", region_name=region).get_parameter(Name=parameter, WithDecryption=True)["Parameter"]["Value"]
    except (BotoCoreError, ClientError) as error:
        raise AnsibleLookupError(
            f"read the parameter {parameter} of AWS Systems Manager: {error}; make it with `aws ssm put-parameter --type SecureString`"
        ) from error


class LookupModule(LookupBase):
    """`lookup('secret', 'kafka-weather')`"""

    # Within a run a password stays what it was: SSM is asked once.
    known: dict[tuple[str, ...], str] = {}

    def run(self, terms, variables=None, **_):
        variables = variables or {}
        return [self.one(str(term), variables) for term in terms]

    def one(self, name: str, variables: dict) -> str:
        if not NAME.match(name):
            raise AnsibleLookupError(f"read the password {name!r}: names of passwords are small letters, digits and hyphens")

        def variable(key: str, default: str = "") -> str:
            value = self._templar.template(variables.get(key, default))
            return str(value)

        source = variable("millstream_secrets_from", "generated")
        if source == "generated":
            if not (directory := variable("millstream_secrets_dir")):
                # A playbook outside ansible/ has none of its group_vars, and would write where it happens to be.
                raise AnsibleLookupError(f"read the password {name}: millstream_secrets_dir is empty; run playbooks of ansible/, or name a directory")
            return generated(Path(directory), name)
        if source == "vault":
            return from_vault(variables, self._templar, name)
        if source == "ssm":
            installation, region = variable("millstream_installation", "millstream"), variable("lake_region") or None
            key = (installation, region or "", name)
            if key not in self.known:
                self.known[key] = from_ssm(installation, region, name)
            return self.known[key]
        raise AnsibleLookupError(f"read the password {name}: millstream_secrets_from is {source!r}; expected generated, vault or ssm")
