# Who may do what: a role per duty, with an instance profile, made of the permissions below. Actions are named one by one.
# "*" as the resource stands only where AWS knows no other; the tests have the list.

locals {
  # Duty → what it may do.
  permissions = {
    worker = ["session", "metrics", "lake_write", "register", "snapshots"]
    edge   = ["session", "metrics", "snapshots"]
    store  = ["session", "metrics"]
    all    = ["session", "metrics", "lake_write", "register", "snapshots"]
  }

  granted = merge([for duty in var.duties : {
    for permission in local.permissions[duty] : "${duty}-${permission}" => { duty = duty, permission = permission }
  }]...)

  documents = {
    session    = data.aws_iam_policy_document.session.json
    metrics    = data.aws_iam_policy_document.metrics.json
    lake_write = data.aws_iam_policy_document.lake_write.json
    register   = data.aws_iam_policy_document.register.json
    snapshots  = data.aws_iam_policy_document.snapshots.json
  }
}

data "aws_iam_policy_document" "host" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["ec2.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "host" {
  for_each           = var.duties
  name               = "${var.name}-${each.key}"
  description        = "Hosts of ${var.name} with duty ${each.key}"
  assume_role_policy = data.aws_iam_policy_document.host.json
}

resource "aws_iam_role_policy" "host" {
  for_each = local.granted
  name     = replace(each.value.permission, "_", "-")
  role     = aws_iam_role.host[each.value.duty].id
  policy   = local.documents[each.value.permission]
}

resource "aws_iam_instance_profile" "host" {
  for_each = var.duties
  name     = "${var.name}-${each.key}"
  role     = aws_iam_role.host[each.key].name
}
