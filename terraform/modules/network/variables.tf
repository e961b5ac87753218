variable "name" {
  description = "What everything is called."
  type        = string
}

variable "mode" {
  description = "create, default or existing."
  type        = string
}

variable "cidr" {
  description = "The VPC's range, when it is created."
  type        = string
}

variable "existing" {
  description = "What is there, when mode is existing."
  type = object({
    vpc_id             = optional(string)
    public_subnet_ids  = list(string)
    private_subnet_ids = list(string)
  })
}

variable "has_private" {
  description = "Whether there are hosts without a public address; only they need private subnets, and NAT, which costs."
  type        = bool
}

variable "flow_logs" {
  description = "Whether connections are logged."
  type        = bool
}

variable "region" {
  description = "AWS region."
  type        = string
}

variable "partition" {
  description = "aws, aws-cn or aws-us-gov."
  type        = string
}

variable "account" {
  description = "AWS account."
  type        = string
}
