# What each variable refuses. All that are wrong are told of at once, so that a run tries many of them.

mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_data "aws_availability_zones" {
    defaults = { names = ["eu-central-1a", "eu-central-1b", "eu-central-1c"] }
  }
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{\"Version\":\"2012-10-17\",\"Statement\":[]}" }
  }
}

run "admin_cidrs_refuses_the_world_and_more" {
  command = plan

  variables {
    admin_cidrs    = ["203.0.113.7/32", "0.0.0.0/0"]
    client_cidrs   = ["0.0.0.0/0"]
    name           = "Millstream"
    region         = "frankfurt"
    topology       = "triple"
    ssh_public_key = "-----BEGIN OPENSSH PRIVATE KEY-----"
    ami_id         = "ubuntu"
    servers        = { kafka = { roles = ["zookeeper"], count = 3 } }
    network        = { mode = "existing" }
    dns            = { zone = "example", name = "millstream" }
    lake           = { bucket = "My.Bucket" }
    catalog        = { mode = "magic" }
    alerts         = { email = "nobody" }
    tags           = { "aws:owner" = "me" }

    athena_scan_limit_gb = 0.5
  }

  expect_failures = [
    var.admin_cidrs,
    var.client_cidrs,
    var.name,
    var.region,
    var.topology,
    var.ssh_public_key,
    var.ami_id,
    var.servers,
    var.network,
    var.dns,
    var.lake,
    var.catalog,
    var.alerts,
    var.tags,
    var.athena_scan_limit_gb,
  ]
}

run "admin_cidrs_refuses_what_is_wide" {
  command = plan

  variables {
    admin_cidrs  = ["128.0.0.0/1"]
    client_cidrs = ["10.0.0.0/7"]
    servers      = { kafka = { count = 1.5 } }
    network      = { cidr = "10.0.0.0/8" }
    lake         = { results_days = 0 }
    catalog      = { crawl_schedule = "daily" }
    alerts       = { disk_percent = 100 }
  }

  expect_failures = [var.admin_cidrs, var.client_cidrs, var.servers, var.network, var.lake, var.catalog, var.alerts]
}

run "admin_cidrs_refuses_ipv6_and_words" {
  command = plan

  variables {
    admin_cidrs  = ["::/0"]
    client_cidrs = ["office"]
    servers      = { kafka = { data_gb = 5 } }
    network      = { mode = "mine" }
    catalog      = { crawl_update = "DELETE", projection_from = "yesterday" }
    alerts       = { lag = 0 }
  }

  expect_failures = [var.admin_cidrs, var.client_cidrs, var.servers, var.network, var.catalog, var.alerts]
}

run "admin_cidrs_refuses_none" {
  command = plan

  variables {
    admin_cidrs = []
    network     = { cidr = "10.0.0.0/28" }
  }

  expect_failures = [var.admin_cidrs, var.network]
}
