use std::collections::BTreeMap;

use serde_json::Value;

use super::{Row, Servers};
use crate::stack::{self, Server};
use crate::wait;

const TOOLS: &str = "/opt/kafka/bin";
/// Where commands inside the broker's container reach it.
const BROKER: &str = "localhost:19092";

/// A record as Kafka's console consumer shows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Consumed {
    pub partition: u32,
    pub offset: i64,
    /// `None`: it has none.
    pub key: Option<String>,
    /// `None`: a tombstone.
    pub value: Option<String>,
}

/// What the servers hold, by their own clients.
impl Servers {
    /// Rows by `cqlsh`, from a `SELECT JSON …`; each value as its JSON.
    pub fn cql(&self, select: &str) -> Vec<Row> {
        let said = inside(&self.cassandra, &["cqlsh", "-e", &format!("PAGING OFF; {select}")]);
        let lines = said.lines().map(str::trim).filter(|line| line.starts_with('{'));
        lines
            // cqlsh doubles backslashes when it shows a text.
            .map(|line| line.replace("\\\\", "\\"))
            .map(|line| {
                serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
            })
            .map(|row: Value| as_row(&row))
            .collect()
    }

    /// Rows by the `mysql` client.
    pub fn sql(&self, database: &str, select: &str) -> Vec<Row> {
        mysql_rows(&self.mysql, "mysql", database, select)
    }

    /// Rows of a lake's table, by PyArrow.
    pub fn parquet(&self, table: &str) -> Vec<Row> {
        let place = format!("s3://{}/lake/{table}", self.bucket);
        stack::parquet::rows(&place, &self.s3_environment()).iter().map(as_row).collect()
    }

    /// Lines of a lake's CSV files, as the S3 server has them on its disk.
    pub fn csv_lines(&self, table: &str) -> Vec<String> {
        let directory = format!("/data/{}/lake/{table}", self.bucket);
        let all = ["find", &directory, "-name", "*.csv", "-exec", "cat", "{}", "+"];
        inside(&self.s3, &all).lines().map(ToOwned::to_owned).collect()
    }

    /// Documents of an index or alias, 10,000 at most, by OpenSearch's own REST API and curl.
    pub fn documents(&self, index: &str) -> Vec<Row> {
        let url = format!("localhost:9200/{index}/_search?size=10000");
        let said = inside(&self.opensearch, &["curl", "-sS", "--fail-with-body", &url]);
        let answer: Value = serde_json::from_str(&said).expect("JSON");
        let hits = answer["hits"]["hits"].as_array().unwrap_or_else(|| panic!("{answer}"));
        assert!(hits.len() < 10_000, "there may be more");
        hits.iter().map(|hit| as_row(&hit["_source"]["row"])).collect()
    }

    /// Records of a topic by Kafka's console consumer, by partition and offset.
    pub fn consumed(&self, topic: &str) -> Vec<Consumed> {
        let ends = self.ends(topic);
        wait::until(&format!("all of {topic} is read"), wait::LONG, || {
            // On a busy machine it may give up before it has the last record.
            let records = self.try_consumed(topic);
            let mut next = BTreeMap::new();
            for record in &records {
                next.insert(record.partition, record.offset + 1);
            }
            let is_all = |(partition, end): (&u32, &i64)| next.get(partition).unwrap_or(&0) >= end;
            if ends.iter().all(is_all) { Ok(records) } else { Err(format!("{next:?} of {ends:?}")) }
        })
    }

    /// The offset behind each partition's last record.
    fn ends(&self, topic: &str) -> BTreeMap<u32, i64> {
        let tool = format!("{TOOLS}/kafka-get-offsets.sh");
        let said = inside(&self.kafka, &[&tool, "--bootstrap-server", BROKER, "--topic", topic]);
        said.lines()
            .filter_map(|line| line.strip_prefix(topic)?.strip_prefix(':')?.split_once(':'))
            .map(|(partition, end)| {
                (partition.parse().expect("a number"), end.parse().expect("an offset"))
            })
            .collect()
    }

    fn try_consumed(&self, topic: &str) -> Vec<Consumed> {
        let consumer = format!("{TOOLS}/kafka-console-consumer.sh");
        let mut command = vec![consumer.as_str(), "--bootstrap-server", BROKER, "--topic", topic];
        command.extend(["--from-beginning", "--timeout-ms", "8000"]);
        command.extend(["--isolation-level", "read_committed"]);
        for property in [
            "print.partition=true",
            "print.offset=true",
            "print.key=true",
            "key.separator=\u{1}",
            "line.separator=\u{3}",
            "null.literal=\u{2}",
        ] {
            command.extend(["--formatter-property", property]);
        }
        // It ends by its time-out, which it calls an error.
        let ran = stack::block_on(self.kafka.try_exec(&command));
        let records = ran.stdout.split_terminator('\u{3}');
        let mut records: Vec<_> = records.map(|record| consumed(record, &ran.stderr)).collect();
        records.sort();
        records
    }

    /// The committed offsets of a group and its lag, as Kafka's own tool describes them.
    pub fn group(&self, group: &str) -> String {
        let tool = format!("{TOOLS}/kafka-consumer-groups.sh");
        let arguments = ["--bootstrap-server", BROKER, "--describe", "--group", group];
        inside(&self.kafka, &[&[tool.as_str()], &arguments[..]].concat())
    }
}

/// Rows by the server's own client: `mysql` or `mariadb`.
pub fn mysql_rows(server: &Server, client: &str, database: &str, select: &str) -> Vec<Row> {
    let password = format!("MYSQL_PWD={}", stack::APP_PASSWORD);
    let said = inside(
        server,
        &[
            "env",
            &password,
            client,
            "-uroot",
            "--xml",
            "--quick",
            "--default-character-set=utf8mb4",
            "-e",
            select,
            database,
        ],
    );
    let mut rows = Vec::new();
    for row in said.split("<row>").skip(1) {
        let fields = row.split("<field name=\"").skip(1).map(|field| {
            let (name, rest) = field.split_once('"').expect("a field's name");
            let value = match rest.strip_prefix(" xsi:nil=\"true\"") {
                Some(_) => "NULL".to_owned(),
                None => rest
                    .trim_start_matches('>')
                    .split("</field>")
                    .next()
                    .map(unescaped)
                    .unwrap_or_default(),
            };
            (unescaped(name), value)
        });
        rows.push(fields.collect());
    }
    rows
}

fn unescaped(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
}

fn consumed(line: &str, said: &str) -> Consumed {
    let parts: Vec<_> = line.splitn(4, '\u{1}').collect();
    let [partition, offset, key, value] = parts.as_slice() else { panic!("{line:?}\n{said}") };
    let number = |text: &str| text.rsplit(':').next().and_then(|number| number.parse().ok());
    let text = |text: &str| (text != "\u{2}").then(|| text.to_owned());
    Consumed {
        partition: number(partition).unwrap_or_else(|| panic!("{line:?}")) as u32,
        offset: number(offset).unwrap_or_else(|| panic!("{line:?}")),
        key: text(key),
        value: text(value),
    }
}

/// Every column as text.
pub fn as_row(row: &Value) -> Row {
    let object = row.as_object().unwrap_or_else(|| panic!("an object: {row}"));
    let shown = |value: &Value| match value {
        Value::Null => "NULL".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    object.iter().map(|(name, value)| (name.trim_matches('"').to_owned(), shown(value))).collect()
}

#[track_caller]
fn inside(server: &Server, command: &[&str]) -> String {
    stack::block_on(server.exec(command))
}
