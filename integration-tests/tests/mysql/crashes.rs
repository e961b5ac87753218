//! Workers that lose their connection, their network or their life at any moment; a second one works beside each.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use millstream_engine::Target;
use millstream_sinks::mysql::MysqlTable;
use rand::RngExt;

use crate::events::{connect, held, last, model};
use crate::place::Place;
use crate::proxy::{Fault, Proxy};
use crate::workers::{Shared, work};

/// So many times a worker must have been hit, and as often one was killed.
const HITS: usize = 24;
const PARTITIONS: u32 = 2;
const LIMIT: Duration = Duration::from_secs(120);

on_both!(crashes_lose_and_double_nothing_of_upserts, crashes_lose_and_double_nothing_of_counts);

async fn crashes_lose_and_double_nothing_of_upserts(place: Place<'_>) {
    let proxy = Proxy::to(&place.server.address()).await;
    let server = place.through(proxy.address());
    let table = MysqlTable::upsert(server, &place.database, "users", &["id"]);
    crash(&place, &proxy, &table, &place.upsert("users")).await;
}

async fn crashes_lose_and_double_nothing_of_counts(place: Place<'_>) {
    let proxy = Proxy::to(&place.server.address()).await;
    let server = place.through(proxy.address());
    let table = MysqlTable::count(server, &place.database, "words", &["id"], "n");
    crash(&place, &proxy, &table, &place.count("words")).await;
}

/// `table`: by way of the proxy; `direct`: the same.
async fn crash(place: &Place<'_>, proxy: &Proxy, table: &MysqlTable, direct: &MysqlTable) {
    let shared = Arc::new(Shared::default());
    let start = |partition| tokio::spawn(work(table.clone(), partition, shared.clone()));
    // Two on each partition: whoever is slower is the other's zombie.
    let mut workers: Vec<_> =
        (0..2 * PARTITIONS).map(|n| (n % PARTITIONS, start(n % PARTITIONS))).collect();
    let began = Instant::now();
    let mut killed = 0;
    let mut lives = 0;
    while shared.failed() < HITS || lives < HITS {
        assert!(
            began.elapsed() < LIMIT,
            "after {LIMIT:?}: {shared:?}, {killed} killed, {lives} lives"
        );
        assert!(workers.iter().all(|(_, worker)| !worker.is_finished()), "a worker was refused");
        let pause = rand::rng().random_range(5..60);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        match rand::rng().random_range(0..4) {
            0 => proxy.cut(),
            1 => proxy.next(if rand::random() { Fault::LoseReply } else { Fault::LoseRequest }),
            2 => killed += kill(place).await,
            _ => {
                lives += 1;
                let index = rand::rng().random_range(0..workers.len());
                let partition = workers[index].0;
                workers[index].1.abort();
                workers[index].1 = start(partition);
            }
        }
    }
    shared.stop.store(true, Ordering::SeqCst);
    for (_, worker) in workers {
        worker.await.expect("a worker ends by itself");
    }
    assert!(killed > 0, "the server killed no connection");
    verify(place, direct, &shared).await;
    println!(
        "{shared:?}, {killed} connections killed, {lives} lives, {} replies lost",
        proxy.done()
    );
}

/// Has the server kill the connections that are in this database; how many.
async fn kill(place: &Place<'_>) -> usize {
    let database = &place.database;
    let list = format!(
        "SELECT id FROM information_schema.processlist WHERE db = '{database}' AND id <> CONNECTION_ID()"
    );
    // MySQL can't always show the list: statements with bytes in them are in it.
    let Ok(ids) = place.try_ask(&list).await else { return 0 };
    // One may be gone by then.
    let kills: Vec<_> = ids.lines().map(|id| format!("KILL {id};")).collect();
    let mut count = 0;
    for kill in kills.iter().take(2) {
        count += usize::from(place.try_ask(kill).await.is_ok());
    }
    count
}

/// Row by row, by our scan and by the server's own client; and the ledgers without a gap.
pub async fn verify(place: &Place<'_>, table: &MysqlTable, shared: &Shared) {
    let mut sink = connect(table).await;
    let mut ends = Vec::new();
    let mut ranges = 0;
    for partition in 0..PARTITIONS {
        let last = last(&mut sink, partition).await;
        let at = crate::events::assignment(partition).at;
        let entries = sink.ledger(&at, 0, 1_000_000).await.unwrap();
        assert!(
            entries
                .windows(2)
                .all(|two| two[0].next() == two[1].start && two[0].seq + 1 == two[1].seq)
        );
        assert_eq!(entries.last(), Some(&last));
        ranges += entries.len() - 1;
        ends.push(last.next());
    }
    assert!(shared.committed() <= ranges, "{shared:?} and {ranges} ranges in the ledger");
    let expected = model(&table.about().keeping, &ends);
    assert_eq!(held(table).await, expected, "rows (left: seen) after {ends:?}");
    let name = table.about().table;
    let mut seen = place.lines(&format!("SELECT id, n FROM `{name}`")).await;
    seen.sort();
    let mut expected: Vec<_> = expected.iter().map(|(id, n)| format!("{id}\t{n}")).collect();
    expected.sort();
    assert_eq!(seen, expected, "what the server's client sees (left)");
}
