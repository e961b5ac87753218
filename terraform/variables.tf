# Sixteen variables, of which only admin_cidrs has no default. The order is that of the README's table.

variable "name" {
  description = "What everything is called, and the beginning of each name."
  type        = string
  default     = "millstream"
  nullable    = false

  validation {
    # Of all names made of it, S3's are the strictest: bucket names have 63 characters at most, and no upper case.
    condition     = can(regex("^[a-z][a-z0-9-]{1,22}[a-z0-9]$", var.name))
    error_message = "name takes 3 to 24 lower-case letters, digits and hyphens, beginning with a letter and not ending with a hyphen, say \"millstream-test\"."
  }
}

variable "region" {
  description = "AWS region of everything."
  type        = string
  default     = "eu-central-1"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "region is no AWS region; name one like \"eu-central-1\" (aws ec2 describe-regions lists them)."
  }
}

variable "topology" {
  description = "\"single\": one host with all roles. \"cluster\": 3 Kafka, 3 Cassandra, 1 with MySQL and OpenSearch, workers in an Auto Scaling group, 1 edge."
  type        = string
  default     = "single"
  nullable    = false

  validation {
    condition     = contains(["single", "cluster"], var.topology)
    error_message = "topology is \"single\" or \"cluster\"."
  }
}

variable "admin_cidrs" {
  description = "Who may log in by ssh: IPv4 ranges, say [\"203.0.113.7/32\"]. There is no default on purpose."
  type        = list(string)
  nullable    = false

  validation {
    condition     = length(var.admin_cidrs) > 0 && alltrue([for cidr in var.admin_cidrs : can(cidrnetmask(cidr))])
    error_message = "admin_cidrs needs at least one IPv4 range, say [\"203.0.113.7/32\"] (your address: https://checkip.amazonaws.com). The network has no IPv6."
  }

  validation {
    condition     = alltrue([for cidr in var.admin_cidrs : try(tonumber(split("/", cidr)[1]) >= 8, true)])
    error_message = "admin_cidrs may not hold 0.0.0.0/0, nor anything wider than a /8: ssh isn't for the world. Name the addresses you log in from."
  }
}

variable "client_cidrs" {
  description = "Who besides the hosts themselves may reach the console (9090) and the data ports of Kafka, Cassandra, MySQL and OpenSearch: IPv4 ranges, say an office or a peered network."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for cidr in var.client_cidrs : can(cidrnetmask(cidr))])
    error_message = "client_cidrs takes IPv4 ranges, say [\"10.8.0.0/16\"]."
  }

  validation {
    condition     = alltrue([for cidr in var.client_cidrs : try(tonumber(split("/", cidr)[1]) >= 8, true)])
    error_message = "client_cidrs may not hold 0.0.0.0/0, nor anything wider than a /8: data ports aren't for the world."
  }
}

variable "ssh_public_key" {
  description = "The public key that logs in by ssh (one line, as in ~/.ssh/id_ed25519.pub). Null: nobody does, sessions go by SSM only."
  type        = string
  default     = null

  validation {
    condition     = var.ssh_public_key == null || can(regex("^(ssh-(ed25519|rsa)|ecdsa-sha2-nistp(256|384|521)) [A-Za-z0-9+/=]+( [^\n]*)?\n?$", var.ssh_public_key))
    error_message = "ssh_public_key is one line of a public key file, say file(\"~/.ssh/id_ed25519.pub\")'s content. `ssh-keygen -t ed25519` makes one."
  }
}

