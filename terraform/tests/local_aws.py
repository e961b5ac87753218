"""A local AWS API for the tests: moto's server on a loopback address, made to answer what Terraform asks.

Moto alone is not enough. What it lacks, or gets wrong, is put right below, each with its reason; test_local_aws.py shows
that each is still needed and works. Everything lives in this process's memory and is gone with it.

    python local_aws.py [PORT]      serves until Ctrl-C and prints the endpoint
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import traceback
from datetime import datetime, timezone
from fnmatch import fnmatchcase
from pathlib import Path

ACCOUNT = "123456789012"
REGION = "eu-central-1"
CANONICAL = "099720109477"

# Read by moto when it is imported.
os.environ.update(
    MOTO_AMIS_PATH=str(Path(__file__).with_name("images.json")),
    # Mistakes that AWS would find: images, types of instances and keys that aren't there.
    MOTO_ENABLE_AMI_VALIDATION="true",
    MOTO_EC2_ENABLE_INSTANCE_TYPE_VALIDATION="true",
    MOTO_ENABLE_KEYPAIR_VALIDATION="true",
)

from flask import request  # noqa: E402
from moto.athena.responses import AthenaResponse  # noqa: E402
from moto.budgets.responses import BudgetsResponse  # noqa: E402
from moto.core.responses import BaseResponse  # noqa: E402
from moto.ec2.models import ec2_backends  # noqa: E402
from moto.ec2.models.amis import Ami  # noqa: E402
from moto.ec2.models.instances import Instance  # noqa: E402
from moto.ec2.models.launch_templates import LaunchTemplateVersion  # noqa: E402
from moto.ec2.models.security_groups import SecurityGroupRule  # noqa: E402
from moto.iam.access_control import PermissionResult  # noqa: E402
from moto.moto_api._internal.models import moto_api_backend  # noqa: E402
from moto.moto_server import threaded_moto_server  # noqa: E402
from moto.moto_server.werkzeug_app import DomainDispatcherApplication  # noqa: E402
from moto.s3.models import FakeBucket  # noqa: E402
from moto.server import ThreadedMotoServer  # noqa: E402


class LocalAws:
    """The API, on a free port of this machine, with nothing in it."""

    def __init__(self, port: int = 0):
        patch()
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)

    def __enter__(self) -> LocalAws:
        # What it holds is the process's, whichever server answers.
        moto_api_backend.reset()
        # A line per request, of thousands.
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._server.start()
        host, port = self._server.get_host_and_port()
        self.endpoint = f"http://{host}:{port}"
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()

    def publish_image(self, ami_id: str, day: str) -> None:
        """Canonical has a newer Ubuntu."""
        backend = ec2_backends[ACCOUNT][REGION]
        name = f"ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-{day.replace('-', '')}"
        backend.amis[ami_id] = Ami(
            backend,
            ami_id=ami_id,
            name=name,
            owner_id=CANONICAL,
            owner_alias="amazon",
            public=True,
            virtualization_type="hvm",
            architecture="x86_64",
            root_device_type="ebs",
            creation_date=datetime.fromisoformat(day).replace(tzinfo=timezone.utc),
        )


def patch() -> None:
    """Puts right what moto gets wrong; for this process, and as often as one likes."""
    threaded_moto_server.DomainDispatcherApplication = Application
    BaseResponse.call_action = call_action
    Instance.add_block_device = add_block_device
    LaunchTemplateVersion.__init__ = launch_template_version
    SecurityGroupRule.description = property(rule_description)
    FakeBucket.get_permission = bucket_permission
    AthenaResponse.update_work_group = update_work_group
    AthenaResponse.delete_named_query = delete_named_query
    BudgetsResponse.create_budget = create_budget
    BudgetsResponse.describe_subscribers_for_notification = budget_subscribers
    BudgetsResponse.list_tags_for_resource = budget_tags


# Moto goes over its dictionaries without a lock while other requests change them, and Terraform asks ten things at once.
_one_at_a_time = threading.Lock()


class Application(DomainDispatcherApplication):
    """Where moto breaks down it answers 500, which Terraform takes for trouble that passes, and tries for ten minutes."""

    def __call__(self, environ, start_response):
        def start(status, headers, *rest):
            return start_response("400 moto broke down" if status.startswith("500") else status, headers, *rest)

        try:
            with _one_at_a_time:
                return super().__call__(environ, start)
        except Exception:
            start_response("400 moto broke down", [("Content-Type", "text/plain")])
            return [traceback.format_exc().encode()]


_call_action = BaseResponse.call_action
_create_budget = BudgetsResponse.create_budget
_add_block_device = Instance.add_block_device
_launch_template_version = LaunchTemplateVersion.__init__


def call_action(self):
    """What moto can't do, by name: so that Terraform says what it was."""
    try:
        return _call_action(self)
    except NotImplementedError as error:
        body = json.dumps({"__type": "UnsupportedOperation", "message": str(error)})
        return 400, {"x-amzn-errortype": "UnsupportedOperation"}, body


