# Which hosts there are, and what may reach them. Everything is mocked: no API is asked.

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
  mock_data "aws_instances" {
    defaults = { ids = ["i-0aaaaaaaaaaaaaaaa", "i-0bbbbbbbbbbbbbbbb"], private_ips = ["10.42.128.9", "10.42.144.9"], public_ips = [] }
  }
  mock_data "aws_ami" {
    defaults = { id = "ami-0a1b2c3d4e5f60001" }
  }
  mock_resource "aws_instance" {
    defaults = { id = "i-0123456789abcdef0", private_ip = "10.42.0.4", public_ip = "", availability_zone = "eu-central-1a" }
  }
  mock_resource "aws_eip" {
    defaults = { public_ip = "198.51.100.7" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/millstream" }
  }
  mock_resource "aws_sns_topic" {
    defaults = { arn = "arn:aws:sns:eu-central-1:123456789012:millstream-alarms" }
  }
  mock_resource "aws_launch_template" {
    defaults = { id = "lt-0123456789abcdef0", latest_version = 1 }
  }
}

variables {
  admin_cidrs = ["203.0.113.7/32"]
}

run "single_is_one_host_with_all_roles" {
  command = apply

  assert {
    condition     = keys(output.hosts) == ["millstream-1"]
    error_message = "There should be one host."
  }
  assert {
    condition     = length(yamldecode(output.ansible_inventory).all.children) == 8
    error_message = "It should be in all seven roles' groups and in its own."
  }
  assert {
    condition     = output.ssh["millstream-1"] == "ssh ubuntu@198.51.100.7"
    error_message = "It should be reached at its Elastic IP."
  }
}

run "cluster_is_3_3_1_1_and_workers" {
  command = apply

  variables {
    topology = "cluster"
  }

  assert {
    condition = { for group, members in yamldecode(output.ansible_inventory).all.children : group => length(members.hosts) } == {
      kafka = 3, cassandra = 3, store = 1, mysql = 1, search = 1, edge = 1, monitoring = 1, worker = 2, workers = 2
    }
    error_message = "The groups have other sizes."
  }
  assert {
    condition     = yamldecode(output.ansible_inventory).all.hosts["kafka-2"].ansible_ssh_common_args == "-o ProxyJump=ubuntu@198.51.100.7"
    error_message = "Hosts without a public address should be reached by way of the edge."
  }
  assert {
    condition = alltrue([for host in values(yamldecode(output.ansible_inventory).all.hosts) : alltrue([
      for port in host.open_ports : port.from != "0.0.0.0/0" || contains([80, 443], port.port)
    ])])
    error_message = "Only 80 and 443 may be open to the world."
  }
  assert {
    condition     = [for port in yamldecode(output.ansible_inventory).all.hosts["kafka-1"].open_ports : port.from if port.port == 9092] == ["inside"]
    error_message = "Kafka should be reached from inside only."
  }
  assert {
    condition     = yamldecode(output.ansible_inventory).all.vars.lake_bucket == "millstream-lake-123456789012"
    error_message = "The bucket's name should have the account in it."
  }
}

run "hosts_are_changed_by_name" {
  command = apply

  variables {
    topology     = "cluster"
    client_cidrs = ["10.8.0.0/16"]
    servers = {
      kafka = { count = 5, type = "m6i.2xlarge" }
      store = { count = 0 }
      extra = { roles = ["search"], type = "r6i.large", data_gb = 50 }
    }
  }

  assert {
    condition     = length([for host in values(output.hosts) : host if host.kind == "kafka" && host.type == "m6i.2xlarge"]) == 5
    error_message = "There should be five brokers of that type."
  }
  assert {
    condition     = keys(yamldecode(output.ansible_inventory).all.children.search.hosts) == ["extra-1"]
    error_message = "Search should be on the host of its own, and nowhere else."
  }
  assert {
    # As text: a sorted list and this one are of different types, and never equal.
    condition     = join(", ", sort([for port in yamldecode(output.ansible_inventory).all.hosts["extra-1"].open_ports : "${port.port} ${port.from}"])) == "22 203.0.113.7/32, 22 inside, 9100 inside, 9200 10.8.0.0/16, 9200 inside, 9300 peers"
    error_message = "A host's ports should follow from its roles."
  }
}

run "a_new_kind_needs_a_type" {
  command = plan

  variables {
    servers = { extra = { roles = ["search"] } }
  }

  expect_failures = [var.servers]
}

run "names_have_the_installation_in_them" {
  command = apply

  variables {
    name = "test-2"
    lake = { bucket = "other-lake" }
  }

  assert {
    condition     = output.bucket == "other-lake" && output.glue_database == "test_2" && output.athena_workgroup == "test-2"
    error_message = "Names should follow from name and lake.bucket."
  }
}
