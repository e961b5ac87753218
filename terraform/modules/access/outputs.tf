output "instance_profiles" {
  description = "Duty → instance profile."
  value       = { for duty, profile in aws_iam_instance_profile.host : duty => profile.name }
}

output "crawler_role_arn" {
  description = "Role of the crawlers."
  value       = aws_iam_role.crawler.arn
}

output "analyst_policy_arn" {
  description = "Policy for people who ask questions."
  value       = aws_iam_policy.analyst.arn
}
