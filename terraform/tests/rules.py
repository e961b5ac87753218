"""What must hold of any plan, looked for in its JSON: each rule returns what breaks it."""

from __future__ import annotations

import json
from collections.abc import Iterator

WORLD = ("0.0.0.0/0", "::/0")
PUBLIC_PORTS = (80, 443)

# Actions that AWS knows no resources for (Service Authorization Reference), with the reason we need them.
UNBOUND = {
    "ssmmessages:CreateControlChannel": "SSM sessions",
    "ssmmessages:CreateDataChannel": "SSM sessions",
    "ssmmessages:OpenControlChannel": "SSM sessions",
    "ssmmessages:OpenDataChannel": "SSM sessions",
    "cloudwatch:PutMetricData": "bound by its namespace, see needs_condition",
}
NEEDS_CONDITION = {"cloudwatch:PutMetricData": "cloudwatch:namespace"}


def resources(plan: dict) -> Iterator[tuple[str, str, dict]]:
    """Address, type and values of all that will be there."""

    def walk(module: dict) -> Iterator[tuple[str, str, dict]]:
        for resource in module.get("resources", []):
            if resource["mode"] == "managed":
                yield resource["address"], resource["type"], resource.get("values", {})
        for child in module.get("child_modules", []):
            yield from walk(child)

    yield from walk(plan["planned_values"]["root_module"])


def open_to_the_world(plan: dict) -> list[str]:
    """Ways in for everybody but to 80 and 443."""
    broken = []
    for address, kind, values in resources(plan):
        if kind == "aws_vpc_security_group_ingress_rule":
            rules = [(values.get("cidr_ipv4"), values.get("cidr_ipv6"), values)]
        elif kind == "aws_security_group_rule" and values.get("type") == "ingress":
            rules = [(c, c, values) for c in [*(values.get("cidr_blocks") or []), *(values.get("ipv6_cidr_blocks") or [])]]
        elif kind == "aws_security_group":
            rules = [
                (c, c, rule)
                for rule in values.get("ingress") or []
                for c in [*(rule.get("cidr_blocks") or []), *(rule.get("ipv6_cidr_blocks") or [])]
            ]
        else:
            continue
        for v4, v6, rule in rules:
            ports = (rule.get("from_port"), rule.get("to_port"))
            if (v4 in WORLD or v6 in WORLD) and (ports[0] != ports[1] or ports[0] not in PUBLIC_PORTS):
                broken.append(f"{address}: {ports[0]} to {ports[1]} for everybody")
    return broken


def policies(plan: dict) -> Iterator[tuple[str, dict]]:
    """Every policy that is in the plan, whichever kind of resource has it."""
    for address, kind, values in resources(plan):
        for attribute in ("policy", "assume_role_policy", "inline_policy"):
            text = values.get(attribute)
            if isinstance(text, str):
                yield f"{address}.{attribute}", json.loads(text)


def unknown_policies(plan: dict) -> list[str]:
    """Policies that a plan doesn't show, and no rule can judge."""
    return [
        change["address"]
        for change in plan.get("resource_changes", [])
        # Of others, a bucket say, it is something AWS tells and nobody configures.
        if change["type"].endswith("_policy") or change["type"] == "aws_iam_role"
        if any((change["change"].get("after_unknown") or {}).get(a) is True for a in ("policy", "assume_role_policy"))
    ]


def wildcards(plan: dict) -> list[str]:
    """Allowed wildcard actions, and "*" as a resource where AWS knows a narrower one."""
    return [
        f"{where}: {problem}"
        for where, document in policies(plan)
        for statement in listed(document["Statement"])
        if statement["Effect"] == "Allow"
        for problem in too_wide(statement)
    ]


def too_wide(statement: dict) -> Iterator[str]:
    if "NotAction" in statement or "NotResource" in statement:
        yield "allows all but what it names"
    actions = listed(statement.get("Action", []))
    yield from (f"action {action}" for action in actions if "*" in action)
    if "*" in listed(statement.get("Resource", [])):
        conditions = {key for test in statement.get("Condition", {}).values() for key in test}
        for action in actions:
            if action not in UNBOUND:
                yield f"resource * for {action}"
            elif action in NEEDS_CONDITION and NEEDS_CONDITION[action] not in conditions:
                yield f"resource * for {action} without {NEEDS_CONDITION[action]}"


def open_buckets(plan: dict) -> list[str]:
    """Buckets that take requests without TLS, or may become public."""
    by_kind: dict[str, dict[str, dict]] = {}
    for _, kind, values in resources(plan):
        by_kind.setdefault(kind, {})[values.get("bucket") or ""] = values
    broken = []
    for bucket in by_kind.get("aws_s3_bucket", {}):
        block = by_kind.get("aws_s3_bucket_public_access_block", {})
        # A bucket that isn't there yet has no name in the resources that belong to it.
        block = block.get(bucket) or block.get("") or {}
        switches = ("block_public_acls", "block_public_policy", "ignore_public_acls", "restrict_public_buckets")
        broken += [f"{bucket}: {switch} is off" for switch in switches if block.get(switch) is not True]
        policy = by_kind.get("aws_s3_bucket_policy", {})
        policy = policy.get(bucket) or policy.get("") or {}
        if not refuses_plain(bucket, json.loads(policy.get("policy") or '{"Statement": []}')):
            broken.append(f"{bucket}: takes requests without TLS")
    return broken


def refuses_plain(bucket: str, policy: dict) -> bool:
    return any(
        statement["Effect"] == "Deny"
        and statement.get("Principal") in ("*", {"AWS": "*"})
        and "s3:*" in listed(statement["Action"])
        and {f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"} <= set(listed(statement["Resource"]))
        and statement.get("Condition") == {"Bool": {"aws:SecureTransport": "false"}}
        for statement in listed(policy["Statement"])
    )


def bare_hosts(plan: dict) -> list[str]:
    """Hosts whose role a tricked server could take (IMDSv1), and disks that aren't encrypted."""
    broken = []
    for address, kind, values in resources(plan):
        if kind in ("aws_instance", "aws_launch_template"):
            options = (values.get("metadata_options") or [{}])[0]
            if options.get("http_tokens") != "required":
                broken.append(f"{address}: answers IMDSv1")
        disks = {
            "aws_instance": values.get("root_block_device"),
            "aws_launch_template": [m["ebs"][0] for m in values.get("block_device_mappings") or [] if m.get("ebs")],
            "aws_ebs_volume": [values],
        }.get(kind)
        if disks is None:
            continue
        if not disks or any(str(disk.get("encrypted")).lower() != "true" for disk in disks):
            broken.append(f"{address}: a disk is not encrypted")
        if any((disk.get("volume_type") or disk.get("type")) != "gp3" for disk in disks):
            broken.append(f"{address}: a disk is not gp3")
    return broken


def listed(value: object) -> list:
    return value if isinstance(value, list) else [value]
