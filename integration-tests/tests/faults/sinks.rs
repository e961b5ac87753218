use std::collections::BTreeMap;

use integration_tests::deployed::mysql_rows;
use integration_tests::{disk, stack};
use serde_json::{Value, json};

use crate::world::World;

/// The places where records end, each with the app that writes to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sink {
    Disk,
    S3,
    Cassandra,
    Mysql,
    Search,
}

/// How often each record's id was found.
pub type Found = BTreeMap<String, u64>;

impl Sink {
    pub const ALL: [Self; 5] = [Self::Disk, Self::S3, Self::Cassandra, Self::Mysql, Self::Search];

    /// As arguments and tables call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Disk => "disk",
            Self::S3 => "s3",
            Self::Cassandra => "cassandra",
            Self::Mysql => "mysql",
            Self::Search => "opensearch",
        }
    }

    pub fn app(self) -> &'static str {
        match self {
            Self::Disk | Self::S3 => "health",
            Self::Cassandra => "users",
            Self::Mysql => "wordcount",
            Self::Search => "recalls",
        }
    }

    pub fn pipeline(self) -> &'static str {
        match self {
            Self::Disk | Self::S3 => "health.vehicles",
            Self::Cassandra => "users.details",
            Self::Mysql => "wordcount.counts",
            Self::Search => "recalls.search",
        }
    }

    pub fn topic(self) -> &'static str {
        match self {
            Self::Disk | Self::S3 => "emergency_vehicle_data",
            Self::Cassandra => "registered_user_2",
            Self::Mysql => "kpmg_topic",
            Self::Search => "devices",
        }
    }

    pub fn is_compacted(self) -> bool {
        self == Self::Search
    }

    /// The variable that says where the sink is, and its value when its server is at `address`; none for a directory.
    pub fn place(self, world: &World, address: &str) -> Option<(&'static str, String)> {
        Some(match self {
            Self::Disk => return None,
            Self::S3 => ("AWS_ENDPOINT_URL", format!("http://{address}")),
            Self::Cassandra => ("USERS_STORES__TABLES", format!("cassandra://{address}")),
            Self::Mysql => {
                ("WORDCOUNT_STORES__TABLES", format!("mysql://{}@{address}", world.mysql_user()))
            }
            Self::Search => ("RECALLS_STORES__SEARCH", format!("http://{address}")),
        })
    }

    /// The other variables that it needs.
    pub fn settings(self, world: &World) -> Vec<(String, String)> {
        match self {
            Self::Disk => {
                let lake = format!("file://{}", world.disk().display());
                vec![("HEALTH_STORES__LAKE".to_owned(), lake)]
            }
            Self::S3 => {
                let lake = format!("s3://{}/lake", world.bucket());
                let mut settings = stack::s3_environment(world.server(self));
                settings.push(("HEALTH_STORES__LAKE".to_owned(), lake));
                settings
            }
            Self::Mysql => vec![(
                "WORDCOUNT_STORES__TABLES_PASSWORD".to_owned(),
                stack::APP_PASSWORD.to_owned(),
            )],
            Self::Cassandra | Self::Search => vec![],
        }
    }

    /// A record that becomes one row, or counts one: with `id` in it.
    pub fn value(self, cell: usize, id: &str) -> String {
        match self {
            Self::Disk | Self::S3 => json!({
                "id": id, "vehicle_id": "V-1", "vehicle_type": "ambulance", "vehicle_capacity": "2",
                "location": {"latitude": 51.5, "longitude": -0.1}, "patient_id": "IOS-1",
                "timestamp": format!("{}T08:00:00Z", date(cell)),
            })
            .to_string(),
            Self::Cassandra => format!("{id}$1 Mill Road$1999"),
            Self::Mysql => json!({"text": id}).to_string(),
            Self::Search => json!({
                "recall_number": id, "product_description": "Infusion pump", "state": "CA",
                "report_date": "20240115",
            })
            .to_string(),
        }
    }

    /// Ids of a cell by the sink's own client, or another reader than ours.
    pub fn read(self, world: &World, cell: usize, prefix: &str) -> Found {
        let ids: Vec<(String, u64)> = match self {
            Self::Disk => {
                let of_cell = format!("{}/date={}", self.topic(), date(cell));
                once_each(disk::parquet_texts(&world.disk().join(of_cell), "id"))
            }
            Self::S3 => {
                let of_cell = format!("lake/{}/date={}", self.topic(), date(cell));
                let place = format!("s3://{}/{of_cell}", world.bucket());
                let rows = stack::parquet::rows(&place, &stack::s3_environment(world.server(self)));
                once_each(rows.iter().map(|row| text(&row["id"])).collect())
            }
            Self::Cassandra => once_each(cassandra(world)),
            Self::Mysql => {
                let select =
                    format!("SELECT word, count FROM wordCount WHERE word LIKE '{prefix}%'");
                let rows = mysql_rows(world.server(self), "mysql", "wordcount", &select);
                let count = |text: &str| text.parse().expect("a count");
                rows.iter().map(|row| (row["word"].clone(), count(&row["count"]))).collect()
            }
            Self::Search => once_each(documents(world, prefix)),
        };
        let mut found = Found::new();
        for (id, count) in ids.into_iter().filter(|(id, _)| id.starts_with(prefix)) {
            *found.entry(id).or_default() += count;
        }
        found
    }
}

/// Each cell's rows are in a Hive partition of their own.
fn date(cell: usize) -> String {
    format!("2026-{:02}-{:02}", 1 + cell / 28 % 12, 1 + cell % 28)
}

fn once_each(ids: Vec<String>) -> Vec<(String, u64)> {
    ids.into_iter().map(|id| (id, 1)).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is a text")).to_owned()
}

fn cassandra(world: &World) -> Vec<String> {
    let select = "PAGING OFF; SELECT JSON name FROM my_keyspace.user_details_5";
    let said = stack::block_on(world.server(Sink::Cassandra).exec(&["cqlsh", "-e", select]));
    let rows = said.lines().map(str::trim).filter(|line| line.starts_with('{'));
    rows.map(|row| text(&serde_json::from_str::<Value>(row).expect("JSON")["name"])).collect()
}

fn documents(world: &World, prefix: &str) -> Vec<String> {
    let ask = |path: &str| {
        let url = format!("localhost:9200/recalls/{path}");
        let command = ["curl", "-sS", "--fail-with-body", &url];
        stack::block_on(world.server(Sink::Search).exec(&command))
    };
    ask("_refresh");
    let said = ask(&format!("_search?size=10000&q=key:{prefix}*"));
    let answer: Value = serde_json::from_str(&said).expect("JSON");
    let hits = answer["hits"]["hits"].as_array().unwrap_or_else(|| panic!("{answer}"));
    assert!(hits.len() < 10_000, "there may be more");
    hits.iter().map(|hit| text(&hit["_source"]["row"]["recall_number"])).collect()
}
