# How Athena is asked, and the apps' own questions.

resource "aws_athena_workgroup" "this" {
  name        = var.workgroup
  description = "Questions to the lake"
  # Its history of queries is no reason for a destroy to fail.
  force_destroy = true

  configuration {
    # Nobody's client can send results elsewhere, or do without the limit.
    enforce_workgroup_configuration    = true
    publish_cloudwatch_metrics_enabled = true
    bytes_scanned_cutoff_per_query     = var.scan_limit_gb * pow(1024, 3)

    engine_version {
      selected_engine_version = "Athena engine version 3"
    }

    result_configuration {
      output_location = var.results

      encryption_configuration {
        encryption_option = "SSE_S3"
      }
    }
  }
}

locals {
  # What is read stands behind FROM and JOIN; comments speak of "from the backup", too.
  bare  = { for name, sql in var.queries : name => replace(sql, "/--[^\n]*/", "") }
  reads = { for name, sql in local.bare : name => toset(flatten(regexall("(?i)\\b(?:FROM|JOIN)\\s+\"?([a-z_][a-z0-9_]*)", sql))) }
  asked = { for name, sql in var.queries : name => sql if length(setsubtract(local.reads[name], var.tables)) == 0 }
}

resource "aws_athena_named_query" "this" {
  for_each  = local.asked
  name      = each.key
  workgroup = aws_athena_workgroup.this.name
  database  = var.database
  query     = each.value
  # The comment it begins with.
  description = substr(join(" ", [for line in regexall("(?m)^-- ?(.*)$", split("SELECT", each.value)[0]) : line[0]]), 0, 1024)
}
