# Which hosts there are: a topology's, changed by var.servers.

locals {
  topologies = {
    # Like the originals' one machine: everything on it.
    single = {
      millstream = { roles = ["kafka", "cassandra", "mysql", "search", "worker", "edge", "monitoring"], type = "m6i.xlarge", count = 1, root_gb = 50, data_gb = 200, autoscaled = false }
    }
    cluster = {
      kafka     = { roles = ["kafka"], type = "m6i.large", count = 3, root_gb = 20, data_gb = 200, autoscaled = false }
      cassandra = { roles = ["cassandra"], type = "m6i.xlarge", count = 3, root_gb = 20, data_gb = 300, autoscaled = false }
      # MySQL and OpenSearch: not on the edge, where the world is, and Kafka and Cassandra want their memory to themselves.
      store   = { roles = ["mysql", "search"], type = "m6i.large", count = 1, root_gb = 20, data_gb = 100, autoscaled = false }
      workers = { roles = ["worker"], type = "m6i.large", count = 2, root_gb = 20, data_gb = 0, autoscaled = true }
      edge    = { roles = ["edge", "monitoring"], type = "t3.medium", count = 1, root_gb = 30, data_gb = 0, autoscaled = false }
    }
  }

  # What a host of a new name has unless it says otherwise.
  plain = { roles = [], type = "", count = 1, root_gb = 20, data_gb = 0, autoscaled = false }

  preset = local.topologies[var.topology]
  servers = {
    for kind in setunion(keys(local.preset), keys(var.servers)) : kind => merge(
      try(local.preset[kind], local.plain),
      { for key, value in try(var.servers[kind], {}) : key => value if value != null },
    )
  }
  kinds = {
    for kind, server in local.servers : kind => {
      roles      = toset(server.roles)
      type       = server.type
      count      = server.count
      root_gb    = server.root_gb
      data_gb    = server.data_gb
      autoscaled = server.autoscaled
      public     = contains(server.roles, "edge")
    }
  }

  # Which of the roles in modules/access each kind of host has.
  duties = {
    for kind, server in local.kinds : kind =>
    contains(server.roles, "worker") ? (server.public ? "all" : "worker") : (server.public ? "edge" : "store")
  }
}
