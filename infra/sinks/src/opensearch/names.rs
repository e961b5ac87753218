//! The names of an index's builds and of the documents in them.

use millstream_topic::TopicPartition;

/// What stands in a build beside rows.
pub(super) const BUILD: &str = "_build";
pub(super) const WISH: &str = "_wish";
pub(super) const REPLACED: &str = "_replaced";
pub(super) const SEEDING: &str = "_seeding";

/// Of a document's name; longer ones are refused by the server.
const ID_BYTES: usize = 512;
/// How much of a key that is too long for that stays readable.
const READABLE_BYTES: usize = 400;

/// The names of one index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Names {
    /// Alias of the build that is served; what people and programs search.
    pub served: String,
    /// Alias of the build that is being filled to take its place; mostly not there.
    pub next: String,
}

impl Names {
    pub fn new(prefix: &str, index: &str) -> Self {
        let served = format!("{prefix}{index}");
        Self { next: format!("{served}-next"), served }
    }

    pub fn build(&self, number: u64) -> String {
        format!("{}-{number}", self.served)
    }

    /// The number of a build by its name.
    pub fn number(&self, build: &str) -> Option<u64> {
        build.strip_prefix(&self.served)?.strip_prefix('-')?.parse().ok()
    }
}

/// The alias through which a build is written to: it goes with the build, so that nobody who comes late makes an
/// index of its name.
pub(super) fn writes(build: &str) -> String {
    format!("{build}-writes")
}

/// The name of a row's document: its key, unless that is taken for ours, or too long.
pub(super) fn row(key: &str) -> String {
    match key.len() {
        1..=ID_BYTES if !key.starts_with('_') => key.to_owned(),
        // Room for what comes before it.
        0..=READABLE_BYTES => format!("_key|{key}"),
        _ => {
            let beginning = &key[..key.floor_char_boundary(READABLE_BYTES)];
            let hash: String = openssl::sha::sha256(key.as_bytes())
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            format!("_long|{hash}|{beginning}")
        }
    }
}

pub(super) fn entry(at: &TopicPartition, seq: u64) -> String {
    format!("_entry|{}|{}|{seq}", at.topic, at.partition)
}

pub(super) fn position(at: &TopicPartition) -> String {
    format!("_position|{}|{}", at.topic, at.partition)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_a_name_of_its_own() {
        let long = "ü".repeat(300);
        let keys = [
            "",
            "a",
            "_a",
            "_key|_a",
            "_build",
            &long,
            &"x".repeat(512),
            &"x".repeat(513),
            &"_".repeat(401),
        ];
        let names: Vec<_> = keys.iter().map(|key| row(key)).collect();
        for (n, name) in names.iter().enumerate() {
            assert!(!name.is_empty() && name.len() <= ID_BYTES, "{name}");
            assert!(!names[..n].contains(name), "{name}");
            let ours = ["_entry|", "_position|", BUILD, WISH, REPLACED, SEEDING];
            assert!(!ours.iter().any(|ours| name.starts_with(ours)), "{name}");
        }
        assert_eq!(row("Z-0056-2013"), "Z-0056-2013");
    }

    #[test]
    fn builds_are_numbered() {
        let names = Names::new("test-", "recalls");
        assert_eq!(names.build(7), "test-recalls-7");
        assert_eq!(names.number("test-recalls-7"), Some(7));
        for other in ["test-recalls", "test-recalls-next", "recalls-7", "test-recalls-7-writes"] {
            assert_eq!(names.number(other), None, "{other}");
        }
    }
}
