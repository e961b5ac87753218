"""What local_aws.py puts right in moto: each patch is needed, and works."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import boto3
import local_aws
import pytest
from botocore.exceptions import ClientError
from local_aws import ACCOUNT, CANONICAL, REGION
from moto.athena.responses import AthenaResponse
from moto.budgets.responses import BudgetsResponse


def test_canonicals_images_are_there_and_newer_ones_come(api, aws):
    ec2 = api("ec2")

    def newest():
        pattern = "ubuntu/images/hvm-ssd*/ubuntu-noble-24.04-amd64-server-*"
        images = ec2.describe_images(Owners=[CANONICAL], Filters=[{"Name": "name", "Values": [pattern]}])["Images"]
        return max(images, key=lambda image: image["CreationDate"])["ImageId"]

    assert newest() == "ami-0a1b2c3d4e5f60001"
    aws.publish_image("ami-0a1b2c3d4e5f60002", "2026-11-20")
    assert newest() == "ami-0a1b2c3d4e5f60002"


def test_what_is_missing_is_a_clients_error(api):
    """With 500 Terraform would try for ten minutes."""
    with pytest.raises(ClientError) as error:
        api("athena").create_notebook(WorkGroup="primary", Name="n")
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert "not been implemented" in str(error.value)


def test_what_breaks_is_a_clients_error(api, monkeypatch):
    def broken(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(local_aws.BaseResponse, "call_action", broken)
    with pytest.raises(ClientError) as error:
        api("glue").get_databases()
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_requests_are_answered_one_at_a_time(api, monkeypatch):
    """Side by side, one of some thousands found a dictionary that another changed, and a whole apply failed."""
    under_way, most = set(), []

    def slow(self):
        under_way.add(threading.get_ident())
        most.append(len(under_way))
        time.sleep(0.02)
        under_way.discard(threading.get_ident())
        return call_action(self)

    call_action = local_aws.BaseResponse.call_action
    monkeypatch.setattr(local_aws.BaseResponse, "call_action", slow)
    glue = api("glue")
    with ThreadPoolExecutor(8) as eight:
        list(eight.map(lambda _: glue.get_databases(), range(16)))
    assert len(most) == 16
    assert max(most) == 1


@pytest.mark.parametrize(
    ("service", "question"),
    [
        ("athena", "list_work_groups"),
        ("autoscaling", "describe_auto_scaling_groups"),
        ("cloudwatch", "describe_alarms"),
        ("ec2", "describe_vpcs"),
        ("glue", "get_databases"),
        ("iam", "list_roles"),
        ("logs", "describe_log_groups"),
        ("route53", "list_hosted_zones"),
        ("s3", "list_buckets"),
        ("sns", "list_topics"),
        ("sts", "get_caller_identity"),
    ],
)
def test_what_is_used_is_there(api, service, question):
    """requirements.txt has only what these need of moto's many requirements."""
    assert getattr(api(service), question)()


def test_rules_between_groups_keep_their_description(api):
    ec2 = api("ec2")
    group = ec2.create_security_group(GroupName="g", Description="g")["GroupId"]
    pair = {"GroupId": group, "Description": "peers to 9093"}
    told = {"IpProtocol": "tcp", "FromPort": 9093, "ToPort": 9093, "UserIdGroupPairs": [pair]}
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[told])
    rules = ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [group]}])["SecurityGroupRules"]
    assert [rule["Description"] for rule in rules if not rule["IsEgress"]] == ["peers to 9093"]


def test_a_templates_own_tags_are_no_instances_tags(api):
    ec2 = api("ec2")
    spec = [{"ResourceType": "launch-template", "Tags": [{"Key": "Name", "Value": "template"}]}]
    data = {"TagSpecifications": [{"ResourceType": "volume", "Tags": [{"Key": "Name", "Value": "disk"}]}]}
    ec2.create_launch_template(LaunchTemplateName="tags", LaunchTemplateData=data, TagSpecifications=spec)
    (version,) = ec2.describe_launch_template_versions(LaunchTemplateName="tags")["LaunchTemplateVersions"]
    assert [tags["ResourceType"] for tags in version["LaunchTemplateData"]["TagSpecifications"]] == ["volume"]


