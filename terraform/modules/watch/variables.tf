variable "name" {
  description = "What everything is called."
  type        = string
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

variable "instances" {
  description = "Host → instance."
  type        = map(string)
}

variable "worker_groups" {
  description = "Auto Scaling group → how many it is to have."
  type        = map(number)
}

variable "email" {
  description = "Who is told; null: nobody."
  type        = string
}

variable "lag" {
  description = "Records a pipeline may be behind."
  type        = number
}

variable "disk_percent" {
  description = "How full a disk may be."
  type        = number
}

variable "monthly_budget_usd" {
  description = "What the account may cost in a month."
  type        = number
}
