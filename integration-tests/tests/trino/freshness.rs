//! How soon after its commit a partition can be asked: no crawler runs here.

use std::time::{Duration, SystemTime};

use integration_tests::{load, stack, wait};

use crate::lake::Lake;

/// As promised.
const SOON: Duration = Duration::from_secs(5);
/// Machines that run tests are slow at times: then the figure says so.
const AT_LAST: Duration = Duration::from_secs(30);

#[test]
fn a_partition_can_be_asked_seconds_after_its_commit_without_a_crawler() {
    let lake = Lake::new("&create=on").health("ROLL__EVERY_S", "0.5");
    let worker = lake.data.start("health", &["process"]);
    let mut took = Vec::new();
    for day in ["2031-01-01", "2031-01-02", "2031-01-03"] {
        let mut producer =
            lake.data.command("health", &["produce", "--once", "--rate", "max", "--limit", "1"]);
        producer.env("HEALTH_SIMULATE__START", format!("{day}T10:00:00Z"));
        integration_tests::Running::start(producer).ends_within(wait::LONG).succeeds();
        let sql = format!("SELECT count(*) FROM patient_data WHERE \"date\" = '{day}'");
        let seen = wait::until(&format!("{day} is found"), wait::LONG, || match lake.count(&sql) {
            Ok(0) => Err(format!("no row; {worker:?}")),
            Ok(_) => Ok(SystemTime::now()),
            Err(error) => Err(format!("{error}; {worker:?}")),
        });
        let after = seen.duration_since(last_commit(&lake)).unwrap_or_default();
        println!("{day} could be asked {:.2} s after its commit", after.as_secs_f64());
        assert!(after < AT_LAST, "{day}: {after:?}");
        took.push(after);
    }
    load::end(worker);
    let best = took.iter().min().expect("three days");
    assert!(*best < SOON, "{took:?}");
}

/// When the ledger's last end was written, as the S3 server has it on its disk.
fn last_commit(lake: &Lake) -> SystemTime {
    let ledger =
        format!("/data/{}/{}/_millstream/health.patients", lake.trino.bucket, lake.database);
    let find = ["find", &ledger, "-name", "*.end", "-printf", "%T@\\n"];
    let said = stack::block_on(lake.trino.s3.exec(&find));
    let times = said.lines().map(|line| line.parse::<f64>().expect("a time"));
    let last = times.fold(0.0, f64::max);
    SystemTime::UNIX_EPOCH + Duration::from_secs_f64(last)
}
