# The seam to Ansible: `terraform output -raw ansible_inventory > inventory.yml`.

locals {
  public_hosts = flatten([for kind, server in local.kinds : [for n in range(server.count) : "${kind}-${n + 1}"] if server.public && !server.autoscaled])

  # Public addresses: Elastic ones where there are, else what the subnet gave.
  hosts = { for name, host in module.servers.hosts : name => merge(host, {
    public_ip = lookup(module.dns.addresses, name, host.public_ip)
  }) }

  gateway = try(module.dns.addresses[local.public_hosts[0]], "")

  inventory_hosts = { for name, host in local.hosts : name => merge(
    {
      ansible_host   = coalesce(host.public_ip, host.private_ip)
      private_ip     = host.private_ip
      public_ip      = host.public_ip
      instance_id    = host.instance_id
      data_volume_id = host.data_volume_id
      # Who reaches which port: a range of addresses, "inside" (all hosts of this inventory), or "peers" (of this kind).
      open_ports = module.security.open_ports[host.kind]
    },
    # Without a public address: by way of the edge.
    host.public_ip == "" && local.gateway != "" ? { ansible_ssh_common_args = "-o ProxyJump=ubuntu@${local.gateway}" } : {},
  ) }

  # A group for each role and, where its name is another one, for each kind.
  groups = setunion(flatten([for kind, server in local.kinds : tolist(server.roles)]), keys(local.kinds))

  inventory = {
    all = {
      vars = {
        ansible_user     = "ubuntu"
        installation     = var.name
        topology         = var.topology
        domain           = module.dns.name == null ? "" : module.dns.name
        lake_bucket      = module.lake.bucket
        lake_region      = var.region
        lake_url         = local.lake_url
        glue_database    = module.catalog.database
        catalog_mode     = var.catalog.mode
        athena_workgroup = module.query.workgroup
      }
      hosts = local.inventory_hosts
      children = { for group in local.groups : group => {
        hosts = { for name, host in local.hosts : name => {} if host.kind == group || contains(host.roles, group) }
      } }
    }
  }

  lake_url = "s3://${module.lake.bucket}?region=${var.region}"
}
