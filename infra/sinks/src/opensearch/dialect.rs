//! Which server it is, and where two of them differ: points in time.

use millstream_engine::SinkError;
use serde_json::{Value, json};

use super::faults::{Fault, Origin};
use super::server::Call;

/// The oldest of each that has all that is needed, points in time above all.
const OLDEST_OPENSEARCH: (u32, u32) = (2, 4);
const OLDEST_ELASTICSEARCH: (u32, u32) = (7, 10);

/// A kind of server with its version, major and minor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    OpenSearch(u32, u32),
    Elasticsearch(u32, u32),
}

impl Dialect {
    /// From what the server says of itself. Refused: others, and versions that are too old.
    pub fn of(root: &Value, origin: &Origin) -> Result<Self, Fault> {
        let refused = |why: String| {
            let remedy = "use OpenSearch 2.4 or later, or Elasticsearch 7.10 or later";
            let doing = format!("use the server at {}", origin.shown);
            Err(Fault::Told(SinkError::refused(doing, why, remedy)))
        };
        let number = root["version"]["number"].as_str().unwrap_or_default();
        let mut parts = number.split(['.', '-']).map(str::parse);
        let (Some(Ok(major)), Some(Ok(minor))) = (parts.next(), parts.next()) else {
            return refused("it is no search server".to_owned());
        };
        let is_opensearch = root["version"]["distribution"] == "opensearch";
        let (found, name, oldest) = match is_opensearch {
            true => (Self::OpenSearch(major, minor), "OpenSearch", OLDEST_OPENSEARCH),
            false => (Self::Elasticsearch(major, minor), "Elasticsearch", OLDEST_ELASTICSEARCH),
        };
        if (major, minor) < oldest {
            return refused(format!("it is {name} {number}"));
        }
        Ok(found)
    }

    /// Opens a point in time of an index.
    pub fn open_point(self, index: &str, keep: &str) -> Call {
        let path = match self {
            Self::OpenSearch(..) => format!("{index}/_search/point_in_time?keep_alive={keep}"),
            Self::Elasticsearch(..) => format!("{index}/_pit?keep_alive={keep}"),
        };
        Call::bare_post(path)
    }

    pub fn point_of(self, answer: &Value) -> Result<String, Fault> {
        let name = match self {
            Self::OpenSearch(..) => "pit_id",
            Self::Elasticsearch(..) => "id",
        };
        answer[name].as_str().map(str::to_owned).ok_or_else(|| Fault::unreadable(name))
    }

    pub fn close_point(self, id: &str) -> Call {
        match self {
            Self::OpenSearch(..) => {
                Call::delete("_search/point_in_time", Some(json!({"pit_id": [id]})))
            }
            Self::Elasticsearch(..) => Call::delete("_pit", Some(json!({"id": id}))),
        }
    }
}

impl std::fmt::Display for Dialect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::OpenSearch(major, minor) => write!(f, "OpenSearch {major}.{minor}"),
            Self::Elasticsearch(major, minor) => write!(f, "Elasticsearch {major}.{minor}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_servers_are_refused_by_their_names() {
        let origin = Origin {
            shown: "http://s:9200".to_owned(),
            key: "stores.search".to_owned(),
            user: String::new(),
            password_key: String::new(),
        };
        let root = |distribution: &str, number: &str| {
            let mut root = json!({"version": {"number": number}});
            if !distribution.is_empty() {
                root["version"]["distribution"] = distribution.into();
            }
            Dialect::of(&root, &origin).map_err(|fault| fault.to_string())
        };
        assert_eq!(root("opensearch", "3.8.0"), Ok(Dialect::OpenSearch(3, 8)));
        assert_eq!(root("opensearch", "2.4.0-SNAPSHOT"), Ok(Dialect::OpenSearch(2, 4)));
        assert_eq!(root("", "7.10.2"), Ok(Dialect::Elasticsearch(7, 10)));
        assert_eq!(root("", "8.19.0"), Ok(Dialect::Elasticsearch(8, 19)));
        for (distribution, number, words) in [
            ("opensearch", "2.3.1", "OpenSearch 2.3.1"),
            ("opensearch", "1.3.0", "OpenSearch 1.3.0"),
            ("", "7.9.3", "Elasticsearch 7.9.3"),
            ("", "", "no search server"),
        ] {
            let error = root(distribution, number).unwrap_err();
            assert!(error.contains(words) && error.contains("2.4"), "{error}");
        }
    }
}
