"""One host with everything, with the options on: a name, flow logs, a key, dates reckoned by Athena."""

from __future__ import annotations

import base64
import json

import pytest
import rules
import yaml
from botocore.exceptions import ClientError
from leftovers import what_is_left
from local_aws import ACCOUNT
from terraform import changes

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ8GxqjGzZ0bXoZkgQ5mFz0v3mH1l7y8yLr8mJ3y9T1k tests@example.org"
VARIABLES = {
    "topology": "single",
    "dns": {"zone": "example.org", "name": "millstream"},
    "network": {"flow_logs": True},
    "ssh_public_key": KEY,
    "client_cidrs": ["198.51.100.0/24"],
    "catalog": {"mode": "projection", "crawl_schedule": "cron(15 2 * * ? *)", "crawl_update": "LOG"},
}
BUCKET = f"millstream-lake-{ACCOUNT}"


def prepare(api):
    api("route53").create_hosted_zone(Name="example.org", CallerReference="tests")


@pytest.fixture(scope="module")
def first_plan(installation):
    plan = installation.plan()
    installation.apply_plan()
    return plan


@pytest.fixture(scope="module")
def outputs(installation, first_plan):
    return installation.outputs()


@pytest.fixture(scope="module")
def inventory(outputs):
    return yaml.safe_load(outputs["ansible_inventory"])["all"]


def test_first_plan_keeps_the_rules(first_plan):
    assert rules.unknown_policies(first_plan) == []
    for rule in (rules.open_to_the_world, rules.wildcards, rules.open_buckets, rules.bare_hosts):
        assert rule(first_plan) == [], rule.__name__


def test_second_plan_is_empty(installation, first_plan):
    plan = installation.plan()
    assert not plan["has_changes"], plan["text"][-4000:]


def test_there_is_one_host_with_all_roles(api, outputs, inventory):
    (reservation,) = api("ec2").describe_instances()["Reservations"]
    (host,) = reservation["Instances"]
    assert host["InstanceType"] == "m6i.xlarge"
    assert host["MetadataOptions"]["HttpTokens"] == "required"
    assert host["MetadataOptions"]["HttpPutResponseHopLimit"] == 1
    assert host["IamInstanceProfile"]["Arn"].endswith("/millstream-all")
    assert {"Key": "Project", "Value": "millstream"} in host["Tags"]
    assert list(inventory["hosts"]) == ["millstream-1"]
    assert inventory["hosts"]["millstream-1"]["instance_id"] == host["InstanceId"]
    roles = ("kafka", "cassandra", "mysql", "search", "worker", "edge", "monitoring")
    assert all("millstream-1" in inventory["children"][role]["hosts"] for role in roles)


def test_disks_are_encrypted_and_tagged(api, outputs):
    volumes = api("ec2").describe_volumes()["Volumes"]
    assert sorted(volume["Size"] for volume in volumes) == [50, 200]
    assert all(volume["Encrypted"] and volume["VolumeType"] == "gp3" for volume in volumes)
    assert all({"Key": "Installation", "Value": "millstream"} in volume["Tags"] for volume in volumes)


def test_its_name_leads_to_its_address(api, outputs, inventory):
    zone = api("route53").list_hosted_zones()["HostedZones"][0]["Id"]
    records = api("route53").list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
    (record,) = [record for record in records if record["Type"] == "A"]
    assert record["Name"] == "millstream.example.org."
    address = record["ResourceRecords"][0]["Value"]
    assert inventory["hosts"]["millstream-1"]["ansible_host"] == address
    assert outputs["edge"] == inventory["vars"]["domain"] == "millstream.example.org"
    assert outputs["ssh"]["millstream-1"] == f"ssh ubuntu@{address}"


def test_named_clients_reach_the_data_ports(inventory):
    ports = {port["port"] for port in inventory["hosts"]["millstream-1"]["open_ports"] if port["from"] == "198.51.100.0/24"}
    assert ports == {3306, 9042, 9090, 9092, 9200}


def test_flow_logs_are_written(api, first_plan):
    (log,) = api("ec2").describe_flow_logs()["FlowLogs"]
    assert log["TrafficType"] == "ALL"
    assert api("logs").describe_log_groups(logGroupNamePrefix="/millstream/flow")["logGroups"][0]["retentionInDays"] == 30


def test_dates_are_reckoned(api, first_plan):
    table = api("glue").get_table(DatabaseName="millstream", Name="patient_data")["Table"]
    assert table["Parameters"]["projection.enabled"] == "true"
    assert table["Parameters"]["projection.date.range"] == "2026-01-01,NOW+30DAYS"
    # CSV has no partitions, and so nothing to reckon.
    table = api("glue").get_table(DatabaseName="millstream", Name="weather_backup_csv")["Table"]
    assert "projection.enabled" not in table["Parameters"]


