use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::member::{Deadline, Member};
use super::{DEADLINE, Place, QUIET, value};
use crate::{Bounds, Order, Outgoing};

pub(super) async fn nothing_comes_before_the_seek(place: &Place<'_>) {
    let backend = place.topic(2).await;
    place.append(&backend, 0, 0, 5).await;
    let mut member = Member::join(place, &*backend, &place.group(""), None).await;
    member.until_assigned(2).await;
    member.during(QUIET).await;
    assert!(member.records.is_empty() && member.ends.is_empty(), "delivered before the first seek");

    member.steer(Order::Seek(place.at(0), 2));
    member.until_end(&place.at(0), 5).await;
    assert_eq!(member.offsets(&place.at(0)), [2, 3, 4]);
    assert_eq!(member.of(&place.at(0))[0].value, value(2));
    assert!(member.ends_of(&place.at(1)).is_empty(), "told the end of a partition not yet started");

    member.steer(Order::Seek(place.at(1), 0));
    member.until_end(&place.at(1), 0).await;
}

pub(super) async fn the_end_is_told_each_time_it_is_reached(place: &Place<'_>) {
    let backend = place.topic(1).await;
    let at = place.at(0);
    let mut member = Member::join(place, &*backend, &place.group(""), Some(0)).await;
    member.until_end(&at, 0).await;
    for end in [3, 6] {
        place.append(&backend, 0, end - 3, 3).await;
        member.until_end(&at, end as i64).await;
        member.during(QUIET).await;
    }
    // Two of the three records may have been seen before the third: an end in between is told too.
    let ends = member.ends_of(&at);
    let twice = ends.windows(2).find(|pair| pair[0] >= pair[1]);
    assert_eq!(twice, None, "an end was told again; {} were told", ends.len());
    assert_eq!(member.offsets(&at), [0, 1, 2, 3, 4, 5]);
}

pub(super) async fn a_paused_partition_is_silent(place: &Place<'_>) {
    let backend = place.topic(2).await;
    let (paused, other) = (place.at(0), place.at(1));
    let mut member = Member::join(place, &*backend, &place.group(""), Some(0)).await;
    member.until_end(&paused, 0).await;
    member.steer(Order::Pause(paused.clone()));
    place.append(&backend, 0, 0, 3).await;
    place.append(&backend, 1, 0, 3).await;
    member.until_records(&other, 3).await;
    member.during(QUIET).await;
    assert!(member.of(&paused).is_empty(), "a paused partition delivered");
    member.steer(Order::Resume(paused.clone()));
    member.until_end(&paused, 3).await;
    assert_eq!(member.offsets(&paused), [0, 1, 2]);
}

pub(super) async fn a_seek_back_delivers_again(place: &Place<'_>) {
    let backend = place.topic(1).await;
    let at = place.at(0);
    place.append(&backend, 0, 0, 10).await;
    let mut member = Member::join(place, &*backend, &place.group(""), Some(0)).await;
    member.until_end(&at, 10).await;
    assert_eq!(member.offsets(&at), (0..10).collect::<Vec<_>>());
    member.records.clear();
    member.ends.clear();
    member.steer(Order::Seek(at.clone(), 4));
    member.until_end(&at, 10).await;
    assert_eq!(member.offsets(&at), (4..10).collect::<Vec<_>>());
}

pub(super) async fn a_commit_is_taken_and_the_member_can_come_back(place: &Place<'_>) {
    let backend = place.topic(2).await;
    place.append(&backend, 0, 0, 4).await;
    let mut member = Member::join(place, &*backend, &place.group(""), Some(0)).await;
    member.until_assigned(2).await;
    member.until_end(&place.at(0), 4).await;
    member.commit(&[(place.at(0), 2), (place.at(1), 0)]).await;
    member.commit(&[(place.at(0), 4)]).await;
    drop(member);
    // Where we start is ours to say, whatever was committed.
    let mut member = Member::join(place, &*backend, &place.group(""), Some(1)).await;
    member.until_end(&place.at(0), 4).await;
    assert_eq!(member.offsets(&place.at(0)), [1, 2, 3]);
}

