# What hosts may do.

# `aws ssm start-session`, without a port that is open. The managed policy allows much more, among it to read all of the
# account's parameters.
data "aws_iam_policy_document" "session" {
  statement {
    sid = "Channels"
    actions = [
      "ssmmessages:CreateControlChannel",
      "ssmmessages:CreateDataChannel",
      "ssmmessages:OpenControlChannel",
      "ssmmessages:OpenDataChannel",
    ]
    # Channels are no resources that could be named.
    resources = ["*"]
  }

  # The agent tells that it is there.
  statement {
    sid       = "Tell"
    actions   = ["ssm:UpdateInstanceInformation"]
    resources = ["arn:${var.partition}:ec2:${var.region}:${var.account}:instance/*"]
  }
}

data "aws_iam_policy_document" "metrics" {
  statement {
    sid     = "Publish"
    actions = ["cloudwatch:PutMetricData"]
    # Metrics are no resources; the namespace is the bound.
    resources = ["*"]

    condition {
      test     = "StringEquals"
      variable = "cloudwatch:namespace"
      values   = ["Millstream"]
    }
  }
}

data "aws_iam_policy_document" "lake_write" {
  statement {
    sid = "Look"
    # The last two: so that `millstream doctor` tells of versioning, and of parts that were left behind.
    actions   = ["s3:ListBucket", "s3:GetBucketLocation", "s3:GetBucketVersioning", "s3:ListBucketMultipartUploads"]
    resources = [var.lake.arn]
  }

  # No deletion: a lake's tables only grow. What was abandoned is overwritten by files without rows.
  statement {
    sid       = "Write"
    actions   = ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"]
    resources = [for directory in concat(sort(tolist(var.lake.tables)), [var.lake.ledger]) : "${var.lake.arn}/${directory}*"]
  }
}

# Partitions at each commit, columns that came later, and tables of apps that come later.
data "aws_iam_policy_document" "register" {
  statement {
    sid = "Register"
    actions = [
      "glue:GetDatabase",
      "glue:GetTable",
      "glue:GetTables",
      "glue:CreateTable",
      "glue:UpdateTable",
      "glue:GetPartition",
      "glue:GetPartitions",
      "glue:BatchGetPartition",
      "glue:BatchCreatePartition",
      "glue:CreatePartition",
      "glue:UpdatePartition",
      "glue:BatchUpdatePartition",
    ]
    resources = local.glue
  }
}

# Snapshots of the feed: written by whoever refreshes it (recalls serve on the edge, or recalls produce), the newest three
# stay, and workers fill a new search index from them.
data "aws_iam_policy_document" "snapshots" {
  statement {
    sid       = "Look"
    actions   = ["s3:ListBucket", "s3:GetBucketLocation"]
    resources = [var.lake.arn]
  }

  statement {
    sid       = "Snapshots"
    actions   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"]
    resources = [for directory in var.lake.snapshots : "${var.lake.arn}/${directory}*"]
  }

  # Each process tries once whether the store heeds If-None-Match.
  statement {
    sid       = "Probe"
    actions   = ["s3:GetObject", "s3:PutObject"]
    resources = ["${var.lake.arn}/${var.lake.ledger}probe/*"]
  }
}

locals {
  glue_root = "arn:${var.partition}:glue:${var.region}:${var.account}"
  # Glue wants a table's catalog and database named, too.
  glue = [
    "${local.glue_root}:catalog",
    "${local.glue_root}:database/${var.database}",
    "${local.glue_root}:table/${var.database}/*",
  ]
}
