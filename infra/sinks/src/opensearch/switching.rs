//! How builds take each other's place, and what becomes of those that were replaced.

use std::time::Duration;

use serde_json::json;

use super::builds::{Named, Place, now_ms};
use super::bulk::{self, Item};
use super::faults::Fault;
use super::names::{self, Names};
use super::server::Call;
use super::{fetch, mapping};

impl Place {
    /// From now on the next build is served, and there is no next one.
    pub async fn serve(&self, current: Option<&Named>, next: &Named) -> Result<(), Fault> {
        let Names { served, next: waiting } = &self.names;
        let mut actions = vec![
            // If somebody else has made the switch, or a later one, there is nothing to remove, and nothing happens.
            json!({"remove": {"index": next.id, "alias": waiting, "must_exist": true}}),
            json!({"add": {"index": next.id, "alias": served, "filter": mapping::is_live()}}),
        ];
        if let Some(current) = current {
            actions.push(json!({"remove": {"index": current.id, "alias": served}}));
        }
        let switch = Call::post("_aliases", json!({"actions": actions}));
        match self.server().send(&switch).await {
            Ok(_) => {}
            Err(fault) if fault.is_gone() => return Ok(()),
            Err(fault) => return Err(fault),
        }
        tracing::info!("index {served} is served from build {}", next.id);
        match current {
            Some(current) => self.retire(&current.id).await,
            None => Ok(()),
        }
    }

    /// Has everything found that was written into a build by now. `false`: not all of it is, or the build has gone.
    pub async fn show(&self, build: &str) -> Result<bool, Fault> {
        match self.server().send(&Call::bare_post(format!("{build}/_refresh"))).await {
            Ok(told) => Ok(told["_shards"]["failed"] == 0),
            Err(fault) if fault.is_gone() => Ok(false),
            Err(fault) => Err(fault),
        }
    }

    /// Says that another build is filled in this one's place: ranges for this one are superseded from now on.
    pub async fn replaced(&self, build: &str) -> Result<(), Fault> {
        let item = Item::create(names::REPLACED.to_owned(), &json!({"state": {}}));
        unless_gone(bulk::one(self.server(), build, item).await)
    }

    /// Says since when a build isn't served any more.
    async fn retire(&self, build: &str) -> Result<(), Fault> {
        let item = Item::put(names::REPLACED.to_owned(), &json!({"state": {"since_ms": now_ms()}}));
        unless_gone(bulk::one(self.server(), build, item).await)
    }

    /// Removes builds that have had no name for longer than `grace`.
    pub async fn tidy(&self, grace: Duration) -> Result<(), Fault> {
        let all = self.indices(&format!("{}-*", self.names.served)).await?;
        for (id, found) in &all {
            let ours = &found["mappings"]["_meta"]["millstream"]["index"];
            let names = [&self.names.served, &self.names.next];
            let is_named = names.iter().any(|name| found["aliases"].get(name.as_str()).is_some());
            if is_named || self.names.number(id).is_none() || *ours != self.index.name {
                continue;
            }
            let fetched = fetch::documents(self.server(), id, &[names::REPLACED.to_owned()]).await;
            let since = match fetched {
                Ok(documents) => documents.into_iter().next().flatten(),
                Err(fault) if fault.is_gone() => continue,
                Err(fault) => return Err(fault),
            };
            let since = since.and_then(|fetched| fetched.source["state"]["since_ms"].as_i64());
            let grace = i64::try_from(grace.as_millis()).unwrap_or(i64::MAX);
            match since {
                // Somebody died before saying so.
                None => self.retire(id).await?,
                Some(since) if now_ms().saturating_sub(since) < grace => {}
                Some(_) => unless_gone(self.server().send(&Call::delete(id.as_str(), None)).await)?,
            }
        }
        Ok(())
    }

    /// Takes the waiting name from builds that were given up.
    pub async fn give_up(&self, build: &str) -> Result<(), Fault> {
        let remove = json!({"remove": {"index": build, "alias": self.names.next}});
        let call = Call::post("_aliases", json!({"actions": [remove]}));
        unless_gone(self.server().send(&call).await)
    }

    /// Asks for a new build in this one's place; a worker begins it within seconds.
    pub async fn wish(&self, build: &str) -> Result<(), Fault> {
        let item = Item::put(names::WISH.to_owned(), &json!({"state": {"since_ms": now_ms()}}));
        bulk::one(self.server(), build, item).await.map(|_| ())
    }

    pub async fn is_wished_for(&self, build: &str) -> Result<bool, Fault> {
        let there = fetch::which(self.server(), build, &[names::WISH.to_owned()]).await?;
        Ok(there == [true])
    }
}

fn unless_gone<T>(done: Result<T, Fault>) -> Result<(), Fault> {
    match done {
        Err(fault) if !fault.is_gone() => Err(fault),
        _ => Ok(()),
    }
}
