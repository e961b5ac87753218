use bytes::Bytes;

use super::{Place, value};
use crate::{Bounds, Cleanup, Outgoing, Record, Topic, partition_for_key};

pub(super) async fn ensure_leaves_an_existing_topic_as_it_is(place: &Place<'_>) {
    let backend = place.topic(3).await;
    let made = place.info(&backend).await;
    assert_eq!(made.name, place.topic_name());
    assert_eq!(made.cleanup, Cleanup::Delete);
    assert_eq!(made.partitions, vec![Bounds::default(); 3]);
    assert!(!made.id.is_empty() && !made.cluster.is_empty(), "{made:?} lacks an identity");

    place.append(&backend, 1, 0, 2).await;
    let again = place.open().ensure(&Topic::named(place.topic_name()).partitions(5)).await;
    let again = again.expect("ensure a topic that is there");
    assert_eq!((&again.id, &again.cluster), (&made.id, &made.cluster), "the identity changed");
    let ends: Vec<_> = again.partitions.iter().map(|bounds| (bounds.low, bounds.end)).collect();
    assert_eq!(ends, [(0, 0), (0, 2), (0, 0)]);

    let compacted = Topic::named(format!("{}.compacted", place.topic_name())).compacted();
    let compacted = backend.ensure(&compacted).await.expect("create a compacted topic");
    assert_eq!(compacted.cleanup, Cleanup::Compact);
    assert_ne!(compacted.id, made.id, "two topics have one id");
}

pub(super) async fn an_unknown_topic_has_no_info(place: &Place<'_>) {
    let info = place.open().info(&place.topic_name()).await.expect("look for an unknown topic");
    assert_eq!(info, None);
}

pub(super) async fn offsets_count_up_and_a_key_keeps_its_partition(place: &Place<'_>) {
    let backend = place.topic(3).await;
    let mut ends = [0; 3];
    for round in 0..3 {
        let keys: Vec<String> = (0..20).map(|key| format!("city {key}")).collect();
        let keyed = |key: &String| Outgoing::keyed(key.clone(), format!("round {round}"));
        let placed = backend.append(&place.topic_name(), keys.iter().map(keyed).collect()).await;
        let placed = placed.expect("append keyed records");
        assert_eq!(placed.len(), keys.len(), "an answer for each record");
        for (key, placed) in keys.iter().zip(placed) {
            assert_eq!(
                placed.partition,
                partition_for_key(key.as_bytes(), 3),
                "partition of {key}"
            );
            let end = &mut ends[placed.partition as usize];
            assert_eq!(placed.offset, *end, "offset of {key} in round {round}");
            *end += 1;
        }
    }
    let told: Vec<_> = place.info(&backend).await.partitions.iter().map(|it| it.end).collect();
    assert_eq!(told, ends);
    let none = backend.append(&place.topic_name(), Vec::new()).await.expect("append no records");
    assert!(none.is_empty());
}

pub(super) async fn keyless_records_go_where_they_are_told_or_anywhere(place: &Place<'_>) {
    let backend = place.topic(2).await;
    let told = Outgoing { partition: Some(1), ..Outgoing::keyed("k", "told") };
    let loose = Outgoing { value: Some(Bytes::from("loose")), ..Outgoing::default() };
    let records = vec![told, loose.clone(), loose];
    let placed =
        backend.append(&place.topic_name(), records).await.expect("append keyless records");
    assert_eq!((placed[0].partition, placed[0].offset), (1, 0));
    assert!(placed.iter().all(|placed| placed.partition < 2), "{placed:?}");
    let slice = backend.read(&place.at(placed[2].partition), placed[2].offset, 1).await;
    let record = &slice.expect("read a keyless record").records[0];
    assert_eq!((&record.key, &record.value), (&None, &Some(Bytes::from("loose"))));
}

