//! A server that goes away in the middle of a load, and one that may only be read.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use millstream_engine::{Outcome, Target};

use crate::crashes::verify;
use crate::events::{PIPELINE, assignment, connect, last, put, range_of, schema};
use crate::place::{Place, client, own, server};
use crate::workers::{Shared, work};
use integration_tests::stack::APP_PASSWORD;
use millstream_sinks::mysql::MysqlTable;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mysql_may_be_away_for_a_while() {
    away("MYSQL").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mariadb_may_be_away_for_a_while() {
    away("MARIADB").await;
}

/// Stopped, killed and paused under load; then read-only, and full.
async fn away(component: &'static str) {
    let server = own(component).start().await;
    let place = Place::on(&server, client(component), "away");
    let shared = Arc::new(Shared::default());
    let start = |partition| tokio::spawn(work(place.upsert("users"), partition, shared.clone()));
    let workers: Vec<_> = (0..2).map(start).collect();
    more(&shared).await;
    server.stop().await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let failed = shared.failed();
    assert!(failed > 0, "nobody noticed");
    server.start().await;
    more(&shared).await;
    server.kill().await;
    server.start().await;
    more(&shared).await;
    server.pause().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    server.unpause().await;
    more(&shared).await;
    shared.stop.store(true, Ordering::SeqCst);
    for worker in workers {
        worker.await.expect("no worker is refused");
    }
    verify(&place, &place.upsert("users"), &shared).await;
    println!("{shared:?}");
    read_only(&place).await;
    full(&place).await;
}

/// Waits for 20 more commits.
async fn more(shared: &Shared) {
    let (goal, began) = (shared.committed() + 20, Instant::now());
    while shared.committed() < goal {
        assert!(
            began.elapsed() < Duration::from_secs(90),
            "{shared:?}, and {goal} were to be committed"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// As a server is that was just replaced by another one.
async fn read_only(place: &Place<'_>) {
    let user = place.user("ALL").await;
    let table = || {
        let server = server(&place.server.address(), &user, APP_PASSWORD, "").unwrap();
        MysqlTable::upsert(server, &place.database, "notes", &["id"])
    };
    let mut sink = connect(&table()).await;
    put(&mut sink, 0, &[("a", 1, 1)]).await;
    let range = range_of(&last(&mut sink, 0).await, 1, &[("b", 1, 2)]);
    place.ask("SET GLOBAL read_only = ON").await;
    let error = sink.commit(&assignment(0), &range).await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
    let bad = millstream_config::Health::Bad;
    let findings =
        server(&place.server.address(), &user, APP_PASSWORD, "").unwrap().examine().await;
    assert!(
        findings.iter().any(|f| f.state == bad && f.told.contains("read-only")),
        "{findings:?}"
    );
    place.ask("SET GLOBAL read_only = OFF").await;
    assert_eq!(sink.commit(&assignment(0), &range).await.unwrap(), Outcome::Committed);
}

/// No room for one more connection.
async fn full(place: &Place<'_>) {
    let user = place.user("ALL").await;
    place.ask(&format!("ALTER USER '{user}'@'%' WITH MAX_USER_CONNECTIONS 1")).await;
    let server = server(&place.server.address(), &user, APP_PASSWORD, "").unwrap();
    let table = MysqlTable::upsert(server, &place.database, "more", &["id"]);
    let mut sink = connect(&table).await;
    let error = table.connect(PIPELINE, &schema()).await.err().expect("a second connection");
    assert!(error.is_retryable(), "{error}");
    put(&mut sink, 0, &[("a", 1, 1)]).await;
}
