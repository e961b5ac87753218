variable "name" {
  description = "What everything is called."
  type        = string
}

variable "servers" {
  description = "Kind of host → what it is. Hosts of a kind are numbered from 1; autoscaled ones are AWS's to start and replace."
  type = map(object({
    roles      = set(string)
    type       = string
    count      = number
    root_gb    = number
    data_gb    = number
    autoscaled = bool
    public     = bool
  }))
}

variable "ami_id" {
  description = "The image new hosts start from; null: Canonical's newest."
  type        = string
}

variable "ssh_public_key" {
  description = "The key that logs in; null: none."
  type        = string
}

variable "public_subnet_ids" {
  description = "Subnets of public hosts, and of the others where there are no private ones."
  type        = list(string)
}

variable "private_subnet_ids" {
  description = "Subnets of the other hosts."
  type        = list(string)
}

variable "group_ids" {
  description = "Kind of host → its security groups."
  type        = map(list(string))
}

variable "instance_profiles" {
  description = "Kind of host → its instance profile."
  type        = map(string)
}

variable "tags" {
  description = "Tags of everything; workers' instances and disks aren't reached by the provider's default tags."
  type        = map(string)
}
