/// What `terraform/topology.tf` makes, by its variable `topology`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Topology {
    #[default]
    Single,
    Cluster,
}

/// Terraform's region, unless told otherwise.
pub const REGION: &str = "eu-central-1";

/// A kind of host of a topology.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    pub name: &'static str,
    pub kind: String,
    pub count: u32,
    /// GB of both volumes of each.
    pub root_gb: u32,
    pub data_gb: u32,
    /// It has an address of its own, which the world knows.
    pub public: bool,
    /// Its number changes; no alarm of its own.
    pub autoscaled: bool,
}

/// What Terraform can't know, a month.
#[derive(Clone, Debug, PartialEq)]
pub struct Usage {
    /// In the bucket, on average.
    pub lake_gb: f64,
    /// Writing requests to the bucket.
    pub lake_writes: f64,
    /// Scanned by Athena.
    pub scanned_gb: f64,
    /// Runs of one crawler each.
    pub crawls: f64,
    /// To the world.
    pub traffic_gb: f64,
}

impl Topology {
    pub const ALL: [Self; 2] = [Self::Single, Self::Cluster];

    pub fn name(self) -> &'static str {
        match self {
            Self::Single => "single",
            Self::Cluster => "cluster",
        }
    }

    /// Its hosts, as Terraform has them unless told otherwise.
    pub fn hosts(self) -> Vec<Host> {
        let host = |name, kind: &str, count, root_gb, data_gb| Host {
            name,
            kind: kind.to_owned(),
            count,
            root_gb,
            data_gb,
            public: ["millstream", "edge"].contains(&name),
            autoscaled: name == "workers",
        };
        match self {
            Self::Single => vec![host("millstream", "m6i.xlarge", 1, 50, 200)],
            Self::Cluster => vec![
                host("kafka", "m6i.large", 3, 20, 200),
                host("cassandra", "m6i.xlarge", 3, 20, 300),
                host("store", "m6i.large", 1, 20, 100),
                host("workers", "m6i.large", 2, 20, 0),
                host("edge", "t3.medium", 1, 30, 0),
            ],
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use super::*;

    /// `kafka = { roles = ["kafka"], type = "m6i.large", count = 3, … }` of each topology.
    fn of_terraform() -> BTreeMap<String, Vec<Host>> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../terraform/topology.tf");
        let text = std::fs::read_to_string(path).unwrap();
        let body = text.split("topologies = {").nth(1).unwrap();
        let (mut found, mut topology) = (BTreeMap::<String, Vec<Host>>::new(), String::new());
        for line in body.lines().map(str::trim) {
            let Some((name, rest)) = line.split_once('=') else {
                if line == "}" && topology.is_empty() {
                    break;
                }
                if line == "}" {
                    topology.clear();
                }
                continue;
            };
            if rest.trim() == "{" {
                name.trim().clone_into(&mut topology);
                continue;
            }
            let value = |key: &str| {
                let rest = rest
                    .split(&format!("{key} = "))
                    .nth(1)
                    .unwrap_or_else(|| panic!("{key}: {line}"));
                rest.split([',', ' ', '}']).next().unwrap().trim_matches('"').to_owned()
            };
            let number = |key: &str| value(key).parse().unwrap();
            let host = Host {
                name: name.trim().to_owned().leak(),
                kind: value("type"),
                count: number("count"),
                root_gb: number("root_gb"),
                data_gb: number("data_gb"),
                public: rest.contains("\"edge\""),
                autoscaled: value("autoscaled") == "true",
            };
            found.entry(topology.clone()).or_default().push(host);
        }
        found
    }

    /// The default of a variable of Terraform's.
    fn default_of(variable: &str) -> String {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../terraform/variables.tf");
        let text = std::fs::read_to_string(path).unwrap();
        let block = text.split(&format!("variable \"{variable}\" {{")).nth(1).unwrap();
        let line = block.lines().find(|line| line.trim().starts_with("default")).unwrap();
        line.split('"').nth(1).unwrap().to_owned()
    }

    #[test]
    fn defaults_are_those_of_terraform() {
        assert_eq!(default_of("region"), REGION);
        assert_eq!(default_of("topology"), Topology::default().name());
    }

    #[test]
    fn hosts_are_those_of_terraform() {
        let terraform = of_terraform();
        assert_eq!(terraform.len(), Topology::ALL.len(), "{terraform:?}");
        for topology in Topology::ALL {
            assert_eq!(topology.hosts(), terraform[topology.name()]);
        }
    }
}
