//! The transaction of a range: position, rows, ledger; all or nothing.

use std::time::{Duration, Instant};

use millstream_engine::ledger::Assignment;
use millstream_engine::{Outcome, Range, SinkError};

use super::faults::Fault;
use super::positions;
use super::server::Mysql;
use super::session::{Session, value};
use super::writing::write;
use crate::sql::merge::{Action, Merged};
use crate::sql::owner::{Owned, check_owner};

/// How long conflicts are met with another try of our own. Well below the ten seconds in which a worker must have
/// drained; the engine tries on after that.
const PATIENCE: Duration = Duration::from_secs(4);
const SHORTEST_MS: u64 = 2;
const LONGEST_MS: u64 = 200;

/// What is to be committed, and where.
pub(super) struct Job {
    pub server: Mysql,
    pub database: String,
    pub assignment: Assignment,
    pub range: Range,
    pub merged: Merged,
}

/// How a try ended.
enum Tried {
    Done(Outcome),
    /// The connection broke while the server was to commit: it may have done so.
    Unknown(Fault),
}

/// `owned`: the table as it was when last looked at; looked at again in here.
pub(super) async fn commit(
    session: &mut Session,
    owned: &mut Owned,
    job: &Job,
) -> Result<Outcome, Fault> {
    let mut tries = Tries::new();
    loop {
        let writer = random_name()?;
        match attempt(session, owned, job, &writer).await {
            Ok(Tried::Done(outcome)) => return Ok(outcome),
            Ok(Tried::Unknown(fault)) => return decide(owned, job, &writer, fault).await,
            Err(fault) => {
                session.roll_back().await;
                tries.again(fault).await?;
            }
        }
    }
}

async fn attempt(
    session: &mut Session,
    owned: &mut Owned,
    job: &Job,
    writer: &str,
) -> Result<Tried, Fault> {
    let Job { assignment, range, merged, .. } = job;
    let table = owned.layout.table.clone();
    session.say("START TRANSACTION").await?;
    if !positions::advance(session, &table, assignment, range.entry.seq).await? {
        session.say("ROLLBACK").await?;
        return Ok(Tried::Done(Outcome::Superseded));
    }
    let deletes = merged.changes.iter().any(|change| matches!(change.action, Action::Delete(_)));
    look_again(session, owned, deletes).await?;
    write(session, &owned.layout, merged).await?;
    positions::append(session, &table, assignment, &range.entry, writer).await?;
    match session.say("COMMIT").await {
        Ok(()) => Ok(Tried::Done(Outcome::Committed)),
        Err(fault) if fault.loses_connection() => Ok(Tried::Unknown(fault)),
        Err(fault) => Err(fault),
    }
}

/// A newer worker may have added columns since; a row of ours has null there, not what an older row had.
///
/// The owner's row stays locked until the end. Ranges that write rows share it; one that deletes has it for itself: a
/// key that is put here and deleted there at once must see the other's version, and where there is no row yet there is
/// nothing else that both could lock.
async fn look_again(session: &mut Session, owned: &mut Owned, deletes: bool) -> Result<(), Fault> {
    let table = owned.layout.table.clone();
    let lock = if deletes { "FOR UPDATE" } else { "LOCK IN SHARE MODE" };
    let query = format!(
        "SELECT `schema` = ? AND pipeline = ? FROM _millstream_owner WHERE table_name = ? {lock}"
    );
    let values = vec![
        owned.schema_text.as_str().into(),
        owned.pipeline.as_str().into(),
        table.as_str().into(),
    ];
    let same = session.row(&query, values).await?;
    if same.and_then(|row| value(&row, 0)) == Some(true) {
        return Ok(());
    }
    let Some(now) = positions::record(session, &table).await? else {
        let (why, remedy) = ("the owner's record is gone", "restart the worker");
        return Err(SinkError::refused(format!("write to table {table}"), why, remedy).into());
    };
    check_owner(&now.owned.pipeline, &table, &owned.pipeline)?;
    *owned = now.owned;
    Ok(())
}

/// The reply to COMMIT was lost: the ledger says whether it took effect.
async fn decide(owned: &Owned, job: &Job, writer: &str, fault: Fault) -> Result<Outcome, Fault> {
    let Job { server, database, assignment, range, .. } = job;
    let mut session = Session::open(server, Some(database)).await?;
    let table = &owned.layout.table;
    let found = positions::writer(&mut session, table, assignment, range.entry.seq).await?;
    session.close().await;
    match found {
        Some(found) if found == writer => Ok(Outcome::Committed),
        Some(_) => Ok(Outcome::Superseded),
        None => Err(fault),
    }
}

/// Tries at one transaction that others are in the way of.
pub(super) struct Tries {
    since: Instant,
    made: u32,
}

impl Tries {
    pub fn new() -> Self {
        Self { since: Instant::now(), made: 0 }
    }

    /// Waits for a moment that is not the others', if another try may help.
    pub async fn again(&mut self, fault: Fault) -> Result<(), Fault> {
        if !fault.is_conflict() || self.since.elapsed() > PATIENCE {
            return Err(fault);
        }
        let longest = (SHORTEST_MS << self.made.min(10)).min(LONGEST_MS);
        self.made += 1;
        let mut random = [0; 8];
        fill(&mut random)?;
        let wait = SHORTEST_MS + u64::from_be_bytes(random) % longest;
        tokio::time::sleep(Duration::from_millis(wait)).await;
        Ok(())
    }
}

/// Tells one try from all others.
pub(super) fn random_name() -> Result<String, Fault> {
    let mut random = [0; 16];
    fill(&mut random)?;
    Ok(super::cells::hex(&random))
}

fn fill(random: &mut [u8]) -> Result<(), Fault> {
    openssl::rand::rand_bytes(random)
        .map_err(|error| SinkError::unavailable("ask for random numbers", error).into())
}
