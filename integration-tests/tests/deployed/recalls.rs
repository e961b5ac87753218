//! Recalls on Kafka, Cassandra, OpenSearch and S3: the table by cqlsh, the index by its server's REST API, and the site.

use std::path::PathBuf;

use integration_tests::deployed::{Deployed, Row, Servers, as_row, assert_same, kills};
use integration_tests::feed::{Feed, HOSTILE};
use integration_tests::{Running, http, load, number, text, wait};
use serde_json::{Value, json};

const PIPELINES: [&str; 2] = ["recalls.table", "recalls.search"];
const COLUMNS: &str = "recall_number, event_id, classification, status, recalling_firm, product_type, \
                       product_description, product_quantity, reason_for_recall, code_info, distribution_pattern, \
                       voluntary_mandated, initial_firm_notification, report_date, recall_initiation_date, address_1, \
                       city, state, postal_code, country";
const COUNT: usize = 400;

struct Recalls {
    on: Deployed,
    feed: Fed,
}

/// A feed that changes.
struct Fed {
    zip: PathBuf,
    records: Vec<Value>,
    round: usize,
}

impl Fed {
    /// Another state: a third of the recalls is changed, one is gone, some are new.
    fn change(&mut self) {
        self.round += 1;
        for record in self.records.iter_mut().skip(self.round % 3).step_by(3) {
            record["reason_for_recall"] = json!(format!("Reason {} is told", self.round));
        }
        self.records.remove(100 + self.round);
        let many = COUNT + 10 * self.round;
        self.records.extend(Feed::of(many).records.split_off(many - 10));
        self.write();
    }

    fn write(&self) {
        Feed { records: self.records.clone() }.write(&self.zip);
    }
}

impl Recalls {
    fn new() -> Self {
        let on = Deployed::new("recalls", &Servers::shared());
        let on = on.set("SERVE__REFRESH", "false").set("FEED__EVERY_S", "1");
        let on = on.set("ROLL__EVERY_S", "0.2");
        let (zip, records) = (on.root().join("feed.zip"), Feed::of(COUNT).and_hostile().records);
        let feed = Fed { zip, records, round: 0 };
        feed.write();
        Self { on, feed }
    }

    fn produce(&self) {
        let file = self.feed.zip.to_str().unwrap();
        self.on.run("recalls", &["produce", "--once", "--file", file]).succeeds();
    }

    /// What the feed has is what table and index have, and nothing else.
    fn assert_exact(&self) {
        for id in PIPELINES {
            self.on.verify_one(id);
        }
        let expected: Vec<Row> = self.feed.records.iter().map(as_row).collect();
        let select = format!("SELECT JSON {COLUMNS} FROM recalls.enforcement");
        assert_same("the table", COLUMNS, &expected, &self.on.servers.cql(&select));
        assert_same("the index", COLUMNS, &expected, &self.on.servers.documents("recalls"));
    }

    fn in_table(&self) -> usize {
        let tables =
            "SELECT JSON table_name FROM system_schema.tables WHERE keyspace_name = 'recalls'";
        let tables = self.on.servers.cql(tables);
        if !tables.iter().any(|row| row["table_name"] == "enforcement") {
            return 0;
        }
        self.on.servers.cql("SELECT JSON recall_number FROM recalls.enforcement").len()
    }
}

/// The pages at work.
struct Site {
    _serve: Running,
    root: String,
}

impl Site {
    fn new(on: &Deployed) -> Self {
        let mut serve = on.start("recalls", &["serve", "--listen", "127.0.0.1:0"]);
        let root = format!("http://{}", serve.told_after("http://").trim_end_matches('/'));
        Self { _serve: serve, root }
    }

    fn get(&self, path: &str) -> http::Answer {
        http::get(&format!("{}{path}", self.root)).succeeds()
    }

    fn total(&self, query: &str) -> u64 {
        number(&self.get(&format!("/api/v1/recalls?{query}")).json(), "total")
    }

    fn wait_for_total(&self, total: usize) {
        let url = format!("{}/api/v1/recalls?limit=1", self.root);
        wait::until("all recalls can be found", wait::LONG, || {
            let answer = http::try_get(&url)?;
            let found = serde_json::from_slice::<Value>(&answer.bytes).unwrap_or_default();
            if found["total"] == total { Ok(()) } else { Err(answer.text()) }
        });
    }
}

/// The table would be written only after minutes: meanwhile all is found, from the snapshot in the bucket.
fn assert_found_while_the_table_is_loading(recalls: &Recalls, site: &Site) {
    let mut command = recalls.on.command("recalls", &["process"]);
    command.env("RECALLS_ROLL__EVERY_S", "300");
    let mut worker = Running::start(command);
    worker.says("index recalls begins with 401 rows from the snapshot of");
    site.wait_for_total(COUNT + 1);
    assert_eq!(recalls.in_table(), 0);
    load::end(worker);
    recalls.on.settle(&PIPELINES);
    assert_eq!(recalls.in_table(), COUNT + 1);
}

fn assert_answers(recalls: &Recalls, site: &Site) {
    let of = |name: &str, value: &str| {
        recalls.feed.records.iter().filter(|record| record[name] == value).count() as u64
    };
    assert_eq!(site.total("classification=Class%20I"), of("classification", "Class I"));
    assert_eq!(site.total("state=TX"), of("state", "TX"));
    // A slip is forgiven.
    let pumps = recalls.feed.records.iter();
    let pumps = pumps.filter(|record| text(record, "product_description").contains("pump"));
    assert_eq!(site.total("q=infusoin%20pupm"), pumps.count() as u64);

    let suggested = site.get("/api/v1/suggest?q=Z-0007").json();
    assert_eq!(suggested["suggestions"][0]["text"], "Z-0007-2023", "{suggested}");
    let page = site.get("/recalls/Z-0007-2023").text();
    for part in ["Infusion pump, model K-006", "Cook Medical", "Lot 00006"] {
        assert!(page.contains(part), "{part:?} is missing: {page}");
    }
    let page = site.get("/search?q=pump&classification=Class+I").text();
    let shown = format!("{} recalls for", site.total("q=pump&classification=Class%20I"));
    assert!(page.contains(&shown) && page.contains("<mark>pump</mark>"), "{shown}: {page}");
    let hostile = site.get(&format!("/recalls/{HOSTILE}")).text();
    assert!(!hostile.contains("<script>window.hacked"), "{hostile}");
    assert!(site.get("/analytics").text().contains("Class III"));
}

#[test]
fn recalls_come_from_kafka_into_table_index_and_pages_also_when_workers_are_killed() {
    let mut recalls = Recalls::new();
    let site = Site::new(&recalls.on);
    recalls.produce();
    assert_found_while_the_table_is_loading(&recalls, &site);
    recalls.assert_exact();
    assert_answers(&recalls, &site);
    recalls.on.assert_healthy(&["Kafka", "Cassandra", "OpenSearch", "S3", "topic devices"]);

    let file = recalls.feed.zip.to_str().unwrap().to_owned();
    // So that something is on its way all the time.
    let mut command = recalls.on.command("recalls", &["produce", "--file", &file]);
    command.env("RECALLS_PRODUCE__RATE", "60");
    let mut producer = Running::start(command);
    kills::kill_workers(&recalls.on, &PIPELINES, || {
        load::goes_on(&mut producer);
        recalls.feed.change();
    });
    load::end(producer);
    recalls.produce();
    recalls.on.settle(&PIPELINES);
    recalls.assert_exact();
    site.wait_for_total(recalls.feed.records.len());
    assert_answers(&recalls, &site);
}
