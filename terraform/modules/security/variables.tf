variable "name" {
  description = "What everything is called."
  type        = string
}

variable "vpc_id" {
  description = "Where the groups are."
  type        = string
}

variable "roles" {
  description = "Kind of host → its roles."
  type        = map(set(string))
}

variable "admin_cidrs" {
  description = "Who may log in by ssh."
  type        = list(string)
}

variable "client_cidrs" {
  description = "Who besides the hosts may reach console and data ports."
  type        = list(string)
}