pub(super) async fn what_is_written_is_read(place: &Place<'_>) {
    let backend = place.topic(1).await;
    let header = |name: &str, value: &[u8]| (name.to_owned(), Bytes::copy_from_slice(value));
    let big: Vec<u8> = (0..1_500_000_u32).map(|place| (place * 31 % 251) as u8).collect();
    let all: Vec<u8> = (0..=255).collect();
    let mut written = vec![
        Outgoing::keyed("plain", "text"),
        Outgoing { value: None, ..Outgoing::keyed("tombstone", "") },
        Outgoing::keyed("empty value", ""),
        Outgoing::keyed(all.clone(), all.clone()),
        Outgoing { key: None, ..Outgoing::keyed("", "keyless") },
        Outgoing::keyed("big", big),
        Outgoing {
            headers: vec![
                header("a", &all),
                header("a", b"again"),
                header("", b""),
                header("ü", b""),
            ],
            ..Outgoing::keyed("headers", "x")
        },
    ];
    for (place, record) in written.iter_mut().enumerate() {
        record.timestamp_ms = Some(1_600_000_000_000 + place as i64);
    }
    backend.append(&place.topic_name(), written.clone()).await.expect("append all sorts");
    let mut read = Vec::new();
    while read.len() < written.len() {
        let slice = place.open().read(&place.at(0), read.len() as i64, 100).await;
        let slice = slice.expect("read all sorts");
        assert!(!slice.records.is_empty(), "{} of {} records read", read.len(), written.len());
        read.extend(slice.records);
    }
    for (offset, (read, written)) in read.into_iter().zip(written).enumerate() {
        let name = String::from_utf8_lossy(written.key.as_deref().unwrap_or_default()).into_owned();
        assert_eq!(read.offset, offset as i64, "offset of {name}");
        assert_eq!(Some(read.timestamp_ms), written.timestamp_ms, "timestamp of {name}");
        assert_eq!(read.key, written.key, "key of {name}");
        assert!(read.value == written.value, "value of {name} differs");
        assert_eq!(read.headers, written.headers, "headers of {name}");
    }
}

pub(super) async fn a_partition_keeps_the_order(place: &Place<'_>) {
    let backend = place.topic(2).await;
    for first in (0..100).step_by(10) {
        place.append(&backend, 0, first, 10).await;
    }
    let (mut read, mut next) = (Vec::new(), 0);
    while read.len() < 100 {
        let slice = backend.read(&place.at(0), next, 7).await.expect("read seven records");
        assert!(
            (1..=7).contains(&slice.records.len()),
            "{} records at {next}",
            slice.records.len()
        );
        assert_eq!(slice.end, 100);
        next = slice.next;
        read.extend(slice.records);
    }
    for (number, record) in read.iter().enumerate() {
        assert_eq!((record.offset, &record.value), (number as i64, &value(number)));
    }
}

pub(super) async fn read_starts_anywhere(place: &Place<'_>) {
    let backend = place.topic(2).await;
    place.append(&backend, 0, 0, 10).await;
    let cases = [(-3, 2, vec![0, 1], 2), (4, 3, vec![4, 5, 6], 7), (8, 9, vec![8, 9], 10)];
    for (from, max, offsets, next) in cases {
        let slice = backend.read(&place.at(0), from, max).await.expect("read a stretch");
        let read: Vec<_> = slice.records.iter().map(|record| record.offset).collect();
        assert_eq!((read, slice.next, slice.end), (offsets, next, 10), "read from {from}, {max}");
    }
    let at_end = backend.read(&place.at(0), 10, 5).await.expect("read at the end");
    assert_eq!((at_end.records.len(), at_end.next, at_end.end), (0, 10, 10));
    let empty = backend.read(&place.at(1), 0, 5).await.expect("read an empty partition");
    assert_eq!((empty.records.len(), empty.next, empty.end), (0, 0, 0));
}

pub(super) async fn a_compacted_topic_takes_tombstones_and_refuses_records_without_key(
    place: &Place<'_>,
) {
    let backend = place.open();
    let topic = Topic::named(place.topic_name()).partitions(1).compacted();
    backend.ensure(&topic).await.expect("create a compacted topic");
    let tombstone = Outgoing { value: None, ..Outgoing::keyed("a", "") };
    let records = vec![Outgoing::keyed("a", "1"), Outgoing::keyed("b", "2"), tombstone];
    backend.append(&place.topic_name(), records).await.expect("append keyed records");

    let keyless = Outgoing { key: None, ..Outgoing::keyed("", "3") };
    let mixed = vec![Outgoing::keyed("c", "3"), keyless];
    let refused = backend.append(&place.topic_name(), mixed).await;
    let refused = refused.expect_err("append a record without key");
    assert!(!refused.is_retryable(), "no retry gives the record a key: {refused:?}");
    assert!(refused.to_string().contains("key"), "{refused}");

    // Whatever became of the one that came with it: reading goes on, and the newest of each key is there.
    let slice = backend.read(&place.at(0), 0, 10).await.expect("read a compacted topic");
    let newest = |key: &str| {
        let of_key = |record: &&Record| record.key.as_deref() == Some(key.as_bytes());
        slice.records.iter().rfind(of_key).map(|record| (record.offset, record.value.clone()))
    };
    assert_eq!(newest("a"), Some((2, None)));
    assert_eq!(newest("b"), Some((1, Some(Bytes::from("2")))));
    assert!(slice.records.iter().all(|record| record.key.is_some()), "{slice:?}");
}
