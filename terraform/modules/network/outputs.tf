output "vpc_id" {
  description = "The VPC."
  value       = local.vpc_id
}

output "public_subnet_ids" {
  description = "Subnets with a way in and out."
  value       = local.public_subnet_ids

  precondition {
    condition     = length(local.public_subnet_ids) > 0
    error_message = "The default VPC has no default subnets in this region. `aws ec2 create-default-subnet --availability-zone …` makes one; or set network = { mode = \"create\" }."
  }
}

output "private_subnet_ids" {
  description = "Subnets with a way out only; none in the default VPC."
  value       = local.private_subnet_ids
}
