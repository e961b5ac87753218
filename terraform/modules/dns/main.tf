# Addresses that stay when a host is replaced, and a name for them.

resource "aws_eip" "edge" {
  #checkov:skip=CKV2_AWS_19:bound by the association below
  for_each = var.edges
  domain   = "vpc"

  tags = { Name = "${var.name}-${each.key}" }
}

resource "aws_eip_association" "edge" {
  for_each      = var.edges
  allocation_id = aws_eip.edge[each.key].id
  instance_id   = each.value
}

data "aws_route53_zone" "this" {
  count        = var.record == null ? 0 : 1
  name         = var.record.zone
  private_zone = false
}

resource "aws_route53_record" "edge" {
  #checkov:skip=CKV2_AWS_23:it points to the Elastic IPs above, which checkov doesn't follow
  count   = var.record == null ? 0 : 1
  zone_id = data.aws_route53_zone.this[0].zone_id
  name    = "${var.record.name}.${trimsuffix(var.record.zone, ".")}"
  type    = "A"
  ttl     = 300
  records = [for name in sort(keys(var.edges)) : aws_eip.edge[name].public_ip]
}
