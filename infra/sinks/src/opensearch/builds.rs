//! The builds of an index, and which of them is served.
//!
//! | on the server | is |
//! |---|---|
//! | index `<name>-<n>` | a build; its mapping's `_meta` says whose it is and what was declared ([`Meta`]) |
//! | alias `<name>` | the build that is served, as far as it is live |
//! | alias `<name>-next` | the build that is being filled to take its place; mostly not there |
//! | document `_build` in a build | what changes about it ([`State`]) |
//! | document `_wish` in a build | an operator's wish that it be replaced |
//! | document `_replaced` in a build | another one is filled in its place, or since when it isn't served any more |
//!
//! Making an index is the fence: of two workers that make number `n + 1` one succeeds. A switch is one change of
//! aliases. A build that was replaced stays for a while, for those who are reading it.

use std::time::{SystemTime, UNIX_EPOCH};

use arrow::datatypes::SchemaRef;
use millstream_engine::SinkError;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::bulk::{self, Item, Written};
use super::faults::Fault;
use super::fetch::{self, Fetched};
use super::mapping;
use super::names::{self, Names};
use super::server::{Call, OpenSearch, Server};
use crate::search::Index;

const SHAPE: &str = "filter_path=*.aliases,*.mappings._meta";

/// An index's place on a server. Naming it makes nothing.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub at: OpenSearch,
    pub index: Index,
    pub names: Names,
}

/// What a build is for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Meta {
    /// `app.pipeline`: the owner.
    pub pipeline: String,
    pub declared: String,
    /// The pipeline's columns when the build was begun.
    pub schema: SchemaRef,
}

/// What changes about a build.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    /// Whether all that the topic held when the build was begun is in it.
    pub ready: bool,
    /// Whether the build was filled from its seed, and what that was in words.
    pub seeded: Option<Seeded>,
    /// The pipeline's columns, if some came later.
    pub schema: Option<SchemaRef>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Seeded {
    /// `None`: there was nothing to seed from.
    pub from: Option<String>,
}

/// A build as it was seen.
#[derive(Clone, Debug)]
pub(super) struct Named {
    pub id: String,
    pub number: u64,
    pub meta: Meta,
    pub state: State,
    seen: Option<(i64, i64)>,
}

impl Named {
    pub fn schema(&self) -> &SchemaRef {
        self.state.schema.as_ref().unwrap_or(&self.meta.schema)
    }
}

/// The builds that have a name.
#[derive(Clone, Debug, Default)]
pub(super) struct Builds {
    pub current: Option<Named>,
    pub next: Option<Named>,
}

impl Builds {
    /// The build that is written to, and read where that must agree with what was written.
    pub fn target(self) -> Option<Named> {
        self.next.or(self.current)
    }
}

impl Place {
    pub fn new(at: OpenSearch, index: &Index) -> Self {
        let names = Names::new(&at.0.prefix, index.name);
        Self { at, index: *index, names }
    }

    pub fn server(&self) -> &Server {
        &self.at.0
    }

    pub fn told(&self, doing: &str, fault: Fault) -> SinkError {
        fault.told(doing, &self.server().origin)
    }

    /// The builds that have a name, with their states.
    pub async fn look(&self) -> Result<Builds, Fault> {
        let Names { served, next } = &self.names;
        let named = self.indices(&format!("{served},{next}")).await?;
        let with = |alias: &str| {
            let with = named.iter().filter(|(_, found)| found["aliases"].get(alias).is_some());
            with.filter_map(|(id, _)| self.names.number(id)).max()
        };
        if named.contains_key(served.as_str()) {
            return Err(self.in_the_way(served).into());
        }
        let current = with(served);
        // Both names for one build: the switch was made in two steps by somebody's hand.
        let next = with(next).filter(|next| Some(*next) > current);
        let mut builds = Builds::default();
        if let Some(number) = current {
            builds.current = self.named(&named, number).await?;
        }
        if let Some(number) = next {
            builds.next = self.named(&named, number).await?;
        }
        Ok(builds)
    }

    pub(super) async fn indices(&self, expression: &str) -> Result<Map<String, Value>, Fault> {
        let call = Call::get(format!("{expression}?ignore_unavailable=true&{SHAPE}"));
        match self.server().send(&call).await {
            Ok(Value::Object(found)) => Ok(found),
            Ok(_) => Ok(Map::new()),
            Err(fault) if fault.is_gone() => Ok(Map::new()),
            Err(fault) => Err(fault),
        }
    }

