# Who is told of what. Namespace Millstream is what the hosts publish themselves (Ansible's role monitoring):
#   lag                 records that the slowest pipeline is behind, no dimension, each minute
#   disk_used_percent   of the fullest disk, dimension InstanceId, each minute

locals {
  namespace = "Millstream"
}

resource "aws_sns_topic" "alarms" {
  #checkov:skip=CKV_AWS_26:alarms can't publish to a topic under AWS's own key, and a customer's key would cost monthly to hide names of hosts
  name = "${var.name}-alarms"
}

data "aws_iam_policy_document" "alarms" {
  statement {
    sid       = "Alarms"
    actions   = ["sns:Publish"]
    resources = ["arn:${var.partition}:sns:${var.region}:${var.account}:${var.name}-alarms"]
    principals {
      type        = "Service"
      identifiers = ["cloudwatch.amazonaws.com"]
    }
    condition {
      test     = "ArnLike"
      variable = "aws:SourceArn"
      values   = ["arn:${var.partition}:cloudwatch:${var.region}:${var.account}:alarm:${var.name}-*"]
    }
  }
}

resource "aws_sns_topic_policy" "alarms" {
  arn    = aws_sns_topic.alarms.arn
  policy = data.aws_iam_policy_document.alarms.json
}

resource "aws_sns_topic_subscription" "email" {
  count     = var.email == null ? 0 : 1
  topic_arn = aws_sns_topic.alarms.arn
  protocol  = "email"
  endpoint  = var.email
}

resource "aws_cloudwatch_metric_alarm" "lag" {
  alarm_name          = "${var.name}-lag"
  alarm_description   = "A pipeline is more than ${var.lag} records behind, or nobody tells how far it is. The console shows which one, and why."
  namespace           = local.namespace
  metric_name         = "lag"
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 10
  threshold           = var.lag
  comparison_operator = "GreaterThanThreshold"
  # Silence is what is to be heard of: the worker that tells may be the one that is gone.
  treat_missing_data = "breaching"
  alarm_actions      = [aws_sns_topic.alarms.arn]
  ok_actions         = [aws_sns_topic.alarms.arn]
}

resource "aws_cloudwatch_metric_alarm" "disk" {
  for_each            = var.instances
  alarm_name          = "${var.name}-disk-${each.key}"
  alarm_description   = "A disk of ${each.key} is more than ${var.disk_percent} % full. Kafka and Cassandra stop at 100 %."
  namespace           = local.namespace
  metric_name         = "disk_used_percent"
  dimensions          = { InstanceId = each.value }
  statistic           = "Maximum"
  period              = 300
  evaluation_periods  = 2
  threshold           = var.disk_percent
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "missing"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
}

resource "aws_cloudwatch_metric_alarm" "host" {
  for_each            = var.instances
  alarm_name          = "${var.name}-host-${each.key}"
  alarm_description   = "${each.key} fails AWS's checks, of its machine or of its system."
  namespace           = "AWS/EC2"
  metric_name         = "StatusCheckFailed"
  dimensions          = { InstanceId = each.value }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 3
  threshold           = 0
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "breaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
}

resource "aws_cloudwatch_metric_alarm" "workers" {
  for_each            = var.worker_groups
  alarm_name          = "${var.name}-workers-${each.key}"
  alarm_description   = "${each.key} has had fewer than ${each.value} workers for ten minutes. AWS replaces them; Ansible has to set the new ones up."
  namespace           = "AWS/AutoScaling"
  metric_name         = "GroupInServiceInstances"
  dimensions          = { AutoScalingGroupName = each.key }
  statistic           = "Minimum"
  period              = 60
  evaluation_periods  = 10
  threshold           = each.value
  comparison_operator = "LessThanThreshold"
  treat_missing_data  = "breaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
}

# Of the whole account: what is ours could be told by tags only once somebody has activated them for billing.
resource "aws_budgets_budget" "monthly" {
  count        = var.email == null ? 0 : 1
  name         = "${var.name}-monthly"
  budget_type  = "COST"
  time_unit    = "MONTHLY"
  limit_amount = tostring(var.monthly_budget_usd)
  limit_unit   = "USD"

  notification {
    notification_type          = "ACTUAL"
    comparison_operator        = "GREATER_THAN"
    threshold                  = 80
    threshold_type             = "PERCENTAGE"
    subscriber_email_addresses = [var.email]
  }
  notification {
    notification_type          = "FORECASTED"
    comparison_operator        = "GREATER_THAN"
    threshold                  = 100
    threshold_type             = "PERCENTAGE"
    subscriber_email_addresses = [var.email]
  }
}
