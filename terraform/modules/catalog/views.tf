# Tables of CSV under the name and with the types the app gives them: views over text, in the form that Athena and Trino
# keep theirs in.

locals {
  # Glue's types as Trino writes them, and how text becomes one.
  trino = {
    string    = { type = "varchar", cast = "NULLIF(%s, '')" }
    bigint    = { type = "bigint", cast = "CAST(NULLIF(%s, '') AS bigint)" }
    int       = { type = "integer", cast = "CAST(NULLIF(%s, '') AS integer)" }
    double    = { type = "double", cast = "CAST(NULLIF(%s, '') AS double)" }
    boolean   = { type = "boolean", cast = "CAST(NULLIF(%s, '') AS boolean)" }
    date      = { type = "date", cast = "CAST(NULLIF(%s, '') AS date)" }
    timestamp = { type = "timestamp(3)", cast = "CAST(from_iso8601_timestamp(NULLIF(%s, '')) AT TIME ZONE 'UTC' AS timestamp(3))" }
  }

  views = { for name, table in var.tables : name => merge(table, {
    columns = concat(table.columns, table.partitions)
    select = join(", ", [for column in concat(table.columns, table.partitions) :
      "${format(local.trino[column.type].cast, "\"${column.name}\"")} AS \"${column.name}\""
    ])
  }) if table.format == "csv" }
}

resource "aws_glue_catalog_table" "view" {
  for_each      = local.views
  name          = each.key
  database_name = aws_glue_catalog_database.this.name
  # Trino takes a table for a view by this word, and reads no view without a library, be it none.
  description = "Presto View"
  table_type  = "VIRTUAL_VIEW"

  parameters         = { presto_view = "true", comment = "Presto View" }
  view_expanded_text = "/* Presto View */"
  view_original_text = "/* Presto View: ${base64encode(jsonencode({
    originalSql = "SELECT ${each.value.select} FROM \"${each.key}_csv\""
    catalog     = "awsdatacatalog"
    schema      = var.database
    columns     = [for column in each.value.columns : { name = column.name, type = local.trino[column.type].type }]
  }))} */"

  storage_descriptor {
    ser_de_info {
      name                  = "-"
      serialization_library = "-"
    }

    dynamic "columns" {
      for_each = each.value.columns
      content {
        name = columns.value.name
        type = columns.value.type
      }
    }
  }
}