pub(super) async fn a_second_member_takes_over(place: &Place<'_>) {
    let backend = place.topic(2).await;
    place.append(&backend, 0, 0, 3).await;
    place.append(&backend, 1, 0, 3).await;
    let mut first = Member::join(place, &*backend, &place.group(""), Some(0)).await;
    first.until_assigned(2).await;
    let other = place.open();
    let mut second = Member::join(place, &*other, &place.group(""), Some(0)).await;
    let deadline = Deadline::after(DEADLINE);
    while second.standby.is_none() && second.owned.is_empty() {
        assert!(!deadline.is_past(), "the second member neither stands by nor gets a share");
        first.poll(Duration::from_millis(50)).await;
        second.poll(Duration::from_millis(50)).await;
        let both: Vec<_> = first.owned.intersection(&second.owned).collect();
        assert!(both.is_empty(), "{both:?} belong to two members");
    }
    drop(first);
    second.until_assigned(2).await;
    for partition in [0, 1] {
        second.until_end(&place.at(partition), 3).await;
        assert_eq!(second.offsets(&place.at(partition)), [0, 1, 2]);
    }
}

pub(super) async fn every_group_gets_everything(place: &Place<'_>) {
    let backend = place.topic(1).await;
    place.append(&backend, 0, 0, 3).await;
    let mut one = Member::join(place, &*backend, &place.group("1"), Some(0)).await;
    let mut two = Member::join(place, &*backend, &place.group("2"), Some(0)).await;
    one.until_end(&place.at(0), 3).await;
    two.until_end(&place.at(0), 3).await;
    assert_eq!(one.of(&place.at(0)), two.of(&place.at(0)));
    assert_eq!(one.offsets(&place.at(0)), [0, 1, 2]);
}

pub(super) async fn another_handles_records_arrive_soon(place: &Place<'_>) {
    let backend = place.topic(1).await;
    let mut member = Member::join(place, &*backend, &place.group(""), Some(0)).await;
    member.until_end(&place.at(0), 0).await;
    let (other, at) = (place.open(), place.at(0));
    place.append(&other, 0, 0, 1).await;
    let appended = Instant::now();
    let later = async {
        sleep(QUIET).await;
        place.append(&other, 0, 1, 1).await;
    };
    // The second record comes while the member is already waiting.
    tokio::join!(member.until_records(&at, 2), later);
    let took = appended.elapsed();
    // At once; a machine that runs tests may stand still for a while.
    assert!(took < QUIET + Duration::from_secs(20), "new records took {took:?}");
}

pub(super) async fn an_offset_beyond_the_end_is_out_of_range(place: &Place<'_>) {
    let backend = place.topic(1).await;
    let at = place.at(0);
    place.append(&backend, 0, 0, 5).await;
    let mut member = Member::join(place, &*backend, &place.group(""), Some(100)).await;
    member.until("out of range", |member| !member.out_of_range.is_empty()).await;
    assert_eq!(member.out_of_range, [(at.clone(), 100, Bounds { low: 0, end: 5 })]);
    member.during(QUIET).await;
    assert!(member.of(&at).is_empty(), "delivered {:?} though asked for 100", member.offsets(&at));
    assert_eq!(member.out_of_range.len(), 1, "told more than once");
    member.steer(Order::Seek(at.clone(), 3));
    member.until_end(&at, 5).await;
    assert_eq!(member.offsets(&at), [3, 4]);
}

pub(super) async fn many_records_come_exactly_once(place: &Place<'_>) {
    let backend = place.topic(4).await;
    for batch in 0..10 {
        let keyed = |number| Outgoing::keyed(format!("{batch}.{number}"), vec![b'x'; 100]);
        let records = (0..1_000).map(keyed).collect();
        backend.append(&place.topic_name(), records).await.expect("append a thousand records");
    }
    let mut member = Member::join(place, &*backend, &place.group(""), Some(0)).await;
    let bounds = place.info(&backend).await.partitions;
    assert_eq!(bounds.iter().map(|bounds| bounds.end).sum::<i64>(), 10_000);
    for (partition, bounds) in (0..).zip(bounds) {
        member.until_end(&place.at(partition), bounds.end).await;
        let expected: Vec<_> = (0..bounds.end).collect();
        assert_eq!(member.offsets(&place.at(partition)), expected, "partition {partition}");
    }
}
