output "group_ids" {
  description = "Kind of host → its security groups."
  value       = { for kind, group in aws_security_group.kind : kind => [aws_security_group.inside.id, group.id] }
}

output "open_ports" {
  description = "Kind of host → ports with who they are open to: a range, \"inside\" (all hosts of the inventory) or \"peers\" (hosts of the same kind)."
  value = {
    for kind in keys(var.roles) : kind => concat(
      [for rules in values(local.by_range) : { port = rules[0].port, from = rules[0].cidr } if rules[0].kind == kind],
      [for rule in values(local.by_group) : { port = rule.port, from = rule.from } if rule.kind == kind],
    )
  }
}
