use anyhow::{Result, bail};
use millstream_aws::prices::{Host, Item, Prices, REGION, Topology, Usage, estimate};
use serde_json::json;

use crate::show::{say, table};

pub const EXAMPLES: &str = "\
Examples:
  millstream cost                                          one host, in Terraform's region
  millstream cost --topology cluster --workers 6 --region eu-west-1
  millstream cost --topology cluster --type cassandra=m6i.2xlarge --scanned-gb 2000 --json
Figures are a table in the binary (infra/aws/src/prices/prices.toml), each with its month; --json names the page that has today's.";

/// As Terraform's variable `topology`.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Kind {
    /// One host with all roles
    Single,
    /// Hosts of their own for Kafka, Cassandra, the other stores, workers and the edge
    Cluster,
}

impl From<Kind> for Topology {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Single => Self::Single,
            Kind::Cluster => Self::Cluster,
        }
    }
}

#[derive(clap::Args)]
pub struct Options {
    /// As Terraform's variable of that name
    #[arg(long, value_enum, default_value_t = Kind::Single)]
    topology: Kind,
    /// AWS region, one that the table of prices has
    #[arg(long, default_value = REGION)]
    region: String,
    /// Workers of a cluster [default: 2]
    #[arg(long, value_name = "N")]
    workers: Option<u32>,
    /// Another type of a kind of host, as in `--type kafka=m6i.xlarge`; may be repeated
    #[arg(long = "type", value_name = "HOST=TYPE", value_parser = host_and_type)]
    types: Vec<(String, String)>,
    /// GB that the lake holds
    #[arg(long, value_name = "GB", default_value_t = 100.0)]
    lake_gb: f64,
    /// Writes to the lake a month; a range that is committed makes three or more
    #[arg(long, value_name = "N", default_value_t = 1_000_000.0)]
    lake_writes: f64,
    /// GB that Athena scans a month
    #[arg(long, value_name = "GB", default_value_t = 100.0)]
    scanned_gb: f64,
    /// Runs of crawlers a month, each counted
    #[arg(long, value_name = "N", default_value_t = 30.0)]
    crawls: f64,
    /// GB that go to the world a month
    #[arg(long, value_name = "GB", default_value_t = 20.0)]
    traffic_gb: f64,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

fn host_and_type(text: &str) -> Result<(String, String), String> {
    let parts = text.split_once('=').map(|(host, kind)| (host.to_owned(), kind.to_owned()));
    parts.ok_or_else(|| "expected HOST=TYPE, as in kafka=m6i.xlarge".to_owned())
}

/// Prints what a topology costs a month.
pub fn cost(options: &Options) -> Result<()> {
    let topology = Topology::from(options.topology);
    let prices = Prices::of(&options.region)?;
    let items = estimate(&prices, &hosts(topology, options)?, &usage(options)?)?;
    let sum: f64 = items.iter().map(|item| item.month).sum();
    if options.json {
        let (topology, region, known) = (topology.name(), prices.region(), prices.known());
        say!(
            "{}",
            json!({ "topology": topology, "region": region, "known": known, "currency": "USD", "month": cents(sum), "items": items })
        );
    } else {
        show(topology, &prices, &items, sum);
    }
    Ok(())
}

fn hosts(topology: Topology, options: &Options) -> Result<Vec<Host>> {
    let mut hosts = topology.hosts();
    if let Some(workers) = options.workers {
        match hosts.iter_mut().find(|host| host.autoscaled) {
            Some(host) => host.count = workers,
            None => bail!(
                "topology {} has no workers of their own: leave --workers out, or say --topology cluster",
                topology.name()
            ),
        }
    }
    for (name, kind) in &options.types {
        let known: Vec<_> = hosts.iter().map(|host| host.name).collect();
        match hosts.iter_mut().find(|host| host.name == name) {
            Some(host) => host.kind.clone_from(kind),
            None => bail!(
                "topology {} has no hosts called {name}; there are {}",
                topology.name(),
                known.join(", ")
            ),
        }
    }
    Ok(hosts)
}

fn usage(options: &Options) -> Result<Usage> {
    let Options { lake_gb, lake_writes, scanned_gb, crawls, traffic_gb, .. } = *options;
    let given = [lake_gb, lake_writes, scanned_gb, crawls, traffic_gb];
    if given.iter().any(|amount| !amount.is_finite() || *amount < 0.0) {
        bail!("amounts are 0 or more: correct {given:?}");
    }
    Ok(Usage { lake_gb, lake_writes, scanned_gb, crawls, traffic_gb })
}

fn show(topology: Topology, prices: &Prices, items: &[Item], sum: f64) {
    let line = |item: &Item| {
        vec![
            item.group.to_owned(),
            item.what.clone(),
            format!("{:.1}", item.quantity),
            item.unit.clone(),
            item.price.to_string(),
            format!("{:.2}", item.month),
        ]
    };
    let mut lines: Vec<_> = items.iter().map(line).collect();
    let total = ["", "together", "-", "", "-"].map(str::to_owned);
    lines.push(total.into_iter().chain([format!("{sum:.2}")]).collect());
    say!("{} in {}, US dollars a month", topology.name(), prices.region());
    let header = ["for", "what", "quantity", "of", "price", "month"];
    say!("{}", table(&header, &lines).trim_end());
    say!(
        "An estimate by prices as last known in {}, not looked up since (--json names the page that has each of today's); on demand, without tax. \
         Not in it: traffic between zones, logs, requests that read, support.",
        prices.known()
    );
}

fn cents(dollars: f64) -> f64 {
    (dollars * 100.0).round() / 100.0
}
