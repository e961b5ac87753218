# The lake's tables as Athena sees them.

resource "aws_glue_catalog_database" "this" {
  name        = var.database
  description = "Tables of ${var.name}'s lake"
}

locals {
  root = "s3://${var.bucket}"

  serdes = {
    parquet = {
      input      = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat"
      output     = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat"
      library    = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
      parameters = { "serialization.format" = "1" }
      table      = {}
    }
    # The only one that reads RFC 4180's quotes. It can't read an empty field as null but in texts, so every column
    # is text, and a view gives them their types, see views.tf.
    csv = {
      input      = "org.apache.hadoop.mapred.TextInputFormat"
      output     = "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat"
      library    = "org.apache.hadoop.hive.serde2.OpenCSVSerde"
      parameters = { separatorChar = ",", quoteChar = "\"", escapeChar = "\"" }
      table      = { "skip.header.line.count" = "1" }
    }
  }

  # CSV's table is <table>_csv, as the view has the name that queries know.
  tables = { for name, table in var.tables : (table.format == "csv" ? "${name}_csv" : name) => table }

  projected = {
    for name, table in local.tables : name => [for partition in table.partitions : partition if partition.projection == "date"]
    if var.mode == "projection" && length(table.partitions) > 0 && alltrue([for partition in table.partitions : partition.projection == "date"])
  }
  projection = {
    for name, dates in local.projected : name => merge(
      { "projection.enabled" = "true" },
      [for date in dates : {
        "projection.${date.name}.type"   = "date"
        "projection.${date.name}.format" = "yyyy-MM-dd"
        # A day that holds nothing costs a query one look at S3, so not all days there ever will be.
        "projection.${date.name}.range" = "${var.projection_from},NOW+30DAYS"
      }]...
    )
  }
}

resource "aws_glue_catalog_table" "this" {
  for_each      = local.tables
  name          = each.key
  database_name = aws_glue_catalog_database.this.name
  description   = "Written by ${each.value.app}"
  table_type    = "EXTERNAL_TABLE"

  parameters = merge(
    { EXTERNAL = "TRUE", classification = each.value.format },
    local.serdes[each.value.format].table,
    lookup(local.projection, each.key, {}),
  )

  dynamic "partition_keys" {
    for_each = each.value.partitions
    content {
      name = partition_keys.value.name
      type = partition_keys.value.type
    }
  }

  storage_descriptor {
    location      = "${local.root}/${each.value.location}"
    input_format  = local.serdes[each.value.format].input
    output_format = local.serdes[each.value.format].output

    ser_de_info {
      name                  = each.value.format
      serialization_library = local.serdes[each.value.format].library
      parameters            = local.serdes[each.value.format].parameters
    }

    dynamic "columns" {
      for_each = each.value.columns
      content {
        name = columns.value.name
        type = each.value.format == "csv" ? "string" : columns.value.type
      }
    }
  }

  lifecycle {
    # Declared once, then the workers' (and crawlers') to add columns to: a column that an app's own SQL writes must
    # not go with the next apply. The keys are what crawlers and Athena's DDL write down.
    ignore_changes = [
      storage_descriptor[0].columns,
      storage_descriptor[0].parameters,
      parameters["CrawlerSchemaDeserializerVersion"],
      parameters["CrawlerSchemaSerializerVersion"],
      parameters["UPDATED_BY_CRAWLER"],
      parameters["averageRecordSize"],
      parameters["objectCount"],
      parameters["recordCount"],
      parameters["sizeKey"],
      parameters["transient_lastDdlTime"],
    ]
  }
}
