"""What an account still holds of an installation, asked by the SDK."""

from __future__ import annotations


def what_is_left(api) -> list[str]:
    """Everything but what every account has of itself (the default VPC with what belongs to it, Athena's primary)."""
    return sorted([*_network(api), *_hosts(api), *_lake(api), *_access(api), *_watch(api)])


def _network(api) -> list[str]:
    ec2 = api("ec2")
    vpcs = {vpc["VpcId"]: vpc["IsDefault"] for vpc in ec2.describe_vpcs()["Vpcs"]}
    own = [vpc for vpc, is_default in vpcs.items() if not is_default]
    groups = [g["GroupName"] for g in ec2.describe_security_groups()["SecurityGroups"] if g["GroupName"] != "default"]
    subnets = [s["SubnetId"] for s in ec2.describe_subnets()["Subnets"] if s["VpcId"] in own]
    gateways = [
        g["NatGatewayId"] for g in ec2.describe_nat_gateways()["NatGateways"] if g["State"] not in ("deleted", "deleting")
    ]
    addresses = [a["AllocationId"] for a in ec2.describe_addresses()["Addresses"]]
    endpoints = [e["VpcEndpointId"] for e in ec2.describe_vpc_endpoints()["VpcEndpoints"] if e["State"] != "deleted"]
    flow = [log["FlowLogId"] for log in ec2.describe_flow_logs()["FlowLogs"]]
    return [*own, *groups, *subnets, *gateways, *addresses, *endpoints, *flow]


def _hosts(api) -> list[str]:
    ec2 = api("ec2")
    hosts = [
        host["InstanceId"]
        for reservation in ec2.describe_instances()["Reservations"]
        for host in reservation["Instances"]
        if host["State"]["Name"] != "terminated"
    ]
    volumes = [volume["VolumeId"] for volume in ec2.describe_volumes()["Volumes"]]
    templates = [template["LaunchTemplateName"] for template in ec2.describe_launch_templates()["LaunchTemplates"]]
    keys = [key["KeyName"] for key in ec2.describe_key_pairs()["KeyPairs"]]
    groups = [g["AutoScalingGroupName"] for g in api("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]]
    records = [
        record["Name"]
        for zone in api("route53").list_hosted_zones()["HostedZones"]
        for record in api("route53").list_resource_record_sets(HostedZoneId=zone["Id"])["ResourceRecordSets"]
        if record["Type"] == "A"
    ]
    return [*hosts, *volumes, *templates, *keys, *groups, *records]


def _lake(api) -> list[str]:
    buckets = [f"bucket {bucket['Name']}" for bucket in api("s3").list_buckets()["Buckets"]]
    databases = [database["Name"] for database in api("glue").get_databases()["DatabaseList"]]
    crawlers = [crawler["Name"] for crawler in api("glue").get_crawlers()["Crawlers"]]
    workgroups = [g["Name"] for g in api("athena").list_work_groups()["WorkGroups"] if g["Name"] != "primary"]
    queries = api("athena").list_named_queries()["NamedQueryIds"]
    return [*buckets, *databases, *crawlers, *workgroups, *queries]


def _access(api) -> list[str]:
    iam = api("iam")
    # AWS makes roles of its own, for Auto Scaling.
    roles = [role["RoleName"] for role in iam.list_roles()["Roles"] if not role["Path"].startswith("/aws-service-role/")]
    profiles = [profile["InstanceProfileName"] for profile in iam.list_instance_profiles()["InstanceProfiles"]]
    policies = [policy["PolicyName"] for policy in iam.list_policies(Scope="Local")["Policies"]]
    return [*roles, *profiles, *policies]


def _watch(api) -> list[str]:
    alarms = [alarm["AlarmName"] for alarm in api("cloudwatch").describe_alarms()["MetricAlarms"]]
    topics = [topic["TopicArn"] for topic in api("sns").list_topics()["Topics"]]
    budgets = [b["BudgetName"] for b in api("budgets").describe_budgets(AccountId="123456789012").get("Budgets", [])]
    logs = [group["logGroupName"] for group in api("logs").describe_log_groups()["logGroups"]]
    return [*alarms, *topics, *budgets, *logs]