def test_what_starts_from_a_template_has_one_root_disk(api):
    ec2 = api("ec2")
    disk = {"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 20, "DeleteOnTermination": True}}
    data = {"ImageId": "ami-0a1b2c3d4e5f60001", "InstanceType": "m6i.large", "BlockDeviceMappings": [disk]}
    ec2.create_launch_template(LaunchTemplateName="disks", LaunchTemplateData=data)
    subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    autoscaling = api("autoscaling")
    template = {"LaunchTemplateName": "disks", "Version": "$Latest"}
    autoscaling.create_auto_scaling_group(
        AutoScalingGroupName="disks", MinSize=1, MaxSize=1, LaunchTemplate=template, VPCZoneIdentifier=subnet
    )
    assert [volume["Size"] for volume in ec2.describe_volumes()["Volumes"]] == [20]
    autoscaling.delete_auto_scaling_group(AutoScalingGroupName="disks", ForceDelete=True)
    assert ec2.describe_volumes()["Volumes"] == []


def test_buckets_deny_by_their_conditions(api, aws):
    s3 = api("s3")
    s3.create_bucket(Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": REGION})
    statement = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": ["arn:aws:s3:::bucket/*"]}
    tls = {"Condition": {"Bool": {"aws:SecureTransport": "false"}}}
    s3.put_bucket_policy(Bucket="bucket", Policy=local_aws.json.dumps({"Statement": [statement | tls]}))
    # Loopback stands for TLS …
    s3.put_object(Bucket="bucket", Key="k", Body=b"x")

    # … but for who says otherwise.
    def plain(request, **_):
        request.headers["x-without-tls"] = "yes"

    s3.meta.events.register("before-sign.s3", plain)
    with pytest.raises(ClientError) as error:
        s3.put_object(Bucket="bucket", Key="k", Body=b"x")
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_a_workgroup_can_be_changed(api):
    athena = api("athena")
    athena.create_work_group(Name="w", Configuration={"BytesScannedCutoffPerQuery": 10_000_000})
    location = {"ResultConfigurationUpdates": {"OutputLocation": "s3://bucket/results/"}}
    athena.update_work_group(
        WorkGroup="w", Description="d", ConfigurationUpdates={"BytesScannedCutoffPerQuery": 20_000_000} | location
    )
    group = athena.get_work_group(WorkGroup="w")["WorkGroup"]
    assert group["Description"] == "d"
    assert group["Configuration"]["BytesScannedCutoffPerQuery"] == 20_000_000
    assert group["Configuration"]["ResultConfiguration"]["OutputLocation"] == "s3://bucket/results/"


def test_a_named_query_can_be_deleted(api):
    athena = api("athena")
    query = athena.create_named_query(Name="q", Database="d", QueryString="SELECT 1")["NamedQueryId"]
    athena.delete_named_query(NamedQueryId=query)
    assert athena.list_named_queries()["NamedQueryIds"] == []


def test_a_budget_tells_its_tags_and_who_is_told(api):
    budgets = api("budgets")
    told = {"NotificationType": "ACTUAL", "ComparisonOperator": "GREATER_THAN", "Threshold": 80.0}
    whom = {"SubscriptionType": "EMAIL", "Address": "ops@example.org"}
    limit = {"Amount": "10", "Unit": "USD"}
    budgets.create_budget(
        AccountId=ACCOUNT,
        Budget={"BudgetName": "b", "BudgetType": "COST", "TimeUnit": "MONTHLY", "BudgetLimit": limit},
        NotificationsWithSubscribers=[{"Notification": told, "Subscribers": [whom]}],
        ResourceTags=[{"Key": "Project", "Value": "millstream"}],
    )
    found = budgets.describe_subscribers_for_notification(AccountId=ACCOUNT, BudgetName="b", Notification=told)
    assert found["Subscribers"] == [whom]
    tags = budgets.list_tags_for_resource(ResourceARN=f"arn:aws:budgets::{ACCOUNT}:budget/b")["ResourceTags"]
    assert tags == [{"Key": "Project", "Value": "millstream"}]


def test_moto_still_lacks_what_is_added():
    """When it has them, these can go: ours would hide its own."""
    for kind, names in {
        AthenaResponse: ("update_work_group", "delete_named_query"),
        BudgetsResponse: ("describe_subscribers_for_notification", "list_tags_for_resource"),
    }.items():
        for name in names:
            assert getattr(kind, name).__module__ == "local_aws"
            assert not any(name in base.__dict__ for base in kind.__mro__[1:])


def test_two_of_them_hold_nothing_of_each_other(api):
    assert api("s3").list_buckets()["Buckets"] != []
    with local_aws.LocalAws() as other:
        client = boto3.client(
            "s3",
            endpoint_url=other.endpoint,
            region_name=REGION,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )
        assert client.list_buckets()["Buckets"] == []
