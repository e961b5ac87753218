# Who may reach whom. Each kind of host has one group, whose rules follow from its roles; all hosts have the group
# "inside" as well. Two groups a host: AWS allows five.

locals {
  # Who each port of a role is open to:
  #   world    everybody; 80 and 443 only, a test sees to it
  #   admins   admin_cidrs
  #   inside   every host of this installation
  #   clients  client_cidrs
  #   peers    hosts of the same kind
  ports = {
    edge = [
      { port = 80, from = ["world"] },
      { port = 443, from = ["world"] },
    ]
    worker = [
      { port = 9090, from = ["inside", "clients"] }, # the console
    ]
    kafka = [
      { port = 9092, from = ["inside", "clients"] },
      { port = 9093, from = ["peers"] }, # controllers
    ]
    cassandra = [
      { port = 9042, from = ["inside", "clients"] },
      { port = 7000, from = ["peers"] },
      { port = 7001, from = ["peers"] }, # the same, encrypted
    ]
    mysql = [
      { port = 3306, from = ["inside", "clients"] },
    ]
    search = [
      { port = 9200, from = ["inside", "clients"] },
      { port = 9300, from = ["peers"] },
    ]
    # It asks others, and is read through the edge.
    monitoring = []
  }
  # Hosts without a public address are reached by way of the edge, see the inventory's ProxyJump.
  ssh = { port = 22, from = ["admins", "inside"] }
  # What each host tells Prometheus of itself: the node exporter.
  metrics = { port = 9100, from = ["inside"] }

  opened = {
    for kind, roles in var.roles : kind => concat([local.ssh, local.metrics], flatten([for role in sort(tolist(roles)) : local.ports[role]]))
  }

  ranges = { world = ["0.0.0.0/0"], admins = var.admin_cidrs, clients = var.client_cidrs }
  # One rule each, under a key that says what it is, so that one more changes no other.
  by_range = merge([for kind, opened in local.opened : {
    for rule in flatten([for o in opened : [for from in o.from : [
      for cidr in lookup(local.ranges, from, []) : { kind = kind, port = o.port, from = from, cidr = cidr }
    ]]]) : "${kind}-${rule.port}-${rule.cidr}" => rule...
  }]...)
  by_group = merge([for kind, opened in local.opened : {
    for rule in flatten([for o in opened : [for from in o.from : { kind = kind, port = o.port, from = from } if contains(["inside", "peers"], from)]]) :
    "${kind}-${rule.port}-${rule.from}" => rule
  }]...)
}

resource "aws_security_group" "inside" {
  #checkov:skip=CKV2_AWS_5:attached by module servers, which checkov doesn't follow
  name        = "${var.name}-inside"
  description = "Every host of ${var.name}"
  vpc_id      = var.vpc_id

  tags = { Name = "${var.name}-inside" }
}

resource "aws_security_group" "kind" {
  #checkov:skip=CKV2_AWS_5:attached by module servers, which checkov doesn't follow
  for_each    = var.roles
  name        = "${var.name}-${each.key}"
  description = "Hosts ${each.key} of ${var.name}: ${join(", ", sort(tolist(each.value)))}"
  vpc_id      = var.vpc_id

  tags = { Name = "${var.name}-${each.key}" }
}

resource "aws_vpc_security_group_ingress_rule" "range" {
  #checkov:skip=CKV_AWS_260:80 is open to the world on the edge, which answers with a redirect to 443 and the CA's challenges
  for_each          = local.by_range
  security_group_id = aws_security_group.kind[each.value[0].kind].id
  description       = "${each.value[0].from} to ${each.value[0].port}"
  ip_protocol       = "tcp"
  from_port         = each.value[0].port
  to_port           = each.value[0].port
  cidr_ipv4         = each.value[0].cidr
}

resource "aws_vpc_security_group_ingress_rule" "group" {
  for_each                     = local.by_group
  security_group_id            = aws_security_group.kind[each.value.kind].id
  description                  = "${each.value.from} to ${each.value.port}"
  ip_protocol                  = "tcp"
  from_port                    = each.value.port
  to_port                      = each.value.port
  referenced_security_group_id = each.value.from == "peers" ? aws_security_group.kind[each.value.kind].id : aws_security_group.inside.id
}

# Out: to each other, and to HTTP and HTTPS anywhere (packages, AWS's APIs, the feeds). Names and time come from addresses
# of AWS that no group filters. A server elsewhere, say a MySQL of patients, needs a rule of its own.
resource "aws_vpc_security_group_egress_rule" "inside" {
  security_group_id            = aws_security_group.inside.id
  description                  = "to each other"
  ip_protocol                  = "tcp"
  from_port                    = 1
  to_port                      = 65535
  referenced_security_group_id = aws_security_group.inside.id
}

resource "aws_vpc_security_group_egress_rule" "web" {
  for_each          = toset(["80", "443"])
  security_group_id = aws_security_group.inside.id
  description       = "packages, APIs and feeds"
  ip_protocol       = "tcp"
  from_port         = tonumber(each.key)
  to_port           = tonumber(each.key)
  cidr_ipv4         = "0.0.0.0/0"
}
