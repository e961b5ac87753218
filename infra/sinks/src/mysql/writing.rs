//! A range's changes as statements, in key order, so that transactions lock rows in one order.

use std::collections::HashMap;

use millstream_engine::SinkError;
use mysql_async::Value;

use super::cells::{Cells, hash};
use super::chunks::{MANY, bytes, pieces};
use super::columns::{Columns, counted};
use super::faults::Fault;
use super::session::{Session, value};
use super::statements;
use crate::sql::layout::{Kept, Layout};
use crate::sql::merge::{Action, Change, Merged};
use crate::sql::values::Stored;

/// So many rows are made ready at once: a range may be larger than what should be in memory twice.
const AT_ONCE: usize = 4_096;
/// A statement that names so many rows by OR is still worked off by the key's index.
const NAMED: usize = 64;

/// A packet also has a head, of some bytes a column.
const HEAD: usize = 64 << 10;

/// BIGINT value is out of range; out of range for the column.
const OUT_OF_RANGE: [u16; 2] = [1690, 1264];

pub(super) async fn write(
    session: &mut Session,
    layout: &Layout,
    merged: &Merged,
) -> Result<(), Fault> {
    let columns = Columns::of(layout);
    let stored: Vec<_> = columns.all.iter().map(|(name, _)| merged.column(name)).collect();
    let mut writing = Writing { session, layout, columns, stored };
    for changes in merged.changes.chunks(AT_ONCE) {
        match &layout.kept {
            Kept::Upsert { .. } => writing.upsert(changes).await?,
            Kept::Count { count, .. } => writing.add(changes, count).await?,
        }
    }
    Ok(())
}

struct Writing<'a> {
    session: &'a mut Session,
    layout: &'a Layout,
    columns: Columns,
    stored: Vec<Option<&'a Stored>>,
}

impl Writing<'_> {
    async fn upsert(&mut self, changes: &[Change]) -> Result<(), Fault> {
        let mut puts = Vec::new();
        let mut deletes = Vec::new();
        for &Change { row, action } in changes {
            match action {
                Action::Put(version) => puts.push((row, version)),
                Action::Delete(version) => deletes.push((row, version)),
                Action::Add(_) => {}
            }
        }
        self.drop_gone(&mut puts).await?;
        let put = |(row, version): (usize, i64)| {
            let cells = self.cells(row);
            let beyond = cells.beyond();
            let ours = [version.into(), Value::Bytes(cells.long), beyond];
            cells.values.into_iter().chain(ours).collect()
        };
        let rows = puts.into_iter().map(put).collect();
        let (layout, dialect) = (self.layout, self.session.dialect);
        self.send(rows, MANY, |count| statements::upsert(layout, dialect, count)).await?;
        self.delete(&deletes).await
    }

    /// Leaves out what was deleted at the same or a higher version. The owner's row is locked, so nothing is deleted
    /// meanwhile.
    async fn drop_gone(&mut self, puts: &mut Vec<(usize, i64)>) -> Result<(), Fault> {
        // Most tables never see a deletion.
        let any = statements::any_gone(self.layout);
        if puts.is_empty() || self.session.row(&any, vec![]).await?.is_none() {
            return Ok(());
        }
        let hashes: Vec<Vec<Value>> = puts
            .iter()
            .map(|&(row, _)| vec![Value::from(hash(&self.columns, &self.stored, row).as_slice())])
            .collect();
        let mut gone = HashMap::new();
        for piece in pieces(&hashes, MANY, self.session.packet) {
            let query = statements::find_gone(self.layout, piece.len());
            let hashes = hashes[piece].iter().flatten().cloned().collect();
            for row in self.session.rows(&query, hashes).await? {
                let found = value::<Vec<u8>>(&row, 0).zip(value::<i64>(&row, 1));
                gone.extend(found);
            }
        }
        puts.retain(|&(row, version)| {
            let there = gone.get(hash(&self.columns, &self.stored, row).as_slice());
            there.is_none_or(|&there| version > there)
        });
        Ok(())
    }

    async fn delete(&mut self, deletes: &[(usize, i64)]) -> Result<(), Fault> {
        let mut named = Vec::new();
        let mut remembered = Vec::new();
        for &(row, version) in deletes {
            let cells = self.cells(row);
            let mut key = cells.key(&self.columns);
            key.push(version.into());
            named.push(key);
            let mut gone = cells.key(&self.columns);
            gone.pop();
            let hash = hash(&self.columns, &self.stored, row);
            gone.extend([version.into(), Value::from(hash.as_slice())]);
            remembered.push(gone);
        }
        let (layout, dialect) = (self.layout, self.session.dialect);
        self.send(named, NAMED, |count| statements::take(layout, count)).await?;
        self.send(remembered, MANY, |count| statements::remember(layout, dialect, count)).await
    }

    async fn add(&mut self, changes: &[Change], count: &str) -> Result<(), Fault> {
        let at = self.layout.schema.index_of(count).unwrap_or_default();
        let one = |change: &Change| {
            let Action::Add(delta) = change.action else { return None };
            let mut cells = self.cells(change.row);
            cells.values[at] = delta.into();
            let beyond = cells.beyond();
            Some(cells.values.into_iter().chain([Value::Bytes(cells.long), beyond]).collect())
        };
        let rows = changes.iter().filter_map(one).collect();
        let (layout, dialect) = (self.layout, self.session.dialect);
        let sent = self.send(rows, MANY, |count| statements::add(layout, dialect, count)).await;
        sent.map_err(|fault| too_large(fault, layout))
    }

    async fn send(
        &mut self,
        mut rows: Vec<Vec<Value>>,
        most: usize,
        statement: impl Fn(usize) -> String,
    ) -> Result<(), Fault> {
        let packet = self.session.packet;
        if let Some(row) = rows.iter().find(|row| bytes(row) > packet.saturating_sub(HEAD)) {
            return Err(too_wide(bytes(row), packet, self.layout).into());
        }
        for piece in pieces(&rows, most, packet) {
            let statement = statement(piece.len());
            let values = rows[piece].iter_mut().flat_map(std::mem::take).collect();
            self.session.run(&statement, values).await?;
        }
        Ok(())
    }

    fn cells(&self, row: usize) -> Cells {
        Cells::of(&self.columns, &self.stored, row)
    }
}

/// Some servers hang up on it, as if they were gone.
fn too_wide(bytes: usize, packet: usize, layout: &Layout) -> SinkError {
    SinkError::refused(
        format!("write a row to table {}", layout.table),
        format!("it has {bytes} bytes, and the server takes {packet} at once"),
        "raise max_allowed_packet on the server, or pass the record with `millstream position skip`",
    )
}

fn too_large(fault: Fault, layout: &Layout) -> Fault {
    if !fault.code().is_some_and(|code| OUT_OF_RANGE.contains(&code)) {
        return fault;
    }
    let refused = SinkError::refused(
        format!(
            "add to column {:?} of table {}",
            counted(layout).unwrap_or_default(),
            layout.table
        ),
        "the sum is beyond 64 bits",
        "correct the deltas and name a new table",
    );
    refused.into()
}
