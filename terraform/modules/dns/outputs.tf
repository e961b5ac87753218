output "addresses" {
  description = "Public host → its address."
  value       = { for name, eip in aws_eip.edge : name => eip.public_ip }
}

output "name" {
  description = "Name of the edge; null where there is none."
  value       = one(aws_route53_record.edge[*].name)
}
