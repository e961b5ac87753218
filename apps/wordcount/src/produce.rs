//! Sends a file, entry by entry, over and over.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use futures::future::{BoxFuture, FutureExt};
use millstream_app::Produce;
use millstream_sources::{FileReplay, Format, Outlet};

use crate::event::records;
use crate::pipeline::KPMG_TOPIC;

const POEMS: &[u8] = include_bytes!("../data/poems.txt");

/// See [`millstream_app::App::produce`].
pub fn produce(task: Produce) -> BoxFuture<'static, Result<()>> {
    run(task).boxed()
}

async fn run(task: Produce) -> Result<()> {
    if task.options.url.is_some() {
        bail!("wordcount reads a file, not a URL; fetch it first and give it with --file");
    }
    let file = file(&task)?;
    if file.is_none() {
        (task.notice)(
            "sending the bundled poems; --file FILE sends a text or a JSON file of yours",
        );
    }
    // Opened before the topic: a mistyped name is told at once.
    let mut first = Some(open(file.as_ref())?);
    let mut outlet = task.outlet(&KPMG_TOPIC, task.pace()?).await?;
    loop {
        let entries = match first.take() {
            Some(entries) => entries,
            None => open(file.as_ref())?,
        };
        let passed = pass(entries, &mut outlet).await;
        // Also after an error: what was read before it counts.
        outlet.flush().await.context("send the last records")?;
        let goes_on = passed?;
        if task.options.once || !goes_on {
            return Ok(());
        }
    }
}

/// Sends every entry. `false`: stopped, or the limit is reached.
async fn pass(mut entries: FileReplay, outlet: &mut Outlet) -> Result<bool> {
    let mut empty = true;
    while let Some(entry) = entries.next().await? {
        empty = false;
        for record in records(entry).context("split a record into lines")? {
            if outlet.send(record).await?.is_break() {
                return Ok(false);
            }
        }
    }
    if empty {
        bail!("the file holds nothing to count; give another one with --file");
    }
    Ok(true)
}

/// `None`: the bundled text.
fn file(task: &Produce) -> Result<Option<PathBuf>> {
    if let Some(file) = &task.options.file {
        return Ok(Some(file.clone()));
    }
    let set: PathBuf = task.settings.section("text.file")?;
    Ok((!set.as_os_str().is_empty()).then_some(set))
}

fn open(file: Option<&PathBuf>) -> Result<FileReplay> {
    Ok(match file {
        Some(file) => FileReplay::open(file)?,
        None => FileReplay::bundled("the bundled poems", POEMS, Format::Text)?,
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;
    use std::time::Duration;

    use millstream_app::{ProduceOptions, Rate, Sent};
    use millstream_config::Settings;
    use millstream_topic::memory::Memory;
    use millstream_topic::{Backend, TopicPartition};
    use tokio_util::sync::CancellationToken;

    use super::*;

    fn task(options: ProduceOptions) -> Produce {
        Produce {
            settings: Settings::load("wordcount", crate::APP.defaults, None, []).unwrap(),
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

    async fn records(topics: &dyn Backend) -> usize {
        let mut records = 0;
        for partition in 0..2 {
            let at = TopicPartition::new("kpmg_topic", partition);
            records += topics.read(&at, 0, usize::MAX).await.unwrap().records.len();
        }
        records
    }

    async fn run_to_end(task: &Produce) -> Result<usize> {
        let ended = tokio::time::timeout(Duration::from_secs(20), produce(task.clone()));
        ended.await.context("took too long")??;
        Ok(records(&*task.topics).await)
    }

    fn once(file: Option<&Path>) -> ProduceOptions {
        ProduceOptions { once: true, file: file.map(Path::to_owned), ..ProduceOptions::default() }
    }

    #[tokio::test]
    async fn once_sends_every_line_of_the_poems_and_counts_them() {
        let lines = str::from_utf8(POEMS).unwrap().lines().filter(|line| !line.is_empty()).count();
        assert!(lines >= 150, "{lines} lines");
        let task = task(once(None));
        assert_eq!(run_to_end(&task).await.unwrap(), lines);
        assert_eq!(task.sent.get(), lines as u64);
    }

    #[tokio::test]
    async fn it_goes_on_from_the_start_until_the_limit() {
        let limit = Some(1_000);
        let task = task(ProduceOptions { limit, ..ProduceOptions::default() });
        assert_eq!(run_to_end(&task).await.unwrap(), 1_000);
    }

    #[tokio::test]
    async fn a_stop_ends_it() {
        let task = task(ProduceOptions::default());
        let stop = task.stop.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(50)).await;
            stop.cancel();
        });
        let sent = run_to_end(&task).await.unwrap();
        assert_eq!(sent as u64, task.sent.get());
    }

    #[tokio::test]
    async fn what_was_before_a_broken_record_is_sent() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("half.json");
        std::fs::write(&file, "[\"one\", \"two\", {]").unwrap();
        let task = task(once(Some(&file)));
        let error = format!("{:#}", run_to_end(&task).await.unwrap_err());
        assert!(error.contains("half.json") && error.contains("line 1"), "{error}");
        assert_eq!(records(&*task.topics).await, 2);
    }

    #[tokio::test]
    async fn what_cannot_be_sent_is_named_with_the_remedy() {
        let directory = tempfile::tempdir().unwrap();
        let (empty, missing) =
            (directory.path().join("empty.txt"), directory.path().join("no.txt"));
        std::fs::write(&empty, "\n\n").unwrap();
        let url = ProduceOptions { url: Some("http://h/".to_owned()), ..ProduceOptions::default() };
        let cases = [
            (once(Some(&empty)), "nothing to count"),
            (once(Some(&missing)), "no.txt"),
            (url, "URL"),
        ];
        for (options, words) in cases {
            let error = format!("{:#}", run_to_end(&task(options)).await.unwrap_err());
            assert!(error.contains(words) && error.contains("--file"), "{error}");
        }
    }
}
