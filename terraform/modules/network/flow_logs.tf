# Who talked to whom, for the days after something happened.

resource "aws_cloudwatch_log_group" "flow" {
  #checkov:skip=CKV_AWS_158:CloudWatch encrypts with a key of its own; a customer's key would cost monthly and guard addresses and ports only
  #checkov:skip=CKV_AWS_338:a month is enough to look into what happened; who needs a year exports it
  count             = var.flow_logs ? 1 : 0
  name              = "/${var.name}/flow"
  retention_in_days = 30
}

data "aws_iam_policy_document" "flow_assume" {
  count = var.flow_logs ? 1 : 0

  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["vpc-flow-logs.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "flow" {
  count = var.flow_logs ? 1 : 0

  statement {
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"]
    resources = ["arn:${var.partition}:logs:${var.region}:${var.account}:log-group:/${var.name}/flow:*"]
  }
}

resource "aws_iam_role" "flow" {
  count              = var.flow_logs ? 1 : 0
  name               = "${var.name}-flow-logs"
  assume_role_policy = data.aws_iam_policy_document.flow_assume[0].json
}

resource "aws_iam_role_policy" "flow" {
  count  = var.flow_logs ? 1 : 0
  name   = "write"
  role   = aws_iam_role.flow[0].id
  policy = data.aws_iam_policy_document.flow[0].json
}

resource "aws_flow_log" "this" {
  count           = var.flow_logs ? 1 : 0
  vpc_id          = local.vpc_id
  traffic_type    = "ALL"
  iam_role_arn    = aws_iam_role.flow[0].arn
  log_destination = aws_cloudwatch_log_group.flow[0].arn

  tags = { Name = var.name }
}
