variable "name" {
  description = "What everything is called."
  type        = string
}

variable "duties" {
  description = "What hosts are there for: worker, edge, store, or all of it (single)."
  type        = set(string)
}

variable "partition" {
  description = "aws, aws-cn or aws-us-gov."
  type        = string
}

variable "region" {
  description = "AWS region."
  type        = string
}

variable "account" {
  description = "AWS account."
  type        = string
}

variable "lake" {
  description = "The bucket's ARN, the directories of tables and snapshots in it, and the prefixes of ledger and Athena's results."
  type = object({
    arn       = string
    tables    = set(string)
    snapshots = set(string)
    ledger    = string
    results   = string
  })
}

variable "database" {
  description = "Glue database."
  type        = string
}

variable "workgroup" {
  description = "Athena workgroup."
  type        = string
}
