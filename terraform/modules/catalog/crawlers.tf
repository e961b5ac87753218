# Crawlers, for what no worker tells of: partitions and columns of files that came another way, and directories that
# nobody declares. Nothing waits for them: a partition that is committed can be queried without.
#
# Where a table is declared the crawler is given the *table* (catalog_target), not its path: over a path it would make a
# table of its own beside ours, or refuse to merge with it. Such a crawler adds what is new, and never deletes.

locals {
  outputs = {
    Partitions = { AddOrUpdateBehavior = "InheritFromTable" }
    Tables     = { AddOrUpdateBehavior = "MergeNewColumns" }
  }
}

resource "aws_glue_crawler" "table" {
  #checkov:skip=CKV_AWS_195:a security configuration encrypts its log with a customer's key; the log holds names of tables, and CloudWatch encrypts it anyway
  for_each      = local.tables
  name          = "${var.name}-${each.key}"
  description   = "Partitions and columns of ${each.key} that its workers did not tell of"
  database_name = aws_glue_catalog_database.this.name
  role          = var.crawler_role_arn
  schedule      = var.crawl_schedule

  catalog_target {
    database_name = aws_glue_catalog_database.this.name
    tables        = [aws_glue_catalog_table.this[each.key].name]
  }

  schema_change_policy {
    # The only one that AWS takes for a table that is there.
    delete_behavior = "LOG"
    # CSV's columns are text on purpose; a crawler would guess types from what it sees.
    update_behavior = each.value.format == "csv" ? "LOG" : var.crawl_update
  }

  recrawl_policy {
    recrawl_behavior = "CRAWL_EVERYTHING"
  }

  # One table, whatever the schemas of its files: old files lack columns that came later.
  configuration = jsonencode({
    Version       = 1.0
    CrawlerOutput = local.outputs
    Grouping      = { TableGroupingPolicy = "CombineCompatibleSchemas" }
  })
}

resource "aws_glue_crawler" "directory" {
  #checkov:skip=CKV_AWS_195:see above
  for_each      = var.discovered
  name          = "${var.name}-${each.key}"
  description   = "${each.value.location}, written by ${each.value.app}"
  database_name = aws_glue_catalog_database.this.name
  role          = var.crawler_role_arn
  schedule      = var.crawl_schedule
  # The table is called as the directory with this before it.
  table_prefix = trimsuffix(each.key, basename(each.value.location))

  s3_target {
    path = "${local.root}/${each.value.location}"
    # Marks beside the files.
    exclusions = ["**.sent", "**/_*", "**/.*"]
  }

  schema_change_policy {
    delete_behavior = "LOG"
    update_behavior = var.crawl_update
  }

  recrawl_policy {
    recrawl_behavior = "CRAWL_EVERYTHING"
  }

  configuration = jsonencode({
    Version       = 1.0
    CrawlerOutput = local.outputs
    Grouping      = { TableGroupingPolicy = "CombineCompatibleSchemas" }
  })
}
