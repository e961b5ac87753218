# The image new hosts start from, and what they are told at their first start.

data "aws_ami" "ubuntu" {
  count       = var.ami_id == null ? 1 : 0
  most_recent = true
  owners      = ["099720109477"] # Canonical

  filter {
    name   = "name"
    values = ["ubuntu/images/hvm-ssd*/ubuntu-noble-24.04-amd64-server-*"]
  }
  filter {
    name   = "state"
    values = ["available"]
  }
}

# Looked up once and kept: Canonical has a new image each few days, and the plan is to stay empty. A changed ami_id
# counts for hosts that start from then on.
resource "terraform_data" "ami" {
  input            = var.ami_id == null ? one(data.aws_ami.ubuntu[*].id) : var.ami_id
  triggers_replace = [var.ami_id]

  lifecycle {
    ignore_changes = [input]
  }
}

locals {
  # Ubuntu has what Ansible needs: Python and sshd (and SSM's agent). Nothing is installed here, so that a start can't
  # fail on it; it is Ansible that brings a host into shape.
  user_data = <<-EOT
    #cloud-config
    ssh_pwauth: false
    disable_root: true
  EOT
}
