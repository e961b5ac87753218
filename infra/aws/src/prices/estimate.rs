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
    let hosts: Vec<_> = hosts.iter().filter(|host| host.count > 0).collect();
    let mut bill = Bill { prices, items: Vec::new() };
    bill.hosts(&hosts)?;
    bill.network(&hosts, usage)?;
    bill.usage(usage)?;
    bill.watch(&hosts)?;
    Ok(bill.items)
}

struct Bill<'a> {
    prices: &'a Prices,
    items: Vec<Item>,
}

impl Bill<'_> {
    fn add(
        &mut self,
        group: &'static str,
        what: impl Into<String>,
        price: &str,
        quantity: f64,
    ) -> Result<(), AwsError> {
        let (figure, price) = self.prices.get(price)?;
        self.items.push(Item {
            group,
            what: what.into(),
            quantity,
            unit: price.unit.clone(),
            price: figure,
            month: (quantity - price.free).max(0.0) * figure,
            known: price.known.clone(),
            published: price.published.clone(),
        });
        Ok(())
    }

    fn hosts(&mut self, hosts: &[&Host]) -> Result<(), AwsError> {
        for host in hosts {
            let what = format!("{} × {} ({})", host.count, host.kind, host.name);
            let hours = f64::from(host.count) * HOURS;
            self.add("hosts", what, &format!("ec2 {}", host.kind), hours)?;
        }
        let gb = sum(hosts, |host| host.count * (host.root_gb + host.data_gb));
        self.add("hosts", "their gp3 volumes", "ebs gp3", gb)
    }

    /// Hosts that nobody outside reaches get out by a NAT gateway, which has an address, too.
    fn network(&mut self, hosts: &[&Host], usage: &Usage) -> Result<(), AwsError> {
        let has_nat = hosts.iter().any(|host| !host.public);
        let public = sum(hosts, |host| if host.public { host.count } else { 0 });
        let addresses = public + f64::from(u8::from(has_nat));
        let what = format!("public IPv4 addresses: {addresses}");
        self.add("network", what, "public ipv4", addresses * HOURS)?;
        if has_nat {
            self.add("network", "NAT gateway", "nat gateway", HOURS)?;
        }
        let what = "traffic to the world (100 GB free)";
        self.add("network", what, "internet traffic", usage.traffic_gb)
    }

    fn usage(&mut self, usage: &Usage) -> Result<(), AwsError> {
        self.add("lake", "S3, what is kept", "s3 standard", usage.lake_gb)?;
        let thousands = usage.lake_writes / THOUSAND;
        self.add("lake", "S3, requests that write", "s3 writes", thousands)?;
        let crawls = format!("{} crawls, 10 minutes each", usage.crawls);
        self.add("catalog", crawls, "glue crawler", usage.crawls * DPU_HOURS_OF_A_CRAWL)?;
        self.add("queries", "Athena, what is scanned", "athena", usage.scanned_gb / THOUSAND)
    }

    /// Terraform's alarms: disk and machine of each host, lag, and each group of workers.
    fn watch(&mut self, hosts: &[&Host]) -> Result<(), AwsError> {
        let fixed = sum(hosts, |host| if host.autoscaled { 0 } else { host.count });
        let groups = sum(hosts, |host| u32::from(host.autoscaled));
        let alarms = 2.0 * fixed + 1.0 + groups;
        self.add("watch", "CloudWatch alarms", "cloudwatch alarm", alarms)?;
        let metrics = sum(hosts, |host| host.count) + 1.0;
        self.add("watch", "CloudWatch metrics of our own", "cloudwatch metric", metrics)?;
        self.add("watch", "monthly budget that warns", "budget", 1.0)
    }
}

fn sum(hosts: &[&Host], of: impl Fn(&Host) -> u32) -> f64 {
    f64::from(hosts.iter().map(|host| of(host)).sum::<u32>())
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
