# What people who ask questions may do: `millstream query --engine athena` and `millstream crawl`. A policy to attach to
# whom it concerns; nobody has it by default.

data "aws_iam_policy_document" "analyst" {
  statement {
    sid = "Ask"
    actions = [
      "athena:GetWorkGroup",
      "athena:StartQueryExecution",
      "athena:StopQueryExecution",
      "athena:GetQueryExecution",
      "athena:GetQueryResults",
      "athena:GetQueryRuntimeStatistics",
      "athena:ListQueryExecutions",
      "athena:ListNamedQueries",
      "athena:GetNamedQuery",
      "athena:BatchGetNamedQuery",
    ]
    resources = ["arn:${var.partition}:athena:${var.region}:${var.account}:workgroup/${var.workgroup}"]
  }

  statement {
    sid = "Catalog"
    actions = [
      "glue:GetDatabase",
      "glue:GetTable",
      "glue:GetTables",
      "glue:GetPartition",
      "glue:GetPartitions",
      "glue:BatchGetPartition",
    ]
    resources = local.glue
  }

  statement {
    sid       = "Crawl"
    actions   = ["glue:GetCrawler", "glue:StartCrawler", "glue:StopCrawler"]
    resources = ["${local.glue_root}:crawler/${var.name}-*"]
  }

  # Athena reads and writes with the rights of whoever asks.
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
    sid       = "Results"
    actions   = ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"]
    resources = ["${var.lake.arn}/${var.lake.results}*"]
  }
}

resource "aws_iam_policy" "analyst" {
  name        = "${var.name}-analyst"
  description = "Ask ${var.name}'s lake by Athena, and start its crawlers"
  policy      = data.aws_iam_policy_document.analyst.json
}
