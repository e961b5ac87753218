//! What `connect` makes: keyspace, our own tables, the table with its columns.

use std::collections::HashMap;
use std::num::NonZeroUsize;

use arrow::datatypes::Field;
use millstream_engine::SinkError;
use scylla::client::session::Session;
use scylla::policies::load_balancing::{NodeIdentifier, SingleTargetLoadBalancingPolicy};
use scylla::statement::{Consistency, Statement};

use super::copies;
use super::faults::Fault;
use super::owner::{self, Owned, Owners};
use super::server::{Cassandra, Options};
use super::statements;
use super::values::Storage;
use crate::sql::layout::{Layout, VERSION};

/// How often another worker may be faster at changing a table before we give up for now.
const TRIES: usize = 10;

/// Makes the table or lets it grow, and records the pipeline as its owner.
pub(super) async fn own(
    server: &Cassandra,
    session: &Session,
    keyspace: &str,
    pipeline: &str,
    wanted: &Layout,
) -> Result<Owned, Fault> {
    let making = Making { session, options: server.options(), keyspace };
    making.keyspace().await?;
    making.our_tables().await?;
    let owners = Owners { session, keyspace };
    for _ in 0..TRIES {
        // In this order: a table that was made in between belongs to whom the record names then.
        let owned = owners.read(&wanted.table, Consistency::Serial).await?;
        let there = columns(session, keyspace, &wanted.table).await?;
        let Some(owned) = owned else {
            if owners.read(&wanted.table, Consistency::Serial).await?.is_none() {
                making.check_foreign(pipeline, wanted, &there)?;
                owners.take(&Owned::new(pipeline, wanted.clone())?).await?;
            }
            continue;
        };
        let there = match there.is_empty() && owned.made {
            false => there,
            // This node may not have heard of it yet.
            true => making.columns_agreed(&wanted.table).await?,
        };
        owner::check(&owned, pipeline, wanted, !there.is_empty())?;
        let (grown, _) = owned.layout.grown(&wanted.schema)?;
        making.table(&grown, &there).await?;
        // Before the record says so: a node that dies with what only it knows takes the table with it, and then it would
        // count as dropped.
        agree(session).await?;
        let now = Owned { made: true, ..Owned::new(pipeline, grown)? };
        if now == owned || owners.tell_made(&owned, &now.layout).await? {
            return Ok(now);
        }
    }
    let doing = format!("connect to table {}", wanted.table);
    Err(SinkError::unavailable(doing, "other workers keep changing it").into())
}

/// Column names and their types; none: there is no such table.
pub(super) type Columns = HashMap<String, String>;

/// Whether there is such a table.
pub(super) async fn exists(session: &Session, keyspace: &str, table: &str) -> Result<bool, Fault> {
    Ok(!columns(session, keyspace, table).await?.is_empty())
}

pub(super) async fn columns(
    session: &Session,
    keyspace: &str,
    table: &str,
) -> Result<Columns, Fault> {
    let cql = "SELECT column_name, type FROM system_schema.columns WHERE keyspace_name = ? AND table_name = ?";
    let answer = session.query_unpaged(cql, (keyspace, table)).await?;
    let rows = answer.into_rows_result().map_err(Fault::answer)?;
    let rows = rows.rows::<(String, String)>().map_err(Fault::answer)?;
    rows.collect::<Result<_, _>>().map_err(Fault::answer)
}

/// All nodes know the same tables; a table that another worker has just made is known to this one's node, too.
pub(super) async fn agree(session: &Session) -> Result<(), Fault> {
    let agreed = session.await_schema_agreement().await;
    agreed.map(|_| ()).map_err(|error| {
        SinkError::unavailable("wait until all nodes know the tables", error).into()
    })
}

struct Making<'a> {
    session: &'a Session,
    options: &'a Options,
    keyspace: &'a str,
}

