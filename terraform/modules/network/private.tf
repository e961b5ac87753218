# Subnets of hosts without a public address. They get out by NAT, for packages and AWS's APIs; nobody gets in.

locals {
  has_nat = local.creates && var.has_private
}

resource "aws_subnet" "private" {
  count             = local.has_nat ? local.subnets : 0
  vpc_id            = aws_vpc.this[0].id
  availability_zone = aws_subnet.public[count.index].availability_zone
  cidr_block        = cidrsubnet(var.cidr, 4, 8 + count.index)

  tags = { Name = "${var.name}-private-${count.index + 1}" }
}

resource "aws_eip" "nat" {
  #checkov:skip=CKV2_AWS_19:it belongs to a NAT gateway, which checkov doesn't count
  count  = local.has_nat ? 1 : 0
  domain = "vpc"

  tags = { Name = "${var.name}-nat" }
}

# One for all zones: it carries packages and calls of APIs, not the data (that goes by the S3 endpoint), and hosts work on
# without it. One per zone costs three times as much.
resource "aws_nat_gateway" "this" {
  count         = local.has_nat ? 1 : 0
  allocation_id = aws_eip.nat[0].id
  subnet_id     = aws_subnet.public[0].id

  tags       = { Name = var.name }
  depends_on = [aws_internet_gateway.this]
}

resource "aws_route_table" "private" {
  count  = local.has_nat ? 1 : 0
  vpc_id = aws_vpc.this[0].id

  tags = { Name = "${var.name}-private" }
}

resource "aws_route" "nat" {
  count                  = local.has_nat ? 1 : 0
  route_table_id         = aws_route_table.private[0].id
  destination_cidr_block = "0.0.0.0/0"
  nat_gateway_id         = aws_nat_gateway.this[0].id
}

resource "aws_route_table_association" "private" {
  count          = local.has_nat ? local.subnets : 0
  subnet_id      = aws_subnet.private[count.index].id
  route_table_id = aws_route_table.private[0].id
}

# The lake's traffic stays inside AWS, and costs nothing.
resource "aws_vpc_endpoint" "s3" {
  count             = local.creates ? 1 : 0
  vpc_id            = aws_vpc.this[0].id
  service_name      = "com.amazonaws.${var.region}.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = concat(aws_route_table.public[*].id, aws_route_table.private[*].id)

  tags = { Name = "${var.name}-s3" }
}
