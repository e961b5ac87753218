"""The cluster as it is by default: made, looked at, lived in, grown, destroyed."""

from __future__ import annotations

import json
import re

import pytest
import rules
import yaml
from leftovers import what_is_left
from local_aws import ACCOUNT
from terraform import ROOT, changes

VARIABLES = {"topology": "cluster"}
BUCKET = f"millstream-lake-{ACCOUNT}"
CATALOG = json.loads((ROOT / "terraform" / "catalog.json").read_text())


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


@pytest.fixture(scope="module")
def instances(api, first_plan):
    found = {}
    for reservation in api("ec2").describe_instances()["Reservations"]:
        for host in reservation["Instances"]:
            found[host["InstanceId"]] = host
    return found


def test_first_plan_keeps_the_rules(first_plan):
    assert rules.unknown_policies(first_plan) == []
    for rule in (rules.open_to_the_world, rules.wildcards, rules.open_buckets, rules.bare_hosts):
        assert rule(first_plan) == [], rule.__name__


def test_second_plan_is_empty(installation, first_plan):
    plan = installation.plan()
    assert not plan["has_changes"], plan["text"][-4000:]


def test_hosts_are_as_many_as_they_should(instances, inventory):
    counts = {group: len(members["hosts"]) for group, members in inventory["children"].items()}
    assert counts == {
        **{"kafka": 3, "cassandra": 3, "mysql": 1, "search": 1, "worker": 2, "edge": 1, "monitoring": 1},
        **{"store": 1, "workers": 2},
    }
    assert {host["instance_id"] for host in inventory["hosts"].values()} == set(instances)


def test_hosts_have_imdsv2_and_encrypted_disks(api, instances):
    named = [host for host in instances.values() if not in_a_group(host)]
    assert len(named) == 8
    assert {host["MetadataOptions"]["HttpTokens"] for host in named} == {"required"}
    (template,) = api("ec2").describe_launch_template_versions(LaunchTemplateName="millstream-workers")[
        "LaunchTemplateVersions"
    ]
    data = template["LaunchTemplateData"]
    assert data["MetadataOptions"]["HttpTokens"] == "required"
    assert data["BlockDeviceMappings"][0]["Ebs"]["Encrypted"] is True
    roots = {
        mapping["Ebs"]["VolumeId"]
        for host in named
        for mapping in host["BlockDeviceMappings"]
    }
    volumes = {v["VolumeId"]: v for v in api("ec2").describe_volumes()["Volumes"]}
    assert all(volumes[volume]["Encrypted"] for volume in roots)


def test_hosts_are_spread_over_zones(instances, inventory):
    for group in ("kafka", "cassandra"):
        zones = {
            instances[inventory["hosts"][name]["instance_id"]]["Placement"]["AvailabilityZone"]
            for name in inventory["children"][group]["hosts"]
        }
        assert len(zones) == 3, group


def test_only_the_edge_has_a_public_address(instances, inventory):
    public = [name for name, host in inventory["hosts"].items() if host["public_ip"]]
    assert public == ["edge-1"]
    gateway = inventory["hosts"]["edge-1"]["public_ip"]
    for name, host in inventory["hosts"].items():
        assert instances[host["instance_id"]]["PrivateIpAddress"] == host["private_ip"]
        if name != "edge-1":
            assert host["ansible_host"] == host["private_ip"]
            assert host["ansible_ssh_common_args"] == f"-o ProxyJump=ubuntu@{gateway}"


def test_data_has_volumes_of_its_own(api, inventory):
    volumes = {v["VolumeId"]: v for v in api("ec2").describe_volumes()["Volumes"]}
    for group, size in (("kafka", 200), ("cassandra", 300), ("store", 100)):
        for name in inventory["children"][group]["hosts"]:
            host = inventory["hosts"][name]
            volume = volumes[host["data_volume_id"]]
            assert volume["Size"] == size
            assert volume["Encrypted"] is True
            assert volume["Attachments"][0]["InstanceId"] == host["instance_id"]


