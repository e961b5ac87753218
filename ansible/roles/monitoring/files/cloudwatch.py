#!/usr/bin/env python3
"""Tells CloudWatch how full the fullest disk is and, on the host that watches the others, how far the slowest pipeline is behind.

    cloudwatch SETTINGS      with Python's own library only, so that no host needs AWS's
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import sys
import urllib.error
import urllib.request
from datetime import datetime, timezone
from urllib.parse import urlencode, urlsplit

METADATA = "http://169.254.169.254"
DISKS = ("ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "overlay")
SAMPLE = re.compile(r"millstream_lag\{([^}]*)\} (\S+)")
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
PATIENCE = 10


def ask(url: str, method: str = "GET", body: bytes | None = None, **headers: str) -> str:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, data=body, method=method, headers=named)
    # Metadata, consoles of this network and AWS: none of them is reached by a proxy that the environment names.
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=PATIENCE) as answer:
        return answer.read().decode()


def credentials(metadata: str) -> dict[str, str]:
    """Of the instance's role. A token first: IMDSv2."""
    token = ask(f"{metadata}/latest/api/token", "PUT", X_aws_ec2_metadata_token_ttl_seconds="300")
    path = f"{metadata}/latest/meta-data/iam/security-credentials/"
    role = ask(path, X_aws_ec2_metadata_token=token).split()[0]
    return json.loads(ask(path + role, X_aws_ec2_metadata_token=token))


def fullest(mounts: str) -> float:
    """Per cent, of what may be written: as `df` reckons."""
    used = []
    for line in mounts.splitlines():
        _, path, kind = line.split()[:3]
        if kind in DISKS:
            of = os.statvfs(path.replace("\\040", " "))
            taken = of.f_blocks - of.f_bfree
            if taken + of.f_bavail:
                used.append(100 * taken / (taken + of.f_bavail))
    return max(used)


def slowest(metrics: str) -> float:
    """Records that the pipeline furthest behind is behind: the sum of its partitions."""
    behind: dict[tuple, float] = {}
    partitions: dict[tuple, float] = {}
    for labels, value in SAMPLE.findall(metrics):
        named = dict(LABEL.findall(labels))
        at = tuple(named.get(name) for name in ("app", "pipeline", "topic", "partition"))
        # Just after a take-over two workers may tell of one partition.
        partitions[at] = max(partitions.get(at, 0.0), float(value))
    for (app, pipeline, _, _), value in partitions.items():
        behind[app, pipeline] = behind.get((app, pipeline), 0.0) + value
    if not behind:
        raise ValueError("no worker tells of a pipeline")
    return max(behind.values())


def lag(consoles: list[str]) -> float:
    """As the first console that answers has it."""
    failures = []
    for console in consoles:
        try:
            return slowest(ask(f"http://{console}/metrics"))
        except (OSError, ValueError) as error:
            failures.append(f"{console}: {error}")
    raise RuntimeError(f"ask the workers' consoles for the lag: {'; '.join(failures)}; see whether workers run (`systemctl status 'millstream@*'`)")


def signed(keys: dict[str, str], region: str, host: str, body: bytes, now: datetime) -> dict[str, str]:
    """Headers of a POST to CloudWatch by AWS's Signature Version 4."""
    stamp, day = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime("%Y%m%d")
    headers = {"content-type": "application/x-www-form-urlencoded; charset=utf-8", "host": host, "x-amz-date": stamp}
    if keys.get("Token"):
        headers["x-amz-security-token"] = keys["Token"]
    names = ";".join(sorted(headers))
    canonical = ["POST", "/", "", *(f"{name}:{headers[name]}" for name in sorted(headers)), "", names, hashlib.sha256(body).hexdigest()]
    scope = f"{day}/{region}/monitoring/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256("\n".join(canonical).encode()).hexdigest()])
    key = ("AWS4" + keys["SecretAccessKey"]).encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.new(key, text.encode(), "sha256").hexdigest()
    headers["authorization"] = f"AWS4-HMAC-SHA256 Credential={keys['AccessKeyId']}/{scope}, SignedHeaders={names}, Signature={signature}"
    return headers


def tell(settings: dict, data: list[dict[str, str]]) -> None:
    url = settings["endpoint"] or f"https://monitoring.{settings['region']}.amazonaws.com"
    fields = {"Action": "PutMetricData", "Version": "2010-08-01", "Namespace": settings["namespace"]}
    for number, datum in enumerate(data, 1):
        fields.update({f"MetricData.member.{number}.{name}": value for name, value in datum.items()})
    body = urlencode(fields).encode()
    keys = credentials(settings["metadata"] or METADATA)
    headers = signed(keys, settings["region"], urlsplit(url).netloc, body, datetime.now(timezone.utc))
    try:
        ask(url, "POST", body, **headers)
    except urllib.error.HTTPError as error:
        raise RuntimeError(f"tell CloudWatch at {url}: {error.code} {error.read().decode()[:500]}; the instance's role needs cloudwatch:PutMetricData") from error


def main() -> int:
    with open(sys.argv[1]) as file:
        settings = json.load(file)
    with open("/proc/mounts") as file:
        disk = fullest(file.read())
    data = [{
        "MetricName": "disk_used_percent", "Value": f"{disk:.2f}", "Unit": "Percent",
        "Dimensions.member.1.Name": "InstanceId", "Dimensions.member.1.Value": settings["instance_id"],
    }]  # fmt: skip
    failure = ""
    if settings["consoles"]:
        try:
            data.append({"MetricName": "lag", "Value": f"{lag(settings['consoles']):.0f}", "Unit": "Count"})
        except RuntimeError as error:
            # Of the disk CloudWatch is told all the same; that the lag is missing is an alarm there.
            failure = str(error)
    try:
        tell(settings, data)
    except (OSError, RuntimeError) as error:
        failure = f"{error}; {failure}" if failure else str(error)
    if failure:
        print(f"cloudwatch: {failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
