//! What `millstream doctor` says of a cluster.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use millstream_config::{Finding, Tls};
use scylla::client::session::Session;
use scylla::cluster::Node;
use scylla::policies::load_balancing::{NodeIdentifier, SingleTargetLoadBalancingPolicy};
use scylla::statement::Statement;
use scylla::value::CqlTimestamp;

use super::copies::{Copies, Replication, judge_option};
use super::faults::Fault;
use super::server::Cassandra;
use super::statements::OWNER;

/// Versions of rows are timestamps of records: a server whose clock is elsewhere expires and compacts by another time.
const MOST_SKEW: Duration = Duration::from_millis(500);
/// Its lightweight transactions can't come true after a read that didn't see them (CASSANDRA-12126).
const LEAST_VERSION: (u32, u32) = (4, 0);

impl Cassandra {
    /// Looks at the cluster for `millstream doctor`: reachable, authenticated, authorised, versions, nodes, clocks, and
    /// how the keyspaces that hold our tables are replicated. Changes nothing.
    pub async fn examine(&self) -> Vec<Finding> {
        let what = self.endpoint().key.clone();
        let session = match self.session().await {
            Ok(session) => session,
            Err(error) => {
                let remedy = if error.is_retryable() {
                    "check the host and the port, and that the node runs: nodetool status"
                } else {
                    "see above"
                };
                return vec![Finding::bad(what, chain(&error), remedy)];
            }
        };
        let examining = Examining { server: self, session, what };
        let mut findings = vec![examining.login()];
        for found in [
            examining.versions().await,
            Ok(examining.nodes()),
            examining.clocks().await,
            examining.rights().await,
            examining.replication().await,
        ] {
            findings.extend(found.unwrap_or_else(|fault| vec![examining.failed(fault)]));
        }
        findings
    }
}

struct Examining<'a> {
    server: &'a Cassandra,
    session: &'a Arc<Session>,
    what: String,
}

