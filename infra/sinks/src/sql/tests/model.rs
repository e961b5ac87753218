//! Whatever the ranges' limits and the order in which partitions come: the table holds what a map would.

use std::collections::BTreeMap;

use bytes::Bytes;
use millstream_engine::Delete;
use proptest::prelude::*;

use super::*;

/// One record: its partition, key, value (`None`: a tombstone), and whether a range ends after it.
#[derive(Clone, Debug)]
struct Event {
    partition: u32,
    key: u8,
    value: Option<i64>,
    roll: bool,
    /// The range is sent once more, as after a lost reply.
    again: bool,
}

fn events(tombstones: bool) -> impl Strategy<Value = Vec<Event>> {
    let value = if tombstones {
        prop::option::weighted(0.8, -9..9_i64).boxed()
    } else {
        (-9..9_i64).prop_map(Some).boxed()
    };
    let event = (0..2_u32, 0..6_u8, value, prop::bool::weighted(0.3), prop::bool::weighted(0.2));
    let event = event.prop_map(|(partition, key, value, roll, again)| Event {
        partition,
        key,
        value,
        roll,
        again,
    });
    prop::collection::vec(event, 1..60)
}

/// Versions ascend within a partition; those of partition 1 are behind, so that old writes come late.
fn version(event: &Event, n: usize) -> i64 {
    let n = n as i64 * 2;
    if event.partition == 0 { n } else { n / 2 * 2 - 21 }
}

/// Writes the events in the ranges they say, and tells what the table holds then.
async fn run(table: &SqlTable, events: &[Event]) -> BTreeMap<String, Option<i64>> {
    let mut sink = connect(table).await;
    let mut open: [Vec<(usize, &Event)>; 2] = Default::default();
    for (n, event) in events.iter().enumerate() {
        let partition = event.partition as usize;
        open[partition].push((n, event));
        if event.roll {
            commit(&mut sink, &std::mem::take(&mut open[partition]), event.again).await;
        }
    }
    for events in open {
        commit(&mut sink, &events, false).await;
    }
    let mut held = BTreeMap::new();
    let mut visit = |batch: RecordBatch| {
        let ids = batch.column(0).as_string::<i32>();
        let ns = batch.column(1).as_primitive::<Int64Type>();
        held.extend(ids.iter().map(|id| id.unwrap().to_owned()).zip(ns.iter()));
        Ok(())
    };
    table.scan(PIPELINE, &mut visit).await.unwrap();
    held
}

async fn commit(sink: &mut Box<dyn Sink>, events: &[(usize, &Event)], again: bool) {
    let Some((_, first)) = events.first() else { return };
    let ours = conformance::assignment(PIPELINE, first.partition);
    let after = sink.open(&ours).await.unwrap().entry().clone();
    let keys: Vec<_> = events.iter().map(|(_, event)| format!("k{}", event.key)).collect();
    let puts = events
        .iter()
        .zip(&keys)
        .filter_map(|((n, event), key)| Some((key.as_str(), event.value?, version(event, *n))));
    let mut range = range(&after, rows(&puts.collect::<Vec<_>>()));
    let gone = events.iter().zip(&keys).filter(|((_, event), _)| event.value.is_none());
    range.deletes = gone
        .map(|((n, event), key)| Delete {
            key: Bytes::copy_from_slice(key.as_bytes()),
            version: version(event, *n),
        })
        .collect();
    assert_eq!(sink.commit(&ours, &range).await.unwrap(), Outcome::Committed);
    if again {
        assert_eq!(sink.commit(&ours, &range).await.unwrap(), Outcome::Superseded);
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn upserts_hold_what_a_map_would(events in events(true)) {
        let mut latest: BTreeMap<String, (i64, Option<i64>)> = BTreeMap::new();
        for (n, event) in events.iter().enumerate() {
            let (key, version) = (format!("k{}", event.key), version(event, n));
            if latest.get(&key).is_none_or(|(there, _)| version > *there) {
                latest.insert(key, (version, event.value));
            }
        }
        let model: BTreeMap<_, _> =
            latest.into_iter().filter_map(|(key, (_, value))| Some((key, Some(value?)))).collect();
        let place = Place::new();
        prop_assert_eq!(block_on(run(&place.upsert("t"), &events)), model);
    }

    #[test]
    fn counts_hold_what_a_map_would(events in events(false)) {
        let mut model: BTreeMap<String, Option<i64>> = BTreeMap::new();
        for event in &events {
            let sum = model.entry(format!("k{}", event.key)).or_insert(Some(0));
            *sum = sum.zip(event.value).map(|(sum, value)| sum + value);
        }
        let place = Place::new();
        prop_assert_eq!(block_on(run(&place.count("t"), &events)), model);
    }
}
