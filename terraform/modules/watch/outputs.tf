output "topic_arn" {
  description = "Topic of the alarms."
  value       = aws_sns_topic.alarms.arn
}

output "alarms" {
  description = "Names of the alarms."
  value = sort(concat(
    [aws_cloudwatch_metric_alarm.lag.alarm_name],
    values(aws_cloudwatch_metric_alarm.disk)[*].alarm_name,
    values(aws_cloudwatch_metric_alarm.host)[*].alarm_name,
    values(aws_cloudwatch_metric_alarm.workers)[*].alarm_name,
  ))
}
