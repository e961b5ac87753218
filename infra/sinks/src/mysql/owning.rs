//! Makes databases and tables and lets them grow. The servers commit at every such statement, so each step can be the
//! last one: what is found half done is finished by the next worker that connects.

use millstream_engine::SinkError;

use super::columns::{Columns, check};
use super::faults::Fault;
use super::positions::{self, DUPLICATE, NO_DATABASE};
use super::server::Mysql;
use super::session::Session;
use super::statements::{self, quoted};
use crate::sql::layout::Layout;
use crate::sql::owner::{Owned, check_owned, refuse_table, unreadable};

/// Somebody else made the column.
const COLUMN_THERE: u16 = 1060;
/// As many workers may come in between.
const TRIES: usize = 8;

/// A connection for writing; makes the database, if that is allowed, and the system tables.
pub(super) async fn writer(server: &Mysql, database: &str) -> Result<Session, Fault> {
    let mut session = match Session::open(server, Some(database)).await {
        Err(fault) if fault.code() == Some(NO_DATABASE) && server.creates() => {
            let mut session = Session::open(server, None).await?;
            let collation = session.dialect.collation();
            let create = format!(
                "CREATE DATABASE IF NOT EXISTS {} CHARACTER SET utf8mb4 COLLATE {collation}",
                quoted(database)
            );
            session.change(&create).await?;
            session.close().await;
            Session::open(server, Some(database)).await?
        }
        session => session?,
    };
    check_version(&session)?;
    for (name, create) in statements::system_tables(session.dialect) {
        // Asked first: IF NOT EXISTS takes the right to create even where there is nothing to do.
        if !positions::exists(&mut session, name).await? {
            session.change(&create).await?;
        }
    }
    Ok(session)
}

fn check_version(session: &Session) -> Result<(), SinkError> {
    let (dialect, oldest) = (session.dialect, session.dialect.oldest());
    if dialect.version >= oldest {
        return Ok(());
    }
    let (major, minor, patch) = oldest;
    Err(SinkError::refused(
        "use the server",
        format!("it is {}", dialect.name()),
        format!("upgrade it to {major}.{minor}.{patch} or later"),
    ))
}

/// Makes the table or lets it grow, and records the pipeline as its owner.
pub(super) async fn own(
    session: &mut Session,
    pipeline: &str,
    wanted: &Layout,
) -> Result<Owned, Fault> {
    check(wanted)?;
    let table = &wanted.table;
    for _ in 0..TRIES {
        // In this order: what a worker makes in between has its record already.
        let there = positions::exists(session, table).await?;
        let record = match positions::record(session, table).await? {
            Some(record) => record,
            None if there => {
                let why = "there is a table of that name that Millstream did not make";
                return Err(refuse_table(table, pipeline, why).into());
            }
            None => {
                claim(session, pipeline, wanted).await?;
                continue;
            }
        };
        // Another worker may have made it between the two looks: a record that says so comes after the table.
        let there = there || !record.made || positions::exists(session, table).await?;
        check_owned(&record.owned, pipeline, wanted, there)?;
        if !record.made {
            make(session, &record.owned.layout).await?;
        }
        if let Some(owned) = grow(session, record.owned, wanted).await? {
            return Ok(owned);
        }
    }
    Err(SinkError::unavailable(format!("connect to table {table}"), "others keep changing it")
        .into())
}

/// Before the table is made, so that nobody takes it for a stranger's.
async fn claim(session: &mut Session, pipeline: &str, wanted: &Layout) -> Result<(), Fault> {
    let table = &wanted.table;
    let keeping = serde_json::to_string(&wanted.kept).map_err(|e| unreadable(table, &e))?;
    let schema = serde_json::to_string(&wanted.schema).map_err(|e| unreadable(table, &e))?;
    let insert = "INSERT INTO _millstream_owner (table_name, pipeline, keeping, `schema`, made) VALUES (?, ?, ?, ?, 0)";
    let values = vec![table.into(), pipeline.into(), keeping.into(), schema.into()];
    match session.run(insert, values).await {
        Err(fault) if fault.code() == Some(DUPLICATE) => Ok(()),
        inserted => inserted.map(|_| ()),
    }
}

async fn make(session: &mut Session, layout: &Layout) -> Result<(), Fault> {
    for create in statements::create(layout, session.dialect) {
        session.change(&create).await?;
    }
    let update = "UPDATE _millstream_owner SET made = 1 WHERE table_name = ?";
    session.run(update, vec![layout.table.as_str().into()]).await?;
    Ok(())
}

/// `None`: somebody else changed the record meanwhile.
async fn grow(
    session: &mut Session,
    owned: Owned,
    wanted: &Layout,
) -> Result<Option<Owned>, Fault> {
    let (grown, added) = owned.layout.grown(&wanted.schema)?;
    if added.is_empty() {
        return Ok(Some(owned));
    }
    check(&grown)?;
    let columns = Columns::of(&grown);
    for column in &columns.all[columns.all.len() - added.len()..] {
        let alter = statements::add_column(&grown, column, session.dialect);
        match session.change(&alter).await {
            Err(fault) if fault.code() == Some(COLUMN_THERE) => {}
            altered => altered?,
        }
    }
    let table = &grown.table;
    let schema_text = serde_json::to_string(&grown.schema).map_err(|e| unreadable(table, &e))?;
    // Waits for the transactions that go by the narrower schema.
    let update = "UPDATE _millstream_owner SET `schema` = ? WHERE table_name = ? AND `schema` = ?";
    let values = vec![schema_text.as_str().into(), table.into(), owned.schema_text.as_str().into()];
    if session.run(update, values).await? != 1 {
        return Ok(None);
    }
    Ok(Some(Owned { pipeline: owned.pipeline, layout: grown, schema_text }))
}
