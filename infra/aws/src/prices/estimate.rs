use super::{Host, Prices, Usage};
use crate::AwsError;

/// Of a month, as AWS reckons.
const HOURS: f64 = 730.0;
/// A crawl is billed for ten minutes at least; most are shorter. By two units, as a crawler has.
const DPU_HOURS_OF_A_CRAWL: f64 = 2.0 * 10.0 / 60.0;
/// Of a request for prices of requests.
const THOUSAND: f64 = 1000.0;

/// Something that is paid for.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Item {
    pub group: &'static str,
    pub what: String,
    pub quantity: f64,
    pub unit: String,
    /// Dollars.
    pub price: f64,
    /// Dollars.
    pub month: f64,
    /// Of the price.
    pub known: String,
    pub published: String,
}

/// What these hosts and this usage cost a month. Without what depends on who talks to whom: traffic between zones,
/// logs, requests that read.
pub fn estimate(prices: &Prices, hosts: &[Host], usage: &Usage) -> Result<Vec<Item>, AwsError> {
    let item = |group, what: String, price: &str, quantity: f64| {
        let (figure, price) = prices.get(price)?;
        let month = (quantity - price.free).max(0.0) * figure;
        let (unit, known, published) =
            (price.unit.clone(), price.known.clone(), price.published.clone());
        Ok::<_, AwsError>(Item {
            group,
            what,
            quantity,
            unit,
            price: figure,
            month,
            known,
            published,
        })
    };
    let mut items = Vec::new();
    for host in hosts.iter().filter(|host| host.count > 0) {
        let what = format!("{} × {} ({})", host.count, host.kind, host.name);
        items.push(item(
            "hosts",
            what,
            &format!("ec2 {}", host.kind),
            f64::from(host.count) * HOURS,
        )?);
    }
    let sum = |of: &dyn Fn(&Host) -> u32| f64::from(hosts.iter().map(of).sum::<u32>());
    let gb = sum(&|host| host.count * (host.root_gb + host.data_gb));
    items.push(item("hosts", "their gp3 volumes".to_owned(), "ebs gp3", gb)?);
    // Hosts that nobody outside reaches get out by a NAT gateway, which has an address, too.
    let private = hosts.iter().any(|host| host.count > 0 && !host.public);
    let addresses =
        sum(&|host| if host.public { host.count } else { 0 }) + f64::from(u8::from(private));
    items.push(item(
        "network",
        format!("public IPv4 addresses: {addresses}"),
        "public ipv4",
        addresses * HOURS,
    )?);
    if private {
        items.push(item("network", "NAT gateway".to_owned(), "nat gateway", HOURS)?);
    }
    items.push(item(
        "network",
        "traffic to the world (100 GB free)".to_owned(),
        "internet traffic",
        usage.traffic_gb,
    )?);
    items.push(item("lake", "S3, what is kept".to_owned(), "s3 standard", usage.lake_gb)?);
    items.push(item(
        "lake",
        "S3, requests that write".to_owned(),
        "s3 writes",
        usage.lake_writes / THOUSAND,
    )?);
    let dpu_hours = usage.crawls * DPU_HOURS_OF_A_CRAWL;
    items.push(item(
        "catalog",
        format!("{} crawls, 10 minutes each", usage.crawls),
        "glue crawler",
        dpu_hours,
    )?);
    items.push(item(
        "queries",
        "Athena, what is scanned".to_owned(),
        "athena",
        usage.scanned_gb / THOUSAND,
    )?);
    // Terraform's: disk and machine of each host, lag, and each group of workers.
    let fixed = sum(&|host| if host.autoscaled { 0 } else { host.count });
    let groups = hosts.iter().filter(|host| host.autoscaled).count() as f64;
    items.push(item(
        "watch",
        "CloudWatch alarms".to_owned(),
        "cloudwatch alarm",
        2.0 * fixed + 1.0 + groups,
    )?);
    let all = sum(&|host| host.count);
    items.push(item(
        "watch",
        "CloudWatch metrics of our own".to_owned(),
        "cloudwatch metric",
        all + 1.0,
    )?);
    items.push(item("watch", "monthly budget that warns".to_owned(), "budget", 1.0)?);
    Ok(items)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prices::Topology;

    fn usage() -> Usage {
        Usage {
            lake_gb: 100.0,
            lake_writes: 1_000_000.0,
            scanned_gb: 500.0,
            crawls: 30.0,
            traffic_gb: 150.0,
        }
    }

    fn month(items: &[Item], what: &str) -> f64 {
        let found = items.iter().find(|item| item.what.contains(what));
        found.unwrap_or_else(|| panic!("{what} in {items:?}")).month
    }

    #[test]
    fn one_host_and_its_lake() {
        let prices = Prices::of("us-east-1").unwrap();
        let items = estimate(&prices, &Topology::Single.hosts(), &usage()).unwrap();
        for (what, expected) in [
            ("m6i.xlarge", 730.0 * 0.192),
            ("gp3", 250.0 * 0.08),
            ("addresses: 1", 3.65),
            ("traffic", 50.0 * 0.09),
            ("is kept", 2.3),
            ("write", 5.0),
            ("crawls", 4.4),
            ("Athena", 2.5),
            ("alarms", 0.3),
            ("metrics", 0.6),
            ("budget", 0.0),
        ] {
            let found = month(&items, what);
            assert!((found - expected).abs() < 1e-9, "{what}: {found}, not {expected}");
        }
        assert!(!items.iter().any(|item| item.what.contains("NAT")), "{items:?}");
    }

    #[test]
    fn a_cluster_has_hosts_that_get_out_by_nat() {
        let prices = Prices::of("eu-central-1").unwrap();
        let items = estimate(&prices, &Topology::Cluster.hosts(), &usage()).unwrap();
        assert!((month(&items, "NAT") - 730.0 * 0.052).abs() < 1e-9);
        assert!((month(&items, "addresses: 2") - 2.0 * 3.65).abs() < 1e-9);
        assert!((month(&items, "3 × m6i.xlarge (cassandra)") - 3.0 * 730.0 * 0.23).abs() < 1e-9);
        // 8 fixed hosts, lag, the group of workers.
        assert!((month(&items, "alarms") - 18.0 * 0.1).abs() < 1e-9);
    }
}
