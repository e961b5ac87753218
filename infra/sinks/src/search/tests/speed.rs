//! How quick it is with 40,000 rows; prints, and asserts nothing. Run by hand:
//! `cargo test -p millstream-sinks --lib search::tests::speed -- --ignored --nocapture`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::world::{Row, World, put, rows};
use super::*;

const ROWS: usize = 40_000;
const AT_ONCE: usize = 50;
const EACH: usize = 40;

/// The same numbers for ever.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % most
    }
}

const WORDS: [&str; 24] = [
    "infusion",
    "pump",
    "catheter",
    "sterile",
    "surgical",
    "stapler",
    "implant",
    "orthopedic",
    "screw",
    "defibrillator",
    "lead",
    "syringe",
    "needle",
    "ventilator",
    "monitor",
    "glucose",
    "test",
    "strip",
    "pacemaker",
    "battery",
    "dialysis",
    "tubing",
    "software",
    "version",
];

fn text(dice: &mut Dice, words: usize) -> String {
    let word = |dice: &mut Dice| match dice.below(5) {
        0 => format!("model{}", dice.below(9_000)),
        _ => WORDS[dice.below(WORDS.len())].to_owned(),
    };
    (0..words).map(|_| word(dice)).collect::<Vec<_>>().join(" ")
}

fn generated() -> Vec<[String; 6]> {
    let dice = &mut Dice(7);
    let row = |n: usize| {
        [
            format!("Z-{:04}-{}", n % 4_000, 2005 + n / 4_000),
            format!("{} {} Inc.", text(dice, 1), dice.below(3_000)),
            text(dice, 30),
            format!("Class {}", "I".repeat(1 + dice.below(3))),
            format!("20{:02}{:02}{:02}", dice.below(25), 1 + dice.below(12), 1 + dice.below(28)),
            (0..40).map(|_| format!("LOT{} ", dice.below(10_000_000))).collect(),
        ]
    };
    (0..ROWS).map(row).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures, for half a minute"]
async fn forty_thousand_rows() {
    let world = World::new();
    let made = generated();
    let made: Vec<Row<'_>> =
        made.iter().map(|row| std::array::from_fn(|n| row[n].as_str())).collect();
    let parts: Vec<_> = made.chunks(8_192).map(|part| rows(part, 1)).collect();
    let mut sink = world.sink().await;
    let since = Instant::now();
    put(&mut sink, 0, parts, vec![]).await;
    println!("filled {ROWS} rows in {:?}", since.elapsed());
    let again: Vec<_> = made.chunks(8_192).map(|part| rows(part, 100_000)).collect();
    let since = Instant::now();
    put(&mut sink, 0, again, vec![]).await;
    println!("replaced {ROWS} rows in {:?}", since.elapsed());

    let reader = Arc::new(world.reader());
    let since = Instant::now();
    println!("{:?} after {:?}", reader.state().await.unwrap(), since.elapsed());
    let since = Instant::now();
    reader.suggest("a", 8).await.unwrap();
    println!("suggestions gathered in {:?}", since.elapsed());

    at_once("suggest", &reader, async |reader: &SearchReader, n| {
        let words = [
            "inf",
            "z-00",
            "pump mod",
            "m",
            "cath",
            "surgical st",
            "model12",
            "z-1234-20",
            "vent",
            "s",
        ];
        let typed = format!("{}{}", words[n % words.len()], if n % 3 == 0 { "" } else { "e" });
        reader.suggest(&typed, 8).await.unwrap();
    })
    .await;
    at_once("full text", &reader, async |reader: &SearchReader, n| {
        let dice = &mut Dice(n as u64);
        let facets = vec!["class".to_owned()];
        let query = Query { text: text(dice, 1 + n % 3), limit: 20, facets, ..Query::default() };
        reader.search(&query).await.unwrap();
    })
    .await;
    at_once("typos", &reader, async |reader: &SearchReader, n| {
        let text = format!("cathetr{} pmup", ["a", "b", "", "s"][n % 4]);
        let query = Query { text, offset: n, limit: 20, ..Query::default() };
        reader.search(&query).await.unwrap();
    })
    .await;
    at_once("deep, sorted", &reader, async |reader: &SearchReader, n| {
        let sort = Sort::Newest("date".to_owned());
        let query = Query { sort, offset: 19 * n, limit: 20, ..Query::default() };
        reader.search(&query).await.unwrap();
    })
    .await;
}

/// Asks from many tasks at once, and prints the percentiles.
async fn at_once<F>(what: &str, reader: &Arc<SearchReader>, ask: F)
where
    F: AsyncFn(&SearchReader, usize),
{
    let ask = &ask;
    let tasks = (0..AT_ONCE).map(|task| async move {
        let mut took = Vec::new();
        for n in 0..EACH {
            let since = Instant::now();
            ask(reader, task * EACH + n).await;
            took.push(since.elapsed());
        }
        took
    });
    let since = Instant::now();
    let mut took: Vec<Duration> =
        futures::future::join_all(tasks).await.into_iter().flatten().collect();
    took.sort();
    let at = |part: usize| took[took.len() * part / 100];
    println!(
        "{what}: {} in {:?}; p50 {:?}, p99 {:?}, longest {:?}",
        took.len(),
        since.elapsed(),
        at(50),
        at(99),
        took[took.len() - 1]
    );
}
