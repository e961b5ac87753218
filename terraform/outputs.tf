# For people; the last one is for Ansible.

output "edge" {
  description = "Where the pages are: the edge's name, else its address."
  value       = module.dns.name == null ? local.gateway : module.dns.name
}

output "ssh" {
  description = "How to log in, host by host."
  value = { for name, host in local.hosts : name => (
    host.public_ip != "" ? "ssh ubuntu@${host.public_ip}" : "ssh -J ubuntu@${local.gateway} ubuntu@${host.private_ip}"
  ) }
}

output "sessions" {
  description = "The same without ssh, by SSM."
  value       = { for name, host in local.hosts : name => "aws ssm start-session --region ${var.region} --target ${host.instance_id}" }
}

output "hosts" {
  description = "Hosts with roles, addresses and volumes."
  value       = local.hosts
}

output "ami_id" {
  description = "The image new hosts start from. Put it into ami_id to have other installations start from the same."
  value       = module.servers.ami_id
}

output "lake_url" {
  description = "The lake, as the apps' settings want it ([stores] lake)."
  value       = local.lake_url
}

output "bucket" {
  description = "The lake's bucket."
  value       = module.lake.bucket
}

output "glue_database" {
  description = "Glue database of the lake's tables."
  value       = module.catalog.database
}

output "tables" {
  description = "Names that SQL may use."
  value       = module.catalog.tables
}

output "crawlers" {
  description = "Glue crawlers (millstream crawl)."
  value       = module.catalog.crawlers
}

output "athena_workgroup" {
  description = "Athena workgroup."
  value       = module.query.workgroup
}

output "queries" {
  description = "The apps' questions, as Athena's named queries."
  value       = module.query.queries
}

output "analyst_policy_arn" {
  description = "Attach it to whom asks questions by Athena."
  value       = module.access.analyst_policy_arn
}

output "alarms" {
  description = "CloudWatch alarms."
  value       = module.watch.alarms
}

output "alarm_topic_arn" {
  description = "SNS topic of the alarms."
  value       = module.watch.topic_arn
}

output "ansible_inventory" {
  description = "Ansible's inventory: terraform output -raw ansible_inventory > inventory.yml"
  value       = yamlencode(local.inventory)
}
