output "hosts" {
  description = "Host → its kind, roles, addresses and volume. public_ip is empty where there is none."
  value = merge(
    { for name, host in local.hosts : name => {
      kind        = host.kind
      roles       = sort(tolist(host.roles))
      instance_id = aws_instance.this[name].id
      type        = host.type
      private_ip  = aws_instance.this[name].private_ip
      # That of an Elastic IP shows here only at the next refresh, so module dns has it.
      public_ip      = host.public ? "" : aws_instance.this[name].public_ip
      data_volume_id = try(aws_ebs_volume.data[name].id, "")
    } },
    merge([for kind, found in data.aws_instances.worker : {
      # Named by instance: AWS numbers nobody, and names must not move on when one goes.
      for n, id in found.ids : "${kind}-${substr(id, 2, 8)}" => {
        kind           = kind
        roles          = sort(tolist(var.servers[kind].roles))
        instance_id    = id
        type           = var.servers[kind].type
        private_ip     = found.private_ips[n]
        public_ip      = length(found.public_ips) == length(found.ids) ? found.public_ips[n] : ""
        data_volume_id = ""
      }
    }]...),
  )
}

output "instance_ids" {
  description = "Host → instance, of hosts that stay: known by name at plan time."
  value       = { for name, instance in aws_instance.this : name => instance.id }
}

output "worker_groups" {
  description = "Auto Scaling group → how many instances it is to have."
  value       = { for kind, group in aws_autoscaling_group.worker : group.name => local.groups[kind].count }
}

output "ami_id" {
  description = "The image new hosts start from."
  value       = terraform_data.ami.output
}
