# What crawlers may do: read the tables' directories, write down what they found.

data "aws_iam_policy_document" "crawler_assume" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["glue.amazonaws.com"]
    }
    # Not on behalf of somebody else's crawler.
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [var.account]
    }
  }
}

data "aws_iam_policy_document" "crawler" {
  statement {
    sid       = "Look"
    actions   = ["s3:ListBucket", "s3:GetBucketLocation"]
    resources = [var.lake.arn]
  }

  statement {
    sid       = "Read"
    actions   = ["s3:GetObject"]
    resources = [for directory in sort(tolist(setunion(var.lake.tables, var.lake.snapshots))) : "${var.lake.arn}/${directory}*"]
  }

  statement {
    sid = "WriteDown"
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

  statement {
    sid       = "Log"
    actions   = ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["arn:${var.partition}:logs:${var.region}:${var.account}:log-group:/aws-glue/crawlers:*"]
  }
}

resource "aws_iam_role" "crawler" {
  name               = "${var.name}-crawler"
  description        = "Crawlers of ${var.name}"
  assume_role_policy = data.aws_iam_policy_document.crawler_assume.json
}

resource "aws_iam_role_policy" "crawler" {
  name   = "crawl"
  role   = aws_iam_role.crawler.id
  policy = data.aws_iam_policy_document.crawler.json
}
