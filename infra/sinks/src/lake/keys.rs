//! Names of a lake's objects (docs/guarantees.md, lake).

use millstream_engine::SinkError;
use millstream_engine::ledger::Entry;
use millstream_topic::TopicPartition;

/// All that is not data.
pub(super) const LEDGERS: &str = "_millstream";

const CHECKPOINTS: &str = "checkpoints/";

/// What was written to try out the store, and means nothing.
pub(super) const PROBES: &str = "_millstream/probe/";

/// Names under [`LEDGERS`] that are no pipeline's.
const RESERVED: [&str; 4] = ["columns", "pipelines", "probe", "tables"];

/// Prefix of all ledgers of a pipeline.
pub(super) fn pipeline(pipeline: &str) -> String {
    format!("{LEDGERS}/{pipeline}/")
}

/// Prefix of one partition's ledger.
pub(super) fn partition(pipeline: &str, at: &TopicPartition) -> String {
    format!("{LEDGERS}/{pipeline}/{}/{}/", at.topic, at.partition)
}

/// The partition that a key under [`pipeline`] belongs to.
pub(super) fn partition_of(prefix: &str, key: &str) -> Option<TopicPartition> {
    let mut parts = key.strip_prefix(prefix)?.split('/');
    let (topic, partition) = (parts.next()?, parts.next()?);
    Some(TopicPartition::new(topic, partition.parse().ok()?))
}

/// What comes before every key of `seq` and after every key of the ranges before it.
pub(super) fn before_seq(prefix: &str, seq: u64) -> String {
    format!("{prefix}{seq:020}")
}

/// The plan of a try.
pub(super) fn plan(prefix: &str, seq: u64, attempt: u32) -> String {
    format!("{prefix}{seq:020}.{attempt}.plan")
}

/// How a try ended.
pub(super) fn end(prefix: &str, seq: u64, attempt: u32) -> String {
    format!("{prefix}{seq:020}.{attempt}.end")
}

/// A plan's or end's key, read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TryKey {
    pub seq: u64,
    pub attempt: u32,
    pub is_end: bool,
}

/// `None`: something else, a checkpoint for example.
pub(super) fn parse_try(prefix: &str, key: &str) -> Option<TryKey> {
    let mut parts = key.strip_prefix(prefix)?.splitn(3, '.');
    let seq = parts.next().filter(|seq| seq.len() == 20)?.parse().ok()?;
    let attempt = parts.next()?.parse().ok()?;
    let is_end = match parts.next()? {
        "plan" => false,
        "end" => true,
        _ => return None,
    };
    Some(TryKey { seq, attempt, is_end })
}

/// Prefix of a partition's checkpoints.
pub(super) fn checkpoints(prefix: &str) -> String {
    format!("{prefix}{CHECKPOINTS}")
}

/// The checkpoint that reaches to `seq`: listings show the newest first.
pub(super) fn checkpoint(prefix: &str, seq: u64) -> String {
    format!("{prefix}{CHECKPOINTS}{:020}", u64::MAX - seq)
}

/// The `seq` a checkpoint reaches to.
pub(super) fn parse_checkpoint(prefix: &str, key: &str) -> Option<u64> {
    let name = key.strip_prefix(prefix)?.strip_prefix(CHECKPOINTS)?;
    Some(u64::MAX - name.parse::<u64>().ok()?)
}

/// Prefix of the table records.
pub(super) fn tables() -> String {
    format!("{LEDGERS}/tables/")
}

/// The record of a table.
pub(super) fn table(table: &str) -> String {
    format!("{LEDGERS}/tables/{table}.json")
}

/// Prefix of what later schemas added to a table.
pub(super) fn additions(table: &str) -> String {
    format!("{LEDGERS}/columns/{table}/")
}

/// The `n`th addition.
pub(super) fn addition(table: &str, n: usize) -> String {
    format!("{LEDGERS}/columns/{table}/{n:06}.json")
}

/// Says which table a pipeline writes.
pub(super) fn binding(pipeline: &str) -> String {
    format!("{LEDGERS}/pipelines/{pipeline}.json")
}

/// A data file. `hive` is empty or ends with a slash.
pub(super) fn data(
    table: &str,
    hive: &str,
    at: &TopicPartition,
    entry: &Entry,
    attempt: u32,
    suffix: &str,
) -> String {
    let Entry { seq, start, end, .. } = entry;
    format!("{table}/{hive}{at}-{start}-{end}.{seq}.{attempt}.{suffix}")
}

/// Refuses names of tables and pipelines that would not make good paths.
pub(super) fn check_name(what: &str, name: &str) -> Result<(), SinkError> {
    let legal = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let fine = name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(legal)
        && !RESERVED.contains(&name);
    if fine {
        return Ok(());
    }
    Err(SinkError::refused(
        format!("use {what} {name:?} in the lake"),
        format!(
            "a {what}'s name begins with a letter or digit, has only a-z A-Z 0-9 . _ - and is none of {}",
            RESERVED.join(", ")
        ),
        format!("rename the {what}"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREFIX: &str = "_millstream/app.p/topic/3/";

    #[test]
    fn keys_are_as_designed() {
        let at = TopicPartition::new("topic", 3);
        assert_eq!(partition("app.p", &at), PREFIX);
        assert_eq!(plan(PREFIX, 7, 0), format!("{PREFIX}00000000000000000007.0.plan"));
        assert_eq!(end(PREFIX, 7, 12), format!("{PREFIX}00000000000000000007.12.end"));
        assert_eq!(partition_of("_millstream/app.p/", &plan(PREFIX, 7, 0)), Some(at));
    }

    #[test]
    fn keys_are_read_back() {
        for is_end in [false, true] {
            let key = if is_end { end(PREFIX, 7, 12) } else { plan(PREFIX, 7, 12) };
            assert_eq!(parse_try(PREFIX, &key), Some(TryKey { seq: 7, attempt: 12, is_end }));
        }
        for key in ["x", "7.0.plan", "checkpoints/00000000000000000001"] {
            assert_eq!(parse_try(PREFIX, &format!("{PREFIX}{key}")), None, "{key}");
        }
        assert_eq!(parse_checkpoint(PREFIX, &checkpoint(PREFIX, 7)), Some(7));
    }

    #[test]
    fn listings_show_newer_checkpoints_first_and_nothing_before_a_seq() {
        assert!(checkpoint(PREFIX, 2000) < checkpoint(PREFIX, 999));
        assert!(before_seq(PREFIX, 7) < plan(PREFIX, 7, 0));
        assert!(end(PREFIX, 6, 99) < before_seq(PREFIX, 7));
    }

    #[test]
    fn names_that_make_bad_paths_are_refused() {
        for name in ["", "a/b", "..", ".a", "_millstream", "tables", "a b", "ä"] {
            assert!(check_name("table", name).is_err(), "{name:?}");
        }
        for name in ["wordCount", "patient_data", "user_details_5", "app.pipe-line"] {
            check_name("table", name).unwrap();
        }
    }
}