def add_block_device(self, size, device_path, *rest, **named) -> None:
    """Moto gives what starts from a template two disks of one name, and never deletes the first."""
    if replaced := self.block_device_mapping.get(device_path):
        self.ec2_backend.detach_volume(replaced.volume_id, self.id, device_path)
        self.ec2_backend.delete_volume(replaced.volume_id)
    _add_block_device(self, size, device_path, *rest, **named)


def launch_template_version(self, template, number, data, description) -> None:
    """Moto takes a template's own tags for tags of what starts from it, and each plan would remove them."""
    if tags := data.get("TagSpecifications"):
        data["TagSpecifications"] = [t for t in tags if t["ResourceType"] != "launch-template"]
    _launch_template_version(self, template, number, data, description)


def rule_description(self) -> str | None:
    """Moto forgets what a rule is described as that names a group, and each plan would change it."""
    return (self.ip_range or self.source_group or {}).get("Description")


# --- The bucket's policy. Moto knows no conditions there: a policy that denies everything but TLS denies everything.


def bucket_permission(self, action: str, resource: str) -> PermissionResult:
    """Denials, with their conditions; what is allowed nobody asks, as all requests are the account's own."""
    if self.policy is None:
        return PermissionResult.NEUTRAL
    # Beginning and completing an upload are POSTs.
    action = "s3:PutObject" if action == "s3:PostObject" else action
    for statement in json.loads(self.policy)["Statement"]:
        if statement["Effect"] == "Deny" and _concerns(statement, action, resource):
            return PermissionResult.DENIED
    return PermissionResult.NEUTRAL


def _concerns(statement: dict, action: str, resource: str) -> bool:
    return (
        any(fnmatchcase(action, pattern) for pattern in _listed(statement["Action"]))
        and any(fnmatchcase(resource, pattern) for pattern in _listed(statement["Resource"]))
        and all(
            _holds(test, key, _listed(values))
            for test, conditions in statement.get("Condition", {}).items()
            for key, values in conditions.items()
        )
    )


def _holds(test: str, key: str, values: list[str]) -> bool:
    creates = "partNumber" not in request.args and "uploads" not in request.args
    value = {
        # Loopback stands for TLS; a test that wants to be seen without says so.
        "aws:SecureTransport": "false" if "x-without-tls" in request.headers else "true",
        "s3:if-none-match": request.headers.get("If-None-Match"),
        "s3:ObjectCreationOperation": "true" if creates else "false",
    }[key]
    return {"Bool": value in values, "Null": str(value is None).lower() in values}[test]


def _listed(value: str | list[str]) -> list[str]:
    return value if isinstance(value, list) else [value]


# --- Athena: moto can neither change a workgroup nor delete a named query.


def update_work_group(self) -> str:
    group = self.athena_backend.work_groups[self._get_param("WorkGroup")]
    group.description = self._get_param("Description") or group.description
    group.state = self._get_param("State") or group.state
    for key, value in (self._get_param("ConfigurationUpdates") or {}).items():
        if key == "ResultConfigurationUpdates":
            result = group.configuration.setdefault("ResultConfiguration", {})
            result.update({k: v for k, v in value.items() if not k.startswith("Remove")})
        elif not key.startswith("Remove"):
            group.configuration[key] = value
    return "{}"


def delete_named_query(self) -> str:
    self.athena_backend.named_queries.pop(self._get_param("NamedQueryId"), None)
    return "{}"


# --- Budgets: moto forgets tags, and can't tell who is told.

_budget_tags: dict[str, list] = {}


def create_budget(self) -> str:
    name = self._get_param("Budget")["BudgetName"]
    arn = f"arn:aws:budgets::{self._get_param('AccountId')}:budget/{name}"
    _budget_tags[arn] = self._get_param("ResourceTags") or []
    return _create_budget(self)


def budget_subscribers(self) -> str:
    budget = self.backend.budgets[self._get_param("AccountId")][self._get_param("BudgetName")]
    asked = self._get_param("Notification")["NotificationType"]
    found = (n.subscribers for n in budget.notifications if n.details["NotificationType"] == asked)
    return json.dumps({"Subscribers": next(found, [])})


def budget_tags(self) -> str:
    return json.dumps({"ResourceTags": _budget_tags.get(self._get_param("ResourceARN"), [])})


def main() -> None:
    with LocalAws(int(sys.argv[1]) if len(sys.argv) > 1 else 0) as aws:
        print(aws.endpoint, flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            pass


if __name__ == "__main__":
    main()