impl Examining<'_> {
    fn good(&self, told: impl Into<String>) -> Finding {
        Finding::good(&self.what, told)
    }

    fn warning(&self, told: impl Into<String>, remedy: impl Into<String>) -> Finding {
        Finding::warning(&self.what, told, remedy)
    }

    fn failed(&self, fault: Fault) -> Finding {
        let error = fault.told("look at the cluster", self.server.endpoint());
        Finding::bad(&self.what, chain(&error), "let the user read the tables of keyspace system")
    }

    fn login(&self) -> Finding {
        let endpoint = self.server.endpoint();
        let encrypted = match self.server.tls() {
            Tls::On { .. } => "encrypted",
            Tls::Off => "not encrypted",
        };
        match endpoint.user.as_str() {
            "" => self.good(format!("reachable at {endpoint}, {encrypted}, without a user")),
            user => self.good(format!("reachable at {endpoint}, {encrypted}, as {user}")),
        }
    }

    async fn versions(&self) -> Result<Vec<Finding>, Fault> {
        let mut nodes: BTreeMap<String, usize> = BTreeMap::new();
        for cql in
            ["SELECT release_version FROM system.local", "SELECT release_version FROM system.peers"]
        {
            let answer = self.session.query_unpaged(cql, ()).await?;
            let rows = answer.into_rows_result().map_err(Fault::answer)?;
            for row in rows.rows::<(Option<String>,)>().map_err(Fault::answer)? {
                let (version,) = row.map_err(Fault::answer)?;
                *nodes.entry(version.unwrap_or_else(|| "unknown".to_owned())).or_default() += 1;
            }
        }
        let old = nodes.keys().find(|version| number(version).is_some_and(|n| n < LEAST_VERSION));
        let list: Vec<_> = nodes.iter().map(|(version, n)| format!("{version} on {n}")).collect();
        let told = format!("Cassandra {}", list.join(", "));
        Ok(vec![match old {
            Some(_) => self.warning(
                told,
                "upgrade to 4.0 or later: older ones may apply a lightweight transaction after a read that missed it",
            ),
            None if nodes.len() > 1 => {
                self.warning(told, "finish the upgrade: tables can't be changed while versions differ")
            }
            None => self.good(told),
        }])
    }

    fn nodes(&self) -> Vec<Finding> {
        let state = self.session.get_cluster_state();
        let nodes = state.get_nodes_info();
        let down: Vec<_> = nodes.iter().filter(|node| !node.is_connected()).map(name).collect();
        let told = format!("{} of {} nodes reachable", nodes.len() - down.len(), nodes.len());
        if down.is_empty() {
            return vec![self.good(told)];
        }
        let told = format!("{told}, not {}", down.join(", "));
        vec![
            self.warning(told, "see `nodetool status`, and that this machine may reach every node"),
        ]
    }

    async fn clocks(&self) -> Result<Vec<Finding>, Fault> {
        let state = self.session.get_cluster_state();
        let mut worst = Duration::ZERO;
        let mut findings = Vec::new();
        for node in state.get_nodes_info().iter().filter(|node| node.is_connected()) {
            let skew = self.skew(node).await?;
            worst = worst.max(skew);
            if skew > MOST_SKEW {
                findings.push(self.warning(
                    format!("the clock of {} is {} ms from ours", name(node), skew.as_millis()),
                    "synchronise the clocks (chrony, ntpd) of this machine and of the nodes",
                ));
            }
        }
        if findings.is_empty() {
            findings.push(self.good(format!("clocks agree within {} ms", worst.as_millis())));
        }
        Ok(findings)
    }

    /// How far the node's clock is from ours, apart from what the question's way may account for.
    async fn skew(&self, node: &Node) -> Result<Duration, Fault> {
        let mut query = Statement::new("SELECT toTimestamp(now()) FROM system.local");
        let target = NodeIdentifier::HostId(node.host_id);
        query.set_load_balancing_policy(Some(SingleTargetLoadBalancingPolicy::new(target, None)));
        let asked = now_ms();
        let answer = self.session.query_unpaged(query, ()).await?;
        let answered = now_ms();
        let rows = answer.into_rows_result().map_err(Fault::answer)?;
        let (CqlTimestamp(theirs),) = rows.first_row().map_err(Fault::answer)?;
        let off = if theirs < asked { asked - theirs } else { (theirs - answered).max(0) };
        Ok(Duration::from_millis(off.unsigned_abs()))
    }

    async fn rights(&self) -> Result<Vec<Finding>, Fault> {
        let user = &self.server.endpoint().user;
        if user.is_empty() {
            return Ok(vec![self.warning(
                "anybody who reaches the cluster may change everything in it",
                "set authenticator and authorizer in cassandra.yaml, and give Millstream a user of its own",
            )]);
        }
        if self.is_superuser(user).await {
            return Ok(vec![self.warning(
                format!("{user} is a superuser"),
                "give Millstream a user of its own that may CREATE, ALTER, SELECT and MODIFY",
            )]);
        }
        let cql = format!("LIST ALL PERMISSIONS OF \"{}\"", user.replace('"', "\"\""));
        let Ok(answer) = self.session.query_unpaged(cql, ()).await else {
            // An authorizer that lists nothing allows everything.
            return Ok(vec![self.good(format!("{user} may do everything"))]);
        };
        let mut granted: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        // Of a user without rights Cassandra says nothing at all.
        if !answer.is_rows() {
            return Ok(vec![self.granted(user, &granted)]);
        }
        let rows = answer.into_rows_result().map_err(Fault::answer)?;
        for row in rows
            .rows::<(Option<String>, Option<String>, Option<String>, Option<String>)>()
            .map_err(Fault::answer)?
        {
            let (_, _, resource, right) = row.map_err(Fault::answer)?;
            granted.entry(resource.unwrap_or_default()).or_default().extend(right);
        }
        Ok(vec![self.granted(user, &granted)])
    }

    fn granted(&self, user: &str, granted: &BTreeMap<String, BTreeSet<String>>) -> Finding {
        let mut needed = vec!["SELECT", "MODIFY"];
        if self.server.options().create {
            needed.extend(["CREATE", "ALTER"]);
        }
        let somewhere = |right: &&str| {
            let keyspaces = granted.iter().filter(|(resource, _)| resource.contains("keyspace"));
            keyspaces.into_iter().any(|(_, rights)| rights.contains(*right))
        };
        let missing: Vec<_> = needed.iter().copied().filter(|right| !somewhere(right)).collect();
        if missing.is_empty() {
            return self.good(format!("{user} may {} in {}", needed.join(", "), list(granted)));
        }
        let grants: Vec<_> = missing
            .iter()
            .map(|right| format!("GRANT {right} ON KEYSPACE … TO \"{user}\""))
            .collect();
        let told = format!("{user} may not {} in any keyspace", missing.join(", "));
        Finding::bad(&self.what, told, grants.join("; "))
    }

    async fn is_superuser(&self, user: &str) -> bool {
        let cql = "SELECT is_superuser FROM system_auth.roles WHERE role = ?";
        let Ok(answer) = self.session.query_unpaged(cql, (user,)).await else { return false };
        let row = answer.into_rows_result().ok().and_then(|rows| {
            rows.maybe_first_row::<(Option<bool>,)>().ok().flatten().and_then(|(is,)| is)
        });
        row.unwrap_or(false)
    }

    async fn replication(&self) -> Result<Vec<Finding>, Fault> {
        let cql = "SELECT keyspace_name, table_name FROM system_schema.tables";
        let answer = self.session.query_unpaged(cql, ()).await?;
        let rows = answer.into_rows_result().map_err(Fault::answer)?;
        let mut ours = BTreeSet::new();
        for row in rows.rows::<(String, String)>().map_err(Fault::answer)? {
            let (keyspace, table) = row.map_err(Fault::answer)?;
            if table == OWNER {
                ours.insert(keyspace);
            }
        }
        let cql = "SELECT keyspace_name, replication FROM system_schema.keyspaces";
        let answer = self.session.query_unpaged(cql, ()).await?;
        let rows = answer.into_rows_result().map_err(Fault::answer)?;
        let mut findings = self.asked();
        for row in rows.rows::<(String, HashMap<String, String>)>().map_err(Fault::answer)? {
            let (keyspace, replication) = row.map_err(Fault::answer)?;
            if ours.contains(&keyspace) {
                findings.push(self.replicated(keyspace, &replication).judge(&self.what));
            }
        }
        Ok(findings)
    }

    /// What the URL asks for.
    fn asked(&self) -> Vec<Finding> {
        let options = self.server.options();
        let Some(asked) = options.replication.filter(|_| options.create) else { return Vec::new() };
        let finding = judge_option(&self.what, asked.get(), self.count(options.dc.as_deref()));
        finding.into_iter().collect()
    }

    /// Nodes in a datacenter, or in all of them.
    fn count(&self, dc: Option<&str>) -> usize {
        let state = self.session.get_cluster_state();
        let here = |node: &&Arc<Node>| dc.is_none() || node.datacenter.as_deref() == dc;
        state.get_nodes_info().iter().filter(here).count()
    }

    fn replicated(&self, keyspace: String, options: &HashMap<String, String>) -> Replication {
        let mut places = Vec::new();
        for (place, copies) in options {
            let dc = (place != "replication_factor").then(|| place.clone());
            // "3", or "3/1" with transient ones; anything else is no number of copies.
            if let Some(copies) = copies.split('/').next().and_then(|n| n.parse().ok()) {
                places.push(Copies { nodes: self.count(dc.as_deref()), dc, copies });
            }
        }
        places.sort_by(|one, other| one.dc.cmp(&other.dc));
        let class = options.get("class").and_then(|class| class.split('.').next_back());
        let class = class.unwrap_or_default().to_owned();
        Replication { keyspace, class, places, nodes: self.count(None) }
    }
}

fn name(node: &Arc<Node>) -> String {
    node.address.to_string()
}

fn list(granted: &BTreeMap<String, BTreeSet<String>>) -> String {
    granted.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// "4.1.3" → (4, 1).
fn number(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split('.').map(|part| part.parse().ok());
    Some((parts.next()??, parts.next().flatten().unwrap_or(0)))
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(number("5.0.9"), Some((5, 0)));
        assert_eq!(number("4.1-beta1"), Some((4, 0)));
        assert_eq!(number("unknown"), None);
        assert!(
            number("3.11.19").unwrap() < LEAST_VERSION && number("10.0").unwrap() > LEAST_VERSION
        );
    }
}