impl Making<'_> {
    async fn keyspace(&self) -> Result<(), Fault> {
        let cql = "SELECT keyspace_name FROM system_schema.keyspaces WHERE keyspace_name = ?";
        let answer = self.session.query_unpaged(cql, (self.keyspace,)).await?;
        let rows = answer.into_rows_result().map_err(Fault::answer)?;
        if rows.rows_num() > 0 {
            return Ok(());
        }
        let dc = self.options.dc.as_deref();
        let cql = statements::create_keyspace(self.keyspace, dc, self.copies());
        self.make(&format!("keyspace {}", self.keyspace), &cql).await
    }

    /// As the URL says; else three, and fewer where there are fewer nodes.
    fn copies(&self) -> NonZeroUsize {
        let state = self.session.get_cluster_state();
        let dc = &self.options.dc;
        let here =
            |node: &&std::sync::Arc<scylla::cluster::Node>| dc.is_none() || node.datacenter == *dc;
        let nodes = state.get_nodes_info().iter().filter(here).count();
        let usual = NonZeroUsize::new(nodes.min(copies::USUAL)).unwrap_or(NonZeroUsize::MIN);
        self.options.replication.unwrap_or(usual)
    }

    async fn our_tables(&self) -> Result<(), Fault> {
        for (name, cql) in statements::create_ours(self.keyspace) {
            if !exists(self.session, self.keyspace, name).await? {
                self.make(&format!("table {}.{name}", self.keyspace), &cql).await?;
            }
        }
        Ok(())
    }

    /// A table without an owner: not ours. Where somebody else makes the tables, one that is just as it should be is
    /// what we asked for.
    fn check_foreign(
        &self,
        pipeline: &str,
        wanted: &Layout,
        there: &Columns,
    ) -> Result<(), SinkError> {
        let version = (VERSION.to_owned(), Storage::BigInt.cql().to_owned());
        let column = |field: &std::sync::Arc<Field>| (field.name().clone(), kind(field).to_owned());
        let asked: Columns = wanted.schema.fields().iter().map(column).chain([version]).collect();
        if there.is_empty() || (!self.options.create && *there == asked) {
            return Ok(());
        }
        let why = "there is a table of that name that Millstream did not make";
        Err(owner::refuse(&wanted.table, pipeline, why))
    }

    /// The table, and the columns it lacks.
    async fn table(&self, layout: &Layout, there: &Columns) -> Result<(), Fault> {
        let name = format!("table {}.{}", self.keyspace, layout.table);
        let mut there = there.clone();
        if there.is_empty() {
            self.make(&name, &statements::create(self.keyspace, layout)).await?;
            // Another worker may have been faster, with fewer columns.
            there = self.columns_agreed(&layout.table).await?;
        }
        for field in layout.schema.fields() {
            match there.get(field.name()) {
                None => {
                    let cql = statements::add_column(self.keyspace, layout, field);
                    self.make(&format!("column {:?} of {name}", field.name()), &cql).await?;
                }
                Some(found) if found != kind(field) => {
                    let why = format!("column {:?} is of type {found}", field.name());
                    let doing = format!("use {name}");
                    let remedy = "name a new table, which is then built from the topic";
                    return Err(SinkError::refused(doing, why, remedy).into());
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    async fn columns_agreed(&self, table: &str) -> Result<Columns, Fault> {
        agree(self.session).await?;
        columns(self.session, self.keyspace, table).await
    }

    /// Sent to one node by all workers alike: two nodes that make the same table at the same time make two.
    async fn make(&self, what: &str, cql: &str) -> Result<(), Fault> {
        if !self.options.create {
            let why = "it isn't there, and create=off leaves it to you";
            return Err(
                SinkError::refused(format!("use {what}"), why, format!("run: {cql}")).into()
            );
        }
        let mut statement = Statement::new(cql);
        let state = self.session.get_cluster_state();
        let nodes = state.get_nodes_info().iter().filter(|node| node.is_connected());
        if let Some(first) = nodes.min_by_key(|node| node.host_id) {
            let node = NodeIdentifier::HostId(first.host_id);
            let policy = SingleTargetLoadBalancingPolicy::new(node, None);
            statement.set_load_balancing_policy(Some(policy));
        }
        match self.session.query_unpaged(statement, ()).await {
            Ok(_) => Ok(()),
            Err(error) => {
                let fault = Fault::from(error);
                if fault.is_there_already() { Ok(()) } else { Err(fault) }
            }
        }
    }
}

fn kind(field: &Field) -> &'static str {
    Storage::of(field.data_type()).unwrap_or(Storage::Text).cql()
}