    async fn named(&self, found: &Map<String, Value>, number: u64) -> Result<Option<Named>, Fault> {
        let id = self.names.build(number);
        let meta = &found[&id]["mappings"]["_meta"]["millstream"];
        let Ok(meta) = serde_json::from_value(meta.clone()) else {
            return Err(self.in_the_way(&id).into());
        };
        let fetched = fetch::documents(self.server(), &id, &[names::BUILD.to_owned()]).await;
        let document = match fetched {
            Ok(documents) => documents.into_iter().next().flatten(),
            // It went between the two looks.
            Err(fault) if fault.is_gone() => return Ok(None),
            Err(fault) => return Err(fault),
        };
        let (state, seen) = match document {
            Some(Fetched { mut source, seen }) => (state(source["state"].take())?, Some(seen)),
            None => (State::default(), None),
        };
        Ok(Some(Named { id, number, meta, state, seen }))
    }

    /// Makes a new, empty build with this number: at once served, or as the next one. `None`: another worker was
    /// faster.
    pub async fn make(
        &self,
        number: u64,
        is_first: bool,
        meta: Meta,
    ) -> Result<Option<Named>, Fault> {
        let id = self.names.build(number);
        let mut described = serde_json::to_value(&meta).map_err(unreadable)?;
        described["index"] = self.index.name.into();
        let mut body = mapping::body(&self.index, &self.server().replicas, described);
        let alias = if is_first { &self.names.served } else { &self.names.next };
        let filter = json!({"filter": mapping::is_live()});
        body["aliases"] = json!({alias.as_str(): filter, names::writes(&id): {}});
        self.put_template().await;
        match self.server().send(&Call::put(id.as_str(), body)).await {
            Ok(_) => Ok(Some(Named { id, number, meta, state: State::default(), seen: None })),
            Err(fault) if fault.is_kind("resource_already_exists_exception") => Ok(None),
            Err(fault) if fault.is_kind("invalid_alias_name_exception") => {
                Err(self.in_the_way(alias).into())
            }
            Err(fault) => Err(fault),
        }
    }

    /// A user without the right to do so does without: what we make ourselves is described in full.
    async fn put_template(&self) {
        let (served, server) = (&self.names.served, self.server());
        let body = mapping::template(&self.index, &server.replicas, &format!("{served}-*"));
        let put = Call::put(format!("_index_template/{served}"), body);
        if let Err(fault) = server.send(&put).await {
            tracing::debug!("describe indexes named {served}-*: {fault}");
        }
    }

    /// The highest number that any build has or had a name with; 0 if there is none.
    pub async fn last_number(&self) -> Result<u64, Fault> {
        let all = self.indices(&format!("{}-*", self.names.served)).await?;
        Ok(all.keys().filter_map(|id| self.names.number(id)).max().unwrap_or(0))
    }

    /// Changes what is known of a build. `false`: somebody else changed it meanwhile.
    pub async fn describe(&self, build: &Named, state: &State) -> Result<bool, Fault> {
        let document = json!({"state": serde_json::to_value(state).map_err(unreadable)?});
        let id = names::BUILD.to_owned();
        let item = match build.seen {
            Some(seen) => Item::replace(id, seen, &document),
            None => Item::create(id, &document),
        };
        Ok(bulk::one(self.server(), &build.id, item).await? == Written::Done)
    }

    fn in_the_way(&self, name: &str) -> SinkError {
        SinkError::refused(
            format!("find index {} at {}", self.index.name, self.server().origin.shown),
            format!("{name} is there and isn't ours"),
            format!(
                "rename or delete it, or add a prefix to {}: https://host:9200/prefix-",
                self.server().origin.key
            ),
        )
    }
}

fn state(value: Value) -> Result<State, Fault> {
    serde_json::from_value(value).map_err(unreadable)
}

pub(super) fn unreadable(error: serde_json::Error) -> Fault {
    Fault::Unreadable(format!("what is kept about a build can't be read: {error}"))
}

/// For what people read, and for how long builds are kept.
pub(super) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
