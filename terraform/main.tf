# Millstream on AWS: hosts for Ansible to set up, and a lake that answers SQL. Each module is one concern; what they share
# goes through here.

data "aws_caller_identity" "this" {}

data "aws_partition" "this" {}

locals {
  tags = merge({ Project = "millstream", Installation = var.name, ManagedBy = "terraform" }, var.tags)

  account   = data.aws_caller_identity.this.account_id
  partition = data.aws_partition.this.partition

  # Names are known before anything is made: who may use a thing doesn't depend on the thing, and the first plan shows all
  # rights in full. The account keeps the bucket's name apart from everybody else's.
  bucket     = coalesce(var.lake.bucket, "${var.name}-lake-${local.account}")
  bucket_arn = "arn:${local.partition}:s3:::${local.bucket}"
  database   = replace(var.name, "-", "_")
  workgroup  = var.name

  # Prefixes of the bucket beside those of the tables. docs/architecture.md has the ledger's keys.
  ledger  = "_millstream/"
  results = "athena-results/"

  catalog = jsondecode(file("${path.root}/catalog.json"))

  queries = {
    for file in fileset("${path.root}/../apps", "*/queries/*.sql") :
    "${split("/", file)[0]}.${trimsuffix(basename(file), ".sql")}" => file("${path.root}/../apps/${file}")
  }
}

module "network" {
  source      = "./modules/network"
  name        = var.name
  partition   = local.partition
  region      = var.region
  account     = local.account
  mode        = var.network.mode
  cidr        = var.network.cidr
  flow_logs   = var.network.flow_logs
  has_private = anytrue([for kind in values(local.kinds) : !kind.public])
  existing = {
    vpc_id             = var.network.vpc_id
    public_subnet_ids  = var.network.public_subnet_ids
    private_subnet_ids = var.network.private_subnet_ids
  }
}

module "security" {
  source       = "./modules/security"
  name         = var.name
  vpc_id       = module.network.vpc_id
  roles        = { for kind, server in local.kinds : kind => server.roles }
  admin_cidrs  = var.admin_cidrs
  client_cidrs = var.client_cidrs
}

module "lake" {
  source          = "./modules/lake"
  bucket          = local.bucket
  arn             = local.bucket_arn
  ledger          = local.ledger
  results         = local.results
  noncurrent_days = var.lake.noncurrent_days
  results_days    = var.lake.results_days
  force_destroy   = var.force_destroy
}

module "access" {
  source    = "./modules/access"
  name      = var.name
  duties    = toset(values(local.duties))
  partition = local.partition
  region    = var.region
  account   = local.account
  database  = local.database
  workgroup = local.workgroup
  lake = {
    arn       = local.bucket_arn
    tables    = toset([for table in values(local.catalog.tables) : table.location])
    snapshots = toset([for directory in values(local.catalog.discovered) : directory.location])
    ledger    = local.ledger
    results   = local.results
  }
}

module "servers" {
  source             = "./modules/servers"
  name               = var.name
  servers            = local.kinds
  ami_id             = var.ami_id
  ssh_public_key     = var.ssh_public_key
  public_subnet_ids  = module.network.public_subnet_ids
  private_subnet_ids = module.network.private_subnet_ids
  group_ids          = module.security.group_ids
  instance_profiles  = { for kind, duty in local.duties : kind => module.access.instance_profiles[duty] }
  tags               = local.tags
}

module "dns" {
  source = "./modules/dns"
  name   = var.name
  edges  = { for name, id in module.servers.instance_ids : name => id if contains(local.public_hosts, name) }
  record = var.dns
}

module "catalog" {
  source           = "./modules/catalog"
  name             = var.name
  database         = local.database
  bucket           = module.lake.bucket
  tables           = local.catalog.tables
  discovered       = local.catalog.discovered
  mode             = var.catalog.mode
  projection_from  = var.catalog.projection_from
  crawl_schedule   = var.catalog.crawl_schedule
  crawl_update     = var.catalog.crawl_update
  crawler_role_arn = module.access.crawler_role_arn
}

module "query" {
  source        = "./modules/query"
  workgroup     = local.workgroup
  database      = module.catalog.database
  results       = "s3://${module.lake.bucket}/${local.results}"
  scan_limit_gb = var.athena_scan_limit_gb
  queries       = local.queries
  tables        = toset(keys(local.catalog.tables))
}

module "watch" {
  source             = "./modules/watch"
  name               = var.name
  partition          = local.partition
  region             = var.region
  account            = local.account
  instances          = module.servers.instance_ids
  worker_groups      = module.servers.worker_groups
  email              = var.alerts.email
  lag                = var.alerts.lag
  disk_percent       = var.alerts.disk_percent
  monthly_budget_usd = var.alerts.monthly_budget_usd
}
