variable "name" {
  description = "What everything is called."
  type        = string
}

variable "edges" {
  description = "Public host → its instance."
  type        = map(string)
}

variable "record" {
  description = "Name in a zone of this account; null: none."
  type = object({
    zone = string
    name = string
  })
}
