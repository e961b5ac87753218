variable "name" {
  description = "What everything is called."
  type        = string
}

variable "database" {
  description = "Glue database."
  type        = string
}

variable "bucket" {
  description = "The lake's bucket."
  type        = string
}

variable "tables" {
  description = "Tables of the lake: table → format, location below the bucket, columns, partitions (catalog.json)."
  type = map(object({
    app        = string
    format     = string
    location   = string
    columns    = list(object({ name = string, type = string }))
    partitions = list(object({ name = string, type = string, projection = optional(string) }))
  }))
}

variable "discovered" {
  description = "Directories that nobody declares, for crawlers to find out about."
  type        = map(object({ app = string, format = string, location = string }))
}

variable "mode" {
  description = "registration or projection."
  type        = string
}

variable "projection_from" {
  description = "First date, with projection."
  type        = string
}

variable "crawl_schedule" {
  description = "When crawlers run; null: when asked."
  type        = string
}

variable "crawl_update" {
  description = "UPDATE_IN_DATABASE or LOG."
  type        = string
}

variable "crawler_role_arn" {
  description = "Role of the crawlers."
  type        = string
}
