variable "name" {
  description = "Beginning of the bucket's name; the account's number follows."
  type        = string
  default     = "millstream-state"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,40}[a-z0-9]$", var.name))
    error_message = "name takes 3 to 42 lower-case letters, digits and hyphens."
  }
}

variable "region" {
  description = "AWS region of the bucket."
  type        = string
  default     = "eu-central-1"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "region is no AWS region; name one like \"eu-central-1\"."
  }
}