def test_csv_is_text_and_a_view_gives_it_types(api, first_plan):
    raw = api("glue").get_table(DatabaseName="millstream", Name="weather_backup_csv")["Table"]
    assert {column["Type"] for column in raw["StorageDescriptor"]["Columns"]} == {"string"}
    assert raw["Parameters"]["skip.header.line.count"] == "1"
    view = api("glue").get_table(DatabaseName="millstream", Name="weather_backup")["Table"]
    assert view["TableType"] == "VIRTUAL_VIEW"
    # Without both Trino finds no view, or breaks down over it.
    assert view["Description"] == "Presto View"
    assert view["StorageDescriptor"]["SerdeInfo"]["SerializationLibrary"] == "-"
    encoded = view["ViewOriginalText"].removeprefix("/* Presto View: ").removesuffix(" */")
    told = json.loads(base64.b64decode(encoded))
    assert told["originalSql"].endswith(' FROM "weather_backup_csv"')
    assert [column["name"] for column in told["columns"]] == [
        column["Name"] for column in raw["StorageDescriptor"]["Columns"]
    ]
    assert {"name": "observed_at", "type": "timestamp(3)"} in told["columns"]


def test_crawlers_run_as_told(api, first_plan):
    crawler = api("glue").get_crawler(Name="millstream-patient_data")["Crawler"]
    assert crawler["Schedule"]["ScheduleExpression"] == "cron(15 2 * * ? *)"
    assert crawler["SchemaChangePolicy"] == {"UpdateBehavior": "LOG", "DeleteBehavior": "LOG"}


def test_another_host_adds_only_itself(installation, first_plan):
    """Of one more all-in-one host; and nothing that is there is touched."""
    does = changes(installation.plan(servers={"millstream": {"count": 2}}))
    assert does["delete"] == []
    assert does["update"] == ["module.dns.aws_route53_record.edge[0]"]
    assert does["create"] == [
        'module.dns.aws_eip.edge["millstream-2"]',
        'module.dns.aws_eip_association.edge["millstream-2"]',
        'module.servers.aws_ebs_volume.data["millstream-2"]',
        'module.servers.aws_instance.this["millstream-2"]',
        'module.servers.aws_volume_attachment.data["millstream-2"]',
        'module.watch.aws_cloudwatch_metric_alarm.disk["millstream-2"]',
        'module.watch.aws_cloudwatch_metric_alarm.host["millstream-2"]',
    ]


def test_the_ledger_is_created_and_never_changed(api, first_plan):
    s3 = api("s3")
    entry = {"Bucket": BUCKET, "Key": "_millstream/health.patients/patient_data/0/00000000000000000001.0.plan"}
    refused(lambda: s3.put_object(**entry, Body=b"without If-None-Match"))
    s3.put_object(**entry, Body=b"first", IfNoneMatch="*")
    refused(lambda: s3.put_object(**entry, Body=b"second", IfNoneMatch="*"), "PreconditionFailed")
    refused(lambda: s3.put_object(**entry, Body=b"third"))
    refused(lambda: s3.delete_object(**entry))
    # Nor below a prefix.
    below = {"Bucket": BUCKET, "Key": "prefix/_millstream/tables/patient_data.json"}
    refused(lambda: s3.put_object(**below, Body=b""))
    assert s3.get_object(**entry)["Body"].read() == b"first"


def test_data_is_written_and_overwritten_also_in_parts(api, first_plan):
    s3 = api("s3")
    data = {"Bucket": BUCKET, "Key": "patient_data/date=2026-11-21/patient_data-0-0-9.1.0.parquet"}
    s3.put_object(**data, Body=b"rows", IfNoneMatch="*")
    s3.put_object(**data, Body=b"abandoned: no rows")
    for target in (data | {"Key": data["Key"] + ".big"}, {"Bucket": BUCKET, "Key": "_millstream/big"}):
        upload = s3.create_multipart_upload(**target)["UploadId"]
        part = s3.upload_part(**target, UploadId=upload, PartNumber=1, Body=b"x" * 5_000_000)
        parts = {"Parts": [{"ETag": part["ETag"], "PartNumber": 1}]}
        if target["Key"].startswith("_millstream/"):
            refused(lambda: s3.complete_multipart_upload(**target, UploadId=upload, MultipartUpload=parts))
        s3.complete_multipart_upload(**target, UploadId=upload, MultipartUpload=parts, IfNoneMatch="*")


def test_asked_for_it_destroys_the_bucket_with_all_in_it(api, installation, first_plan):
    assert api("s3").list_objects_v2(Bucket=BUCKET)["KeyCount"] > 0
    does = changes(installation.plan(force_destroy=True))
    assert does == {"create": [], "update": ["module.lake.aws_s3_bucket.this"], "delete": []}
    installation.apply_plan()
    installation.destroy(force_destroy=True)
    assert installation.resources() == []
    assert what_is_left(api) == []


def refused(call, code: str | None = None):
    with pytest.raises(ClientError) as error:
        call()
    found = error.value.response
    # Moto's refusal by a bucket's policy has no body.
    assert found["Error"]["Code"] == code if code else found["ResponseMetadata"]["HTTPStatusCode"] == 403
