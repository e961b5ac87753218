variable "workgroup" {
  description = "Name of the workgroup."
  type        = string
}

variable "database" {
  description = "Glue database."
  type        = string
}

variable "results" {
  description = "Where results go: s3://bucket/prefix/."
  type        = string
}

variable "scan_limit_gb" {
  description = "GiB a query may read."
  type        = number
}

variable "queries" {
  description = "Name → SQL that begins with comments."
  type        = map(string)
}

variable "tables" {
  description = "Tables there are; queries of others (Cassandra's, MySQL's) aren't Athena's."
  type        = set(string)
}