def test_the_apis_own_rules_are_what_the_inventory_says(api, instances, inventory):
    """Asked of AWS, group by group, so that it's what holds and not what was meant."""
    groups = {g["GroupId"]: g["GroupName"] for g in api("ec2").describe_security_groups()["SecurityGroups"]}
    held = {}
    for rule in api("ec2").describe_security_group_rules()["SecurityGroupRules"]:
        if not rule["IsEgress"]:
            source = rule.get("CidrIpv4") or groups[rule["ReferencedGroupInfo"]["GroupId"]]
            own = groups[rule["GroupId"]]
            source = {"millstream-inside": "inside", own: "peers"}.get(source, source)
            assert rule["FromPort"] == rule["ToPort"]
            held.setdefault(own, set()).add((rule["FromPort"], source))
    for host in inventory["hosts"].values():
        names = {group["GroupName"] for group in instances[host["instance_id"]]["SecurityGroups"]}
        open_ports = set().union(*(held.get(name, set()) for name in names))
        assert open_ports == {(port["port"], port["from"]) for port in host["open_ports"]}
    world = {(group, port) for group, rules_ in held.items() for port, source in rules_ if source == "0.0.0.0/0"}
    assert world == {("millstream-edge", 80), ("millstream-edge", 443)}


def test_each_duty_has_its_own_rights(api, instances, inventory):
    profiles = {
        name: instances[host["instance_id"]]["IamInstanceProfile"]["Arn"].split("/")[-1]
        for name, host in inventory["hosts"].items()
        if not in_a_group(instances[host["instance_id"]])
    }
    assert {name.split("-")[0]: profile for name, profile in profiles.items()} == {
        "kafka": "millstream-store",
        "cassandra": "millstream-store",
        "store": "millstream-store",
        "edge": "millstream-edge",
    }
    for role, rights in {
        "millstream-store": {"session", "metrics"},
        "millstream-edge": {"session", "metrics", "snapshots"},
        "millstream-worker": {"session", "metrics", "lake-write", "register", "snapshots"},
        "millstream-crawler": {"crawl"},
    }.items():
        assert set(api("iam").list_role_policies(RoleName=role)["PolicyNames"]) == rights
        assert api("iam").list_attached_role_policies(RoleName=role)["AttachedPolicies"] == []


