variable "bucket" {
  description = "The bucket's name."
  type        = string
}

variable "arn" {
  description = "The bucket's ARN, known before it is there, so that a plan shows the policy."
  type        = string
}

variable "ledger" {
  description = "Prefix of the ledger: objects there are created once and never changed."
  type        = string
}

variable "results" {
  description = "Prefix of Athena's results."
  type        = string
}

variable "noncurrent_days" {
  description = "Days that replaced and deleted versions stay."
  type        = number
}

variable "results_days" {
  description = "Days that results of Athena stay."
  type        = number
}

variable "force_destroy" {
  description = "Whether destroying deletes a bucket that holds something."
  type        = bool
}
