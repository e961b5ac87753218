output "database" {
  description = "Glue database."
  value       = aws_glue_catalog_database.this.name
}

output "tables" {
  description = "Names that SQL may use: tables, and views over those of CSV."
  value       = sort(concat(keys(aws_glue_catalog_table.this), keys(aws_glue_catalog_table.view)))
}

output "crawlers" {
  description = "Names of the crawlers."
  value       = sort(concat(values(aws_glue_crawler.table)[*].name, values(aws_glue_crawler.directory)[*].name))
}
