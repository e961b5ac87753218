# What the rules must find, each in the plan of this: see test_rules.py. Nobody applies it.

terraform {
  required_version = ">= 1.10.0"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }
}

# Both opened to the world: Kafka, and a range that 443 is in.
resource "aws_vpc_security_group_ingress_rule" "kafka" {
  security_group_id = "sg-0123456789abcdef0"
  ip_protocol       = "tcp"
  from_port         = 9092
  to_port           = 9092
  cidr_ipv4         = "0.0.0.0/0"
}

resource "aws_vpc_security_group_ingress_rule" "range" {
  security_group_id = "sg-0123456789abcdef0"
  ip_protocol       = "tcp"
  from_port         = 80
  to_port           = 443
  cidr_ipv6         = "::/0"
}

# Everything, as it has no ports.
resource "aws_vpc_security_group_ingress_rule" "all" {
  security_group_id = "sg-0123456789abcdef0"
  ip_protocol       = "-1"
  cidr_ipv4         = "0.0.0.0/0"
}

resource "aws_security_group_rule" "ssh" {
  security_group_id = "sg-0123456789abcdef0"
  type              = "ingress"
  protocol          = "tcp"
  from_port         = 22
  to_port           = 22
  cidr_blocks       = ["10.0.0.0/8", "0.0.0.0/0"]
}

resource "aws_security_group" "inline" {
  name = "inline"

  ingress {
    protocol         = "tcp"
    from_port        = 2181
    to_port          = 2181
    ipv6_cidr_blocks = ["::/0"]
  }
}

# Good: 443 for everybody.
resource "aws_vpc_security_group_ingress_rule" "good" {
  security_group_id = "sg-0123456789abcdef0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  cidr_ipv4         = "0.0.0.0/0"
}

resource "aws_iam_policy" "wide" {
  name = "wide"
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      { Effect = "Allow", Action = "s3:*", Resource = "arn:aws:s3:::lake/*" },
      { Effect = "Allow", Action = ["s3:GetObject"], Resource = "*" },
      { Effect = "Allow", Action = "cloudwatch:PutMetricData", Resource = "*" },
      { Effect = "Allow", NotAction = "iam:*", Resource = "arn:aws:s3:::lake" },
      # Good: a denial, and what AWS knows no narrower resource for.
      { Effect = "Deny", Action = "s3:*", Resource = "*" },
      { Effect = "Allow", Action = "ssmmessages:OpenDataChannel", Resource = "*" },
    ]
  })
}

# Of a bucket that isn't named yet.
resource "aws_s3_bucket_policy" "unknown" {
  bucket = aws_s3_bucket.plain.id
  policy = jsonencode({ Version = "2012-10-17", Statement = [], Id = aws_s3_bucket.plain.arn })
}

resource "aws_s3_bucket" "plain" {
  bucket = "plain"
}

resource "aws_s3_bucket_public_access_block" "plain" {
  bucket              = aws_s3_bucket.plain.id
  block_public_acls   = true
  block_public_policy = false
}

resource "aws_instance" "bare" {
  ami           = "ami-0a1b2c3d4e5f60001"
  instance_type = "m6i.large"

  metadata_options {
    http_tokens = "optional"
  }

  root_block_device {
    volume_type = "gp2"
  }
}

resource "aws_launch_template" "bare" {
  name = "bare"
}
