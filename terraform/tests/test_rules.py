"""The rules find what they are for: in a plan of a configuration that breaks each of them. And plans of other networks."""

from __future__ import annotations

import shutil

import pytest
import rules
from conftest import GIVEN
from terraform import ROOT, Terraform, changes

VARIABLES: dict = {}


@pytest.fixture(scope="module")
def bad_plan(aws, tmp_path_factory):
    directory = tmp_path_factory.mktemp("bad") / "bad"
    shutil.copytree(ROOT / "terraform" / "tests" / "bad", directory)
    return Terraform(directory, aws.endpoint, {}).plan()


def test_ways_in_for_everybody_are_found(bad_plan):
    found = {line.split(":")[0] for line in rules.open_to_the_world(bad_plan)}
    bad = ("kafka", "range", "all")
    assert found == {f"aws_vpc_security_group_ingress_rule.{name}" for name in bad} | {
        "aws_security_group_rule.ssh",
        "aws_security_group.inline",
    }


def test_rights_that_are_too_wide_are_found(bad_plan):
    assert rules.wildcards(bad_plan) == [
        "aws_iam_policy.wide.policy: action s3:*",
        "aws_iam_policy.wide.policy: resource * for s3:GetObject",
        "aws_iam_policy.wide.policy: resource * for cloudwatch:PutMetricData without cloudwatch:namespace",
        "aws_iam_policy.wide.policy: allows all but what it names",
    ]


def test_policies_that_a_plan_hides_are_found(bad_plan):
    assert rules.unknown_policies(bad_plan) == ["aws_s3_bucket_policy.unknown"]


def test_open_buckets_are_found(bad_plan):
    assert rules.open_buckets(bad_plan) == [
        "plain: block_public_policy is off",
        "plain: ignore_public_acls is off",
        "plain: restrict_public_buckets is off",
        "plain: takes requests without TLS",
    ]


def test_bare_hosts_are_found(bad_plan):
    assert rules.bare_hosts(bad_plan) == [
        "aws_instance.bare: answers IMDSv1",
        "aws_instance.bare: a disk is not encrypted",
        "aws_instance.bare: a disk is not gp3",
        "aws_launch_template.bare: answers IMDSv1",
        "aws_launch_template.bare: a disk is not encrypted",
    ]


def test_every_exception_is_used(aws, directory):
    """An action on the list of those that may have "*" for a resource is one that somebody has."""
    text = "".join(path.read_text() for path in (directory / "modules").glob("*/*.tf"))
    assert [action for action in rules.UNBOUND if f'"{action}"' not in text] == []


def test_the_default_vpc_is_taken_as_it_is(installation):
    plan = installation.plan(network={"mode": "default"}, topology="cluster")
    created = changes(plan)["create"]
    assert [address for address in created if address.startswith("module.network.")] == []
    subnets = {v["subnet_id"] for _, kind, v in rules.resources(plan) if kind == "aws_instance"}
    assert len(subnets) == 3
    for rule in (rules.open_to_the_world, rules.wildcards, rules.open_buckets, rules.bare_hosts):
        assert rule(plan) == [], rule.__name__


def test_a_network_that_is_there_is_used(api, installation):
    ec2 = api("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    public, private = (
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.9.{n}.0/24")["Subnet"]["SubnetId"] for n in range(2)
    )
    network = {
        "mode": "existing",
        "vpc_id": vpc,
        "public_subnet_ids": [public],
        "private_subnet_ids": [private],
        "flow_logs": True,
    }
    plan = installation.plan(network=network, topology="cluster")
    network_resources = [address for address in changes(plan)["create"] if address.startswith("module.network.")]
    assert all("flow" in address for address in network_resources)
    places = {address: v["subnet_id"] for address, kind, v in rules.resources(plan) if kind == "aws_instance"}
    assert {subnet for address, subnet in places.items() if "edge" in address} == {public}
    assert {subnet for address, subnet in places.items() if "edge" not in address} == {private}


def test_an_image_that_is_named_is_taken(installation):
    plan = installation.plan(ami_id="ami-0123456789abcdef0")
    images = [v["ami"] for _, kind, v in rules.resources(plan) if kind == "aws_instance" and v.get("ami")]
    assert images in ([], ["ami-0123456789abcdef0"])
    # Nobody looks another one up.
    assert "data.aws_ami" not in plan["text"]


def test_the_endpoint_is_on_this_machine(directory):
    for endpoint in ("https://ec2.eu-central-1.amazonaws.com", "http://127.0.0.1.example.org", "http://10.0.0.1:5000"):
        with pytest.raises(ValueError, match="loopback"):
            Terraform(directory, endpoint, GIVEN)