def test_the_bucket_is_closed_and_keeps_versions(api, outputs):
    s3 = api("s3")
    assert outputs["bucket"] == BUCKET
    assert s3.get_bucket_versioning(Bucket=BUCKET)["Status"] == "Enabled"
    assert set(s3.get_public_access_block(Bucket=BUCKET)["PublicAccessBlockConfiguration"].values()) == {True}
    (owner,) = s3.get_bucket_ownership_controls(Bucket=BUCKET)["OwnershipControls"]["Rules"]
    assert owner["ObjectOwnership"] == "BucketOwnerEnforced"
    encryption = s3.get_bucket_encryption(Bucket=BUCKET)["ServerSideEncryptionConfiguration"]["Rules"][0]
    assert encryption["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    lifecycle = {rule["ID"]: rule for rule in s3.get_bucket_lifecycle_configuration(Bucket=BUCKET)["Rules"]}
    assert lifecycle["housekeeping"]["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] == 7
    assert lifecycle["housekeeping"]["NoncurrentVersionExpiration"]["NoncurrentDays"] == 30
    assert lifecycle["athena-results"]["Expiration"]["Days"] == 14


def test_tables_are_those_of_the_apps(api, first_plan):
    for name, table in CATALOG["tables"].items():
        found = api("glue").get_table(DatabaseName="millstream", Name=name)["Table"]
        columns = [{"name": column["Name"], "type": column["Type"]} for column in found["StorageDescriptor"]["Columns"]]
        assert columns == table["columns"]
        if table["format"] == "parquet":
            assert found["StorageDescriptor"]["Location"] == f"s3://{BUCKET}/{table['location']}"
            assert [key["Name"] for key in found["PartitionKeys"]] == [key["name"] for key in table["partitions"]]
            # Workers register partitions; with projection Athena wouldn't look at them.
            assert "projection.enabled" not in found["Parameters"]


def test_crawlers_go_over_tables_not_over_their_paths(api, outputs):
    crawlers = {crawler["Name"]: crawler for crawler in api("glue").get_crawlers()["Crawlers"]}
    assert sorted(crawlers) == outputs["crawlers"]
    declared = crawlers["millstream-patient_data"]
    (target,) = declared["Targets"]["CatalogTargets"]
    assert (target["DatabaseName"], target["Tables"]) == ("millstream", ["patient_data"])
    assert declared["Targets"].get("S3Targets", []) == []
    assert declared["SchemaChangePolicy"] == {"UpdateBehavior": "UPDATE_IN_DATABASE", "DeleteBehavior": "LOG"}
    # A crawler would guess types of CSV's columns.
    assert crawlers["millstream-weather_backup_csv"]["SchemaChangePolicy"]["UpdateBehavior"] == "LOG"
    (directory,) = crawlers["millstream-recalls_snapshots"]["Targets"]["S3Targets"]
    assert directory["Path"] == f"s3://{BUCKET}/recalls/snapshots/"
    assert crawlers["millstream-recalls_snapshots"]["TablePrefix"] == "recalls_"


def test_athena_has_a_limit_and_the_apps_questions(api, outputs):
    group = api("athena").get_work_group(WorkGroup="millstream")["WorkGroup"]["Configuration"]
    assert group["EnforceWorkGroupConfiguration"] is True
    assert group["BytesScannedCutoffPerQuery"] == 10 * 1024**3
    assert group["ResultConfiguration"]["OutputLocation"] == f"s3://{BUCKET}/athena-results/"
    assert group["EngineVersion"]["SelectedEngineVersion"] == "Athena engine version 3"
    queries = {}
    for query in api("athena").list_named_queries(WorkGroup="millstream")["NamedQueryIds"]:
        found = api("athena").get_named_query(NamedQueryId=query)["NamedQuery"]
        queries[found["Name"]] = found
    assert sorted(queries) == outputs["queries"]
    # Those of tables in the lake; Cassandra's and MySQL's aren't Athena's to ask.
    expected = {
        f"{path.parts[-3]}.{path.stem}": path.read_text()
        for path in (ROOT / "apps").glob("*/queries/*.sql")
        if set(re.findall(r'(?:FROM|JOIN)\s+"?(\w+)', re.sub(r"--.*", "", path.read_text()))) <= set(CATALOG["tables"])
    }
    assert {name: query["QueryString"] for name, query in queries.items()} == expected
    assert all(query["Description"] for query in queries.values())


def test_somebody_is_told(api, inventory):
    (topic,) = api("sns").list_topics()["Topics"]
    alarms = {alarm["AlarmName"]: alarm for alarm in api("cloudwatch").describe_alarms()["MetricAlarms"]}
    assert {name.split("-")[1] for name in alarms} == {"lag", "disk", "host", "workers"}
    assert all(alarm["AlarmActions"] == [topic["TopicArn"]] for alarm in alarms.values())
    assert alarms["millstream-lag"]["Namespace"] == "Millstream"
    assert alarms["millstream-lag"]["TreatMissingData"] == "breaching"
    assert len([name for name in alarms if name.startswith("millstream-disk-")]) == 8
    (budget,) = api("budgets").describe_budgets(AccountId=ACCOUNT)["Budgets"]
    assert float(budget["BudgetLimit"]["Amount"]) == 500
    (told,) = api("sns").list_subscriptions_by_topic(TopicArn=topic["TopicArn"])["Subscriptions"]
    assert told["Endpoint"] == "ops@example.org"


def test_what_happens_meanwhile_changes_no_plan(api, aws, installation, first_plan):
    """A newer Ubuntu, objects, partitions and a column by workers, a crawler's notes."""
    aws.publish_image("ami-0a1b2c3d4e5f69999", "2026-11-20")
    api("s3").put_object(Bucket=BUCKET, Key="patient_data/date=2026-11-21/a.parquet", Body=b"rows")
    glue = api("glue")
    table = glue.get_table(DatabaseName="millstream", Name="patient_data")["Table"]
    descriptor = table["StorageDescriptor"]
    glue.batch_create_partition(
        DatabaseName="millstream",
        TableName="patient_data",
        PartitionInputList=[{"Values": ["2026-11-21"], "StorageDescriptor": descriptor}],
    )
    descriptor["Columns"].append({"Name": "ward", "Type": "string"})
    kept = ("Name", "Description", "StorageDescriptor", "PartitionKeys", "TableType", "Parameters")
    changed = {key: table[key] for key in kept if key in table}
    changed["Parameters"] |= {"UPDATED_BY_CRAWLER": "millstream-patient_data", "recordCount": "7"}
    glue.update_table(DatabaseName="millstream", TableInput=changed)
    glue.start_crawler(Name="millstream-patient_data")
    plan = installation.plan()
    assert not plan["has_changes"], plan["text"][-4000:]


def test_more_hosts_add_only_themselves(api, installation, inventory, instances):
    """A fourth Cassandra node and a third worker; hosts that are there stay as they are."""
    servers = {"cassandra": {"count": 4}, "workers": {"count": 3}}
    does = changes(installation.plan(servers=servers))
    assert does["delete"] == []
    assert does["create"] == [
        'module.servers.aws_ebs_volume.data["cassandra-4"]',
        'module.servers.aws_instance.this["cassandra-4"]',
        'module.servers.aws_volume_attachment.data["cassandra-4"]',
        'module.watch.aws_cloudwatch_metric_alarm.disk["cassandra-4"]',
        'module.watch.aws_cloudwatch_metric_alarm.host["cassandra-4"]',
    ]
    assert does["update"] == [
        'module.servers.aws_autoscaling_group.worker["workers"]',
        'module.watch.aws_cloudwatch_metric_alarm.workers["millstream-workers"]',
    ]
    installation.apply_plan()
    hosts = yaml.safe_load(installation.outputs()["ansible_inventory"])["all"]["hosts"]
    new = set(hosts) - set(inventory["hosts"])
    assert len(new) == 2 and "cassandra-4" in new
    assert {host["instance_id"] for name, host in hosts.items() if name not in new} == set(instances)
    # The image that was newest at the first apply, not the one that came later.
    (added,) = api("ec2").describe_instances(InstanceIds=[hosts["cassandra-4"]["instance_id"]])["Reservations"]
    assert added["Instances"][0]["ImageId"] == "ami-0a1b2c3d4e5f60001"


def test_destroy_keeps_the_bucket_as_long_as_it_holds_data(api, installation, first_plan):
    told = installation.destroy(ok=(1,))
    assert "BucketNotEmpty" in told
    assert installation.resources() == ["module.lake.aws_s3_bucket.this"]
    assert what_is_left(api) == [f"bucket {BUCKET}"]
    assert api("s3").list_objects_v2(Bucket=BUCKET)["KeyCount"] == 1


def test_destroy_of_an_empty_bucket_leaves_nothing(api, installation, first_plan):
    s3 = api("s3")
    for version in s3.list_object_versions(Bucket=BUCKET)["Versions"]:
        s3.delete_object(Bucket=BUCKET, Key=version["Key"], VersionId=version["VersionId"])
    installation.destroy()
    assert installation.resources() == []
    assert what_is_left(api) == []


def in_a_group(host: dict) -> bool:
    return any(tag["Key"] == "aws:autoscaling:groupName" for tag in host["Tags"])
