//! The transaction of a range: position, rows, ledger; all or nothing.

use millstream_engine::ledger::Assignment;
use millstream_engine::{Outcome, Range, SinkError};
use rusqlite::types::{ToSqlOutput, Value};
use rusqlite::{
    CachedStatement, Connection, Transaction, TransactionBehavior, ffi, params_from_iter,
};

use super::faults::Fault;
use super::layout::{Kept, Layout};
use super::merge::{Action, Change, Merged};
use super::owner::{Owned, check_owner};
use super::positions;
use super::statements;
use super::values::Stored;

/// `owned`: the table as it was when last looked at; looked at again in here.
pub(super) fn commit(
    connection: &mut Connection,
    owned: &mut Owned,
    assignment: &Assignment,
    range: &Range,
    merged: &Merged,
) -> Result<Outcome, Fault> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let table = owned.layout.table.clone();
    if !positions::advance(&transaction, &table, assignment, range.entry.seq)? {
        return Ok(Outcome::Superseded);
    }
    look_again(&transaction, owned)?;
    match &owned.layout.kept {
        Kept::Upsert { .. } => upsert(&transaction, &owned.layout, merged)?,
        Kept::Count { count, .. } => add(&transaction, &owned.layout, count, merged)?,
    }
    positions::append(&transaction, &table, assignment, &range.entry)?;
    transaction.commit()?;
    Ok(Outcome::Committed)
}

/// A newer worker may have added columns since; a row of ours has null there, not what an older row had.
fn look_again(transaction: &Transaction<'_>, owned: &mut Owned) -> Result<(), Fault> {
    let mut query = transaction.prepare_cached(
        "SELECT 1 FROM _millstream_owner WHERE table_name = ? AND pipeline = ? AND schema = ?",
    )?;
    if query.exists([&owned.layout.table, &owned.pipeline, &owned.schema_text])? {
        return Ok(());
    }
    let table = &owned.layout.table;
    let Some(now) = positions::owned(transaction, table)? else {
        let why = "the owner's record is gone";
        return Err(SinkError::refused(
            format!("write to table {table}"),
            why,
            "restart the worker",
        )
        .into());
    };
    check_owner(&now.pipeline, table, &owned.pipeline)?;
    *owned = now;
    Ok(())
}

fn upsert(transaction: &Transaction<'_>, layout: &Layout, merged: &Merged) -> Result<(), Fault> {
    let columns = in_order(layout, merged);
    let keys = key_columns(layout, merged);
    let mut put = transaction.prepare_cached(&statements::upsert(layout))?;
    let [take, remember] = statements::delete(layout);
    let mut take = transaction.prepare_cached(&take)?;
    let mut remember = transaction.prepare_cached(&remember)?;
    for &Change { row, action } in &merged.changes {
        match action {
            Action::Put(version) => run(&mut put, &columns, row, version)?,
            Action::Delete(version) => {
                run(&mut take, &keys, row, version)?;
                run(&mut remember, &keys, row, version)?;
            }
            Action::Add(_) => {}
        }
    }
    Ok(())
}

/// Values of the row, then the number.
fn run(
    statement: &mut CachedStatement<'_>,
    columns: &[Option<&Stored>],
    row: usize,
    number: i64,
) -> rusqlite::Result<()> {
    let number = ToSqlOutput::Owned(Value::Integer(number));
    let values = columns.iter().map(|column| bound(*column, row)).chain([number]);
    statement.execute(params_from_iter(values)).map(|_| ())
}

fn add(
    transaction: &Transaction<'_>,
    layout: &Layout,
    count: &str,
    merged: &Merged,
) -> Result<(), Fault> {
    let columns = in_order(layout, merged);
    let at = layout.schema.index_of(count).unwrap_or_default();
    let mut add = transaction.prepare_cached(&statements::add(layout, count))?;
    for &Change { row, action } in &merged.changes {
        let Action::Add(delta) = action else { continue };
        let values = columns.iter().enumerate().map(|(index, column)| {
            if index == at {
                ToSqlOutput::Owned(Value::Integer(delta))
            } else {
                bound(*column, row)
            }
        });
        add.execute(params_from_iter(values)).map_err(|error| too_large(error, layout, count))?;
    }
    Ok(())
}

fn too_large(error: rusqlite::Error, layout: &Layout, count: &str) -> Fault {
    let checked =
        error.sqlite_error().is_some_and(|e| e.extended_code == ffi::SQLITE_CONSTRAINT_CHECK);
    if !checked {
        return error.into();
    }
    let refused = SinkError::refused(
        format!("add to column {count:?} of table {}", layout.table),
        "the sum is beyond 64 bits",
        "correct the deltas and name a new table",
    );
    refused.into()
}

fn bound(column: Option<&Stored>, row: usize) -> ToSqlOutput<'_> {
    column.map_or(ToSqlOutput::Owned(Value::Null), |column| column.value(row))
}

/// The table's columns in order; `None`: the range knows nothing of it.
fn in_order<'a>(layout: &Layout, merged: &'a Merged) -> Vec<Option<&'a Stored>> {
    layout.schema.fields().iter().map(|field| merged.column(field.name())).collect()
}

fn key_columns<'a>(layout: &Layout, merged: &'a Merged) -> Vec<Option<&'a Stored>> {
    layout.kept.key().iter().map(|name| merged.column(name)).collect()
}
