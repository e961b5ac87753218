# Where the hosts are: a VPC of our own, the account's default one, or one that is there.

locals {
  creates = var.mode == "create"
  # Three subnets, in as many zones as there are: Kafka and Cassandra have three copies.
  subnets = local.creates ? 3 : 0

  vpc_id = {
    create   = one(aws_vpc.this[*].id)
    default  = one(data.aws_vpc.default[*].id)
    existing = var.existing.vpc_id
  }[var.mode]
  public_subnet_ids = {
    create   = aws_subnet.public[*].id
    default  = sort(try(data.aws_subnets.default[0].ids, []))
    existing = var.existing.public_subnet_ids
  }[var.mode]
  private_subnet_ids = {
    create = aws_subnet.private[*].id
    # The default VPC has only public ones; there the security groups alone keep the world out.
    default  = []
    existing = var.existing.private_subnet_ids
  }[var.mode]
}

data "aws_availability_zones" "here" {
  #checkov:skip=CKV_AWS_394:subnets keep their zone, whatever zones come or are away for a while
  count = local.creates ? 1 : 0
  state = "available"

  # Local zones have neither all types of hosts nor NAT.
  filter {
    name   = "opt-in-status"
    values = ["opt-in-not-required"]
  }
}

data "aws_vpc" "default" {
  count   = var.mode == "default" ? 1 : 0
  default = true
}

data "aws_subnets" "default" {
  count = var.mode == "default" ? 1 : 0

  filter {
    name   = "vpc-id"
    values = [data.aws_vpc.default[0].id]
  }
  filter {
    name   = "default-for-az"
    values = ["true"]
  }
}

resource "aws_vpc" "this" {
  #checkov:skip=CKV2_AWS_11:network.flow_logs turns them on; they cost by the gigabyte
  count                = local.creates ? 1 : 0
  cidr_block           = var.cidr
  enable_dns_hostnames = true

  tags = { Name = var.name }
}

# Whoever forgets to name a group gets this one: nothing in, nothing out.
resource "aws_default_security_group" "closed" {
  count  = local.creates ? 1 : 0
  vpc_id = aws_vpc.this[0].id

  tags = { Name = "${var.name}-closed" }
}

resource "aws_internet_gateway" "this" {
  count  = local.creates ? 1 : 0
  vpc_id = aws_vpc.this[0].id

  tags = { Name = var.name }
}

# The edge has an Elastic IP; no host is given an address by its subnet.
resource "aws_subnet" "public" {
  count                   = local.subnets
  vpc_id                  = aws_vpc.this[0].id
  availability_zone       = data.aws_availability_zones.here[0].names[count.index % length(data.aws_availability_zones.here[0].names)]
  cidr_block              = cidrsubnet(var.cidr, 4, count.index)
  map_public_ip_on_launch = false

  tags = { Name = "${var.name}-public-${count.index + 1}" }

  lifecycle {
    # A zone that is away for a day must not move subnets, and all hosts with them.
    ignore_changes = [availability_zone]
  }
}

resource "aws_route_table" "public" {
  count  = local.creates ? 1 : 0
  vpc_id = aws_vpc.this[0].id

  tags = { Name = "${var.name}-public" }
}

resource "aws_route" "out" {
  count                  = local.creates ? 1 : 0
  route_table_id         = aws_route_table.public[0].id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.this[0].id
}

resource "aws_route_table_association" "public" {
  count          = local.subnets
  subnet_id      = aws_subnet.public[count.index].id
  route_table_id = aws_route_table.public[0].id
}
