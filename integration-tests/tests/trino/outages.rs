//! A catalog that is away, or says no: rows are in the lake meanwhile, nothing is lost or doubled, and it is said what waits.

use integration_tests::proxy::{Fault, Proxy, Refusal};
use integration_tests::stack::Trino;
use integration_tests::{Running, load, wait};
use tokio::runtime::Runtime;

use crate::lake::Lake;

/// As Glue says no.
const GLUE: Refusal = Refusal {
    content_type: "application/x-amz-json-1.1",
    body: |_, code| format!("{{\"__type\":\"{code}\",\"message\":\"ordered by the test\"}}"),
};

/// A lake whose workers reach Glue through a proxy.
fn lake() -> (Runtime, Proxy, Lake) {
    let runtime = Runtime::new().expect("a runtime");
    let first = Lake::new("");
    let trino: std::sync::Arc<Trino> = first.trino.clone();
    let proxy = runtime.block_on(Proxy::to(&trino.aws.address(), GLUE));
    let lake = Lake::by(trino, proxy.address(), "&create=on").health("ROLL__EVERY_S", "0.3");
    (runtime, proxy, lake)
}

fn produce(lake: &Lake, day: &str) {
    let produce = ["produce", "--once", "--rate", "max", "--limit", "20"];
    let mut producer = lake.data.command("health", &produce);
    producer.env("HEALTH_SIMULATE__START", format!("{day}T10:00:00Z"));
    Running::start(producer).ends_within(wait::LONG).succeeds();
}

/// Rows of a day in the lake's ledger, whoever knows of them.
fn in_lake(lake: &Lake, day: &str) -> u64 {
    let sql = format!("SELECT count(*) AS n FROM patient_data WHERE \"date\" = '{day}'");
    lake.data.query(&sql)[0]["n"].as_u64().expect("a number")
}

fn found(lake: &Lake, day: &str) -> Result<u64, String> {
    lake.count(&format!("SELECT count(*) FROM patient_data WHERE \"date\" = '{day}'"))
}

#[track_caller]
fn is_found(lake: &Lake, day: &str) {
    let rows = wait::until(&format!("{day} is found"), wait::LONG, || match found(lake, day)? {
        0 => Err("no row".to_owned()),
        rows => Ok(rows),
    });
    assert!(rows > 0);
    wait::until("all of it", wait::LONG, || {
        let (theirs, ours) = (found(lake, day)?, in_lake(lake, day));
        if theirs == ours { Ok(()) } else { Err(format!("{theirs} of {ours}")) }
    });
}

#[test]
fn a_catalog_that_is_away_holds_nothing_back_but_itself() {
    let (_runtime, proxy, lake) = lake();
    let mut worker = lake.data.start("health", &["process"]);
    produce(&lake, "2031-02-01");
    is_found(&lake, "2031-02-01");
    proxy.set(|_| Fault::Say(503, "InternalServiceException"));
    produce(&lake, "2031-02-02");
    worker.says("register partition 2031-02-02 of lake table patient_data in glue://");
    worker.says("reading pauses until it works");
    wait::until("the rows are in the lake", wait::LONG, || match in_lake(&lake, "2031-02-02") {
        0 => Err("no row".to_owned()),
        _ => Ok(()),
    });
    assert_eq!(found(&lake, "2031-02-02"), Ok(0), "nobody was told of it");
    // Whoever takes over makes up for it, though no more records come.
    worker.kill_9();
    let mut other = lake.data.start("health", &["process"]);
    other.says("register the columns of lake table patient_data");
    proxy.set(|_| Fault::None);
    is_found(&lake, "2031-02-02");
    load::end(other);
    lake.data.catch_up("health");
    lake.data.verify();
}

#[test]
fn a_lost_reply_is_no_matter() {
    let (_runtime, proxy, lake) = lake();
    proxy.set(|asked| if asked.n % 3 == 0 { Fault::Lose } else { Fault::None });
    produce(&lake, "2031-03-01");
    lake.data.catch_up("health");
    is_found(&lake, "2031-03-01");
    lake.data.verify();
}

#[test]
fn a_permission_that_lacks_is_named_and_once_it_is_given_it_goes_on() {
    let (_runtime, proxy, lake) = lake();
    proxy.set(|_| Fault::Say(400, "AccessDeniedException"));
    let mut worker = lake.data.start("health", &["process"]);
    produce(&lake, "2031-04-01");
    worker.says("allow glue:GetTable on arn:aws:glue:*:*:table/");
    proxy.set(|_| Fault::None);
    is_found(&lake, "2031-04-01");
    load::end(worker);
}