variable "servers" {
  description = "Changes to the topology's hosts, by name (single: millstream; cluster: kafka, cassandra, store, workers, edge): type, count, sizes in GiB. A new name is a new kind of host and needs roles and type."
  type = map(object({
    roles      = optional(list(string))
    type       = optional(string)
    count      = optional(number)
    root_gb    = optional(number)
    data_gb    = optional(number)
    autoscaled = optional(bool)
  }))
  default  = {}
  nullable = false

  validation {
    condition = alltrue([for server in values(var.servers) : alltrue([
      for role in coalesce(server.roles, []) : contains(["kafka", "cassandra", "mysql", "search", "worker", "edge", "monitoring"], role)
    ])])
    error_message = "servers: roles are kafka, cassandra, mysql, search, worker, edge and monitoring."
  }

  validation {
    condition = alltrue([for kind, server in var.servers :
      contains(["millstream", "kafka", "cassandra", "store", "workers", "edge"], kind) || (server.type != null && length(coalesce(server.roles, [])) > 0)
    ])
    error_message = "servers: a new kind of host needs roles and type, say { roles = [\"search\"], type = \"r6i.large\" }. (Those there are: millstream in topology single; kafka, cassandra, store, workers, edge in cluster.)"
  }

  validation {
    condition     = alltrue([for server in values(var.servers) : can(regex("^[a-z][a-z0-9-]*\\.[a-z0-9-]+$", coalesce(server.type, "m6i.large")))])
    error_message = "servers: type is an instance type like \"m6i.xlarge\"."
  }

  validation {
    condition = alltrue([for server in values(var.servers) :
      coalesce(server.count, 1) >= 0 && coalesce(server.count, 1) <= 20 && floor(coalesce(server.count, 1)) == coalesce(server.count, 1)
    ])
    error_message = "servers: count is a whole number from 0 to 20."
  }

  validation {
    condition = alltrue([for server in values(var.servers) :
      coalesce(server.root_gb, 20) >= 10 && (coalesce(server.data_gb, 0) == 0 || coalesce(server.data_gb, 10) >= 10)
    ])
    error_message = "servers: root_gb is 10 at least; data_gb is 0 (no volume of its own) or 10 at least."
  }
}

variable "ami_id" {
  description = "The image new hosts start from. Null: Canonical's newest Ubuntu 24.04 as it was at the first apply. Hosts that are there keep theirs, whatever happens here."
  type        = string
  default     = null

  validation {
    condition     = var.ami_id == null || can(regex("^ami-[0-9a-f]{8,17}$", var.ami_id))
    error_message = "ami_id is an image's id, like \"ami-0123456789abcdef0\", of the region that is used."
  }
}

variable "network" {
  description = "mode \"create\" (a VPC of its own, of range cidr), \"default\" (the account's default VPC), or \"existing\" (vpc_id and subnets; private ones need a way out by NAT). flow_logs: who talked to whom, to CloudWatch."
  type = object({
    mode               = optional(string, "create")
    cidr               = optional(string, "10.42.0.0/16")
    vpc_id             = optional(string)
    public_subnet_ids  = optional(list(string), [])
    private_subnet_ids = optional(list(string), [])
    flow_logs          = optional(bool, false)
  })
  default  = {}
  nullable = false

  validation {
    condition     = contains(["create", "default", "existing"], var.network.mode)
    error_message = "network.mode is \"create\", \"default\" or \"existing\"."
  }

  validation {
    condition     = can(cidrsubnet(var.network.cidr, 4, 15)) && can(cidrnetmask(var.network.cidr)) && try(tonumber(split("/", var.network.cidr)[1]), 0) >= 16 && try(tonumber(split("/", var.network.cidr)[1]), 99) <= 24
    error_message = "network.cidr is an IPv4 range from /16 to /24, say \"10.42.0.0/16\"."
  }

  validation {
    condition     = var.network.mode != "existing" || (var.network.vpc_id != null && length(var.network.public_subnet_ids) > 0)
    error_message = "network.mode = \"existing\" needs vpc_id and at least one of public_subnet_ids."
  }
}

variable "dns" {
  description = "Name of the edge in a Route 53 zone of this account: { zone = \"example.org\", name = \"millstream\" }. Null: its address only."
  type = object({
    zone = string
    name = string
  })
  default = null

  validation {
    condition     = var.dns == null || try(can(regex("^[a-z0-9.-]+\\.[a-z]+\\.?$", var.dns.zone)) && can(regex("^[a-z0-9-]+(\\.[a-z0-9-]+)*$", var.dns.name)), false)
    error_message = "dns.zone is a zone like \"example.org\", dns.name what comes before it, like \"millstream\"."
  }
}

