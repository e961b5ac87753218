//! Sends made-up users.

use anyhow::{Context, Result, bail};
use chrono::{Datelike, Utc};
use futures::future::{BoxFuture, FutureExt};
use millstream_app::Produce;
use millstream_sources::{generate, seeded};
use serde::Deserialize;

use crate::people;
use crate::pipeline::REGISTERED_USER;

#[derive(Deserialize)]
struct Generate {
    seed: u64,
    count: u64,
}

/// See [`millstream_app::App::produce`].
pub fn produce(task: Produce) -> BoxFuture<'static, Result<()>> {
    run(task).boxed()
}

async fn run(task: Produce) -> Result<()> {
    if task.options.url.is_some() || task.options.file.is_some() {
        bail!("users are made up, so there is nothing to read; leave out --file and --url");
    }
    let Generate { seed, count } = task.settings.section("generate")?;
    let mut outlet = task.outlet(&REGISTERED_USER, task.pace()?).await?;
    let mut rng = seeded(seed);
    let this_year = Utc::now().year();
    let count = task.options.once.then_some(count);
    let make = || people::user(&mut rng, this_year).record();
    generate(&mut outlet, count, make).await.context("send users")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::Arc;
    use std::time::Duration;

    use millstream_app::{ProduceOptions, Rate, Sent};
    use millstream_config::Settings;
    use millstream_topic::TopicPartition;
    use millstream_topic::memory::Memory;
    use tokio_util::sync::CancellationToken;

    use super::*;

    fn task(options: ProduceOptions) -> Produce {
        let mut settings = Settings::load("users", crate::APP.defaults, None, []).unwrap();
        settings.set("generate.seed", 7).unwrap();
        Produce {
            settings,
            topics: Arc::new(Memory::new()),
            // Of no use to this producer.
            stores: millstream_sinks::Stores::open(
                &millstream_sinks::Urls::embedded(),
                "".as_ref(),
            )
            .unwrap(),
            options: ProduceOptions { rate: Some(Rate::Max), ..options },
            stop: CancellationToken::new(),
            sent: Sent::default(),
            notice: |_| {},
        }
    }

    /// The records' values, by partition.
    async fn sent(options: ProduceOptions) -> Vec<Vec<Vec<u8>>> {
        let task = task(options);
        tokio::time::timeout(Duration::from_secs(20), produce(task.clone()))
            .await
            .unwrap()
            .unwrap();
        let mut partitions = vec![];
        for partition in 0..REGISTERED_USER.partitions {
            let at = TopicPartition::new("registered_user_2", partition);
            let slice = task.topics.read(&at, 0, usize::MAX).await.unwrap();
            let values = slice.records.into_iter().filter_map(|record| record.value);
            partitions.push(values.map(|value| value.to_vec()).collect());
        }
        partitions
    }

    #[tokio::test]
    async fn once_sends_as_many_as_set_and_the_partitions_share_them() {
        let once = || ProduceOptions { once: true, ..ProduceOptions::default() };
        let partitions = sent(once()).await;
        assert_eq!(partitions.iter().map(Vec::len).sum::<usize>(), 10_000);
        assert!(partitions.iter().all(|records| records.len() > 2_000), "a lopsided share");
        assert_eq!(partitions, sent(once()).await, "the seed gave other users");
    }

    #[tokio::test]
    async fn the_limit_ends_it() {
        let users = sent(ProduceOptions { limit: Some(50), ..ProduceOptions::default() }).await;
        assert_eq!(users.into_iter().flatten().collect::<HashSet<_>>().len(), 50);
    }

    #[tokio::test]
    async fn there_is_nothing_to_read() {
        let file = Some("users.txt".into());
        let error = produce(task(ProduceOptions { file, ..ProduceOptions::default() })).await;
        assert!(error.unwrap_err().to_string().contains("leave out --file"));
    }
}
