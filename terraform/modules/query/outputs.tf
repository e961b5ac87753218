output "workgroup" {
  description = "Athena workgroup."
  value       = aws_athena_workgroup.this.name
}

output "queries" {
  description = "Names of the apps' queries."
  value       = sort(keys(aws_athena_named_query.this))
}