variable "lake" {
  description = "The bucket: its name (null: made of name and account), and after how many days old versions and results of Athena go."
  type = object({
    bucket          = optional(string)
    noncurrent_days = optional(number, 30)
    results_days    = optional(number, 14)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.lake.bucket == null || can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.lake.bucket))
    error_message = "lake.bucket takes 3 to 63 lower-case letters, digits and hyphens. (No dots: they break TLS.)"
  }

  validation {
    condition     = var.lake.noncurrent_days >= 1 && var.lake.results_days >= 1
    error_message = "lake.noncurrent_days and lake.results_days are 1 at least."
  }
}

variable "force_destroy" {
  description = "Whether `terraform destroy` deletes the bucket with all that is in it. False: it stays as long as it holds anything. Must have been applied before the destroy."
  type        = bool
  default     = false
  nullable    = false
}

variable "catalog" {
  description = "mode \"registration\" (workers register partitions as they commit them) or \"projection\" (Athena reckons the dates' partitions itself, from projection_from on). crawl_schedule: Glue's cron(…), null: when asked. crawl_update: whether a crawler adds columns it finds (UPDATE_IN_DATABASE) or only logs them (LOG)."
  type = object({
    mode            = optional(string, "registration")
    projection_from = optional(string, "2026-01-01")
    crawl_schedule  = optional(string)
    crawl_update    = optional(string, "UPDATE_IN_DATABASE")
  })
  default  = {}
  nullable = false

  validation {
    condition     = contains(["registration", "projection"], var.catalog.mode)
    error_message = "catalog.mode is \"registration\" or \"projection\"."
  }

  validation {
    condition     = can(formatdate("YYYY", "${var.catalog.projection_from}T00:00:00Z"))
    error_message = "catalog.projection_from is a date like \"2026-01-01\"."
  }

  validation {
    condition     = var.catalog.crawl_schedule == null || can(regex("^cron\\(.+\\)$", var.catalog.crawl_schedule))
    error_message = "catalog.crawl_schedule is six fields of cron, like \"cron(15 2 * * ? *)\", in UTC; null: crawlers run when asked (millstream crawl)."
  }

  validation {
    condition     = contains(["UPDATE_IN_DATABASE", "LOG"], var.catalog.crawl_update)
    error_message = "catalog.crawl_update is \"UPDATE_IN_DATABASE\" or \"LOG\"."
  }
}

variable "athena_scan_limit_gb" {
  description = "A query that would read more than so many GiB is cancelled by Athena. (It bills each TiB that is read.)"
  type        = number
  default     = 10
  nullable    = false

  validation {
    condition     = var.athena_scan_limit_gb >= 1 && floor(var.athena_scan_limit_gb) == var.athena_scan_limit_gb
    error_message = "athena_scan_limit_gb is a whole number, 1 at least."
  }
}

variable "alerts" {
  description = "email gets the alarms (AWS asks it to confirm) and the budget's warnings; null: alarms show in CloudWatch only. lag: records a pipeline may be behind for 10 minutes. disk_percent: how full a disk may be. monthly_budget_usd: of the whole account."
  type = object({
    email              = optional(string)
    lag                = optional(number, 100000)
    disk_percent       = optional(number, 80)
    monthly_budget_usd = optional(number, 500)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.alerts.email == null || can(regex("^[^@ ]+@[^@ ]+\\.[^@ ]+$", var.alerts.email))
    error_message = "alerts.email is an address like \"ops@example.org\"."
  }

  validation {
    condition     = var.alerts.lag > 0 && var.alerts.disk_percent > 0 && var.alerts.disk_percent < 100 && var.alerts.monthly_budget_usd > 0
    error_message = "alerts: lag and monthly_budget_usd are above 0, disk_percent is from 1 to 99."
  }
}

variable "tags" {
  description = "Further tags of everything."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for key in keys(var.tags) : !startswith(lower(key), "aws:")])
    error_message = "tags: AWS keeps keys that begin with \"aws:\" to itself; choose others."
  }
}
