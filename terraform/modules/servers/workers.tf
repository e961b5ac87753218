# Workers of a cluster: they hold nothing, so AWS may start, end and replace them. Kafka shares the partitions out among
# those that are there.

locals {
  groups = { for kind, server in var.servers : kind => server if server.autoscaled }
}

resource "aws_launch_template" "worker" {
  #checkov:skip=CKV_AWS_88:no address is asked for, see main.tf
  for_each               = local.groups
  name                   = "${var.name}-${each.key}"
  image_id               = terraform_data.ami.output
  instance_type          = each.value.type
  key_name               = one(aws_key_pair.this[*].key_name)
  vpc_security_group_ids = var.group_ids[each.key]
  user_data              = base64encode(local.user_data)
  update_default_version = true

  iam_instance_profile {
    name = var.instance_profiles[each.key]
  }

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
    instance_metadata_tags      = "enabled"
  }

  block_device_mappings {
    device_name = "/dev/sda1"
    ebs {
      volume_type           = "gp3"
      volume_size           = each.value.root_gb
      encrypted             = "true"
      delete_on_termination = "true"
    }
  }

  tag_specifications {
    resource_type = "volume"
    tags          = merge(var.tags, { Name = "${var.name}-${each.key}" })
  }

  tags = { Name = "${var.name}-${each.key}" }
}

# No instance refresh: a changed template counts for workers that start from then on.
resource "aws_autoscaling_group" "worker" {
  for_each            = local.groups
  name                = "${var.name}-${each.key}"
  min_size            = each.value.count
  max_size            = each.value.count
  vpc_zone_identifier = local.private_subnet_ids
  health_check_type   = "EC2"
  # For the alarm on workers that are missing.
  enabled_metrics = ["GroupInServiceInstances"]

  launch_template {
    id      = aws_launch_template.worker[each.key].id
    version = aws_launch_template.worker[each.key].latest_version
  }

  dynamic "tag" {
    for_each = merge(var.tags, { Name = "${var.name}-${each.key}", Kind = each.key, Roles = join(",", sort(tolist(each.value.roles))) })
    content {
      key                 = tag.key
      value               = tag.value
      propagate_at_launch = true
    }
  }
}

# Who is there, for the inventory. When AWS has replaced one, `terraform apply -refresh-only` writes it down.
data "aws_instances" "worker" {
  for_each = local.groups

  filter {
    name   = "tag:aws:autoscaling:groupName"
    values = [aws_autoscaling_group.worker[each.key].name]
  }
  instance_state_names = ["pending", "running"]

  depends_on = [aws_autoscaling_group.worker]
}
