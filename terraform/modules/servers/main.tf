# Hosts that have a name and stay: everything but the workers of a cluster.

locals {
  hosts = merge([for kind, server in var.servers : {
    for n in range(server.autoscaled ? 0 : server.count) : "${kind}-${n + 1}" => merge(server, { kind = kind, n = n })
  }]...)

  # Spread over the zones. The order of the subnets must stay, or hosts would move.
  private_subnet_ids = length(var.private_subnet_ids) > 0 ? var.private_subnet_ids : var.public_subnet_ids
  subnet_ids = {
    for name, host in local.hosts : name => host.public ? var.public_subnet_ids[host.n % length(var.public_subnet_ids)] : local.private_subnet_ids[host.n % length(local.private_subnet_ids)]
  }
  # Xen: no EBS optimisation to be had, and the console shows disks as /dev/xvd?.
  is_xen = { for name, host in local.hosts : name => can(regex("^t2\\.", host.type)) }
}

resource "aws_key_pair" "this" {
  count           = var.ssh_public_key == null ? 0 : 1
  key_name_prefix = "${var.name}-"
  public_key      = trimspace(var.ssh_public_key)
}

resource "aws_instance" "this" {
  #checkov:skip=CKV_AWS_126:a point a minute costs extra for each host; what must be seen sooner the console shows each second
  #checkov:skip=CKV_AWS_88:no address is asked for; in the default VPC the subnet gives one, as there is no other way out
  for_each               = local.hosts
  ami                    = terraform_data.ami.output
  instance_type          = each.value.type
  subnet_id              = local.subnet_ids[each.key]
  vpc_security_group_ids = var.group_ids[each.value.kind]
  iam_instance_profile   = var.instance_profiles[each.value.kind]
  key_name               = one(aws_key_pair.this[*].key_name)
  ebs_optimized          = local.is_xen[each.key] ? null : true
  user_data              = local.user_data

  metadata_options {
    http_endpoint = "enabled"
    # IMDSv2 only: a request that somebody tricks a server into can't read the role's credentials.
    http_tokens = "required"
    # Containers on the host are a hop further away, and are not meant to have its role.
    http_put_response_hop_limit = 1
    instance_metadata_tags      = "enabled"
  }

  root_block_device {
    volume_type = "gp3"
    volume_size = each.value.root_gb
    encrypted   = true
    tags        = merge(var.tags, { Name = "${var.name}-${each.key}-root" })
  }

  tags = { Name = "${var.name}-${each.key}", Host = each.key, Roles = join(",", sort(tolist(each.value.roles))) }

  lifecycle {
    # Hosts are kept up to date by Ansible. A new image, or new user-data, which is read at the first start only, is
    # no reason to replace one, nor to stop it.
    ignore_changes = [ami, user_data]
  }
}

# Data lives on volumes of its own, so that a host can be replaced and get them again.
resource "aws_ebs_volume" "data" {
  #checkov:skip=CKV_AWS_189:encrypted with the account's EBS key; a customer's key costs monthly, and whoever may use the account may use it too
  #checkov:skip=CKV2_AWS_9:what is durable is Kafka's and Cassandra's copies and the lake; snapshots are the operator's choice, see docs/operate.md
  for_each          = { for name, host in local.hosts : name => host if host.data_gb > 0 }
  availability_zone = aws_instance.this[each.key].availability_zone
  type              = "gp3"
  size              = each.value.data_gb
  encrypted         = true

  tags = { Name = "${var.name}-${each.key}-data", Host = each.key }
}

resource "aws_volume_attachment" "data" {
  for_each    = aws_ebs_volume.data
  device_name = "/dev/sdf"
  volume_id   = each.value.id
  instance_id = aws_instance.this[each.key].id
  # A volume that is in use isn't let go of otherwise, and `destroy` would wait for ever.
  stop_instance_before_detaching = true
}
