use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions, UInt32Array, new_null_array,
};
use arrow::compute::{filter, filter_record_batch, prep_null_mask_filter, take, take_record_batch};
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::error::Result as PlanResult;
use datafusion::physical_plan::PhysicalExpr;

use crate::decode::Decoded;
use crate::lookup::Snapshot;

/// One step of a planned SELECT.
pub(super) enum Step {
    /// Keeps the columns at these places.
    Columns(Vec<usize>),
    Filter(Arc<dyn PhysicalExpr>),
    Project {
        schema: SchemaRef,
        columns: Vec<Arc<dyn PhysicalExpr>>,
    },
    /// One row per element of the list at `list`; `columns` says which input column each output column is.
    Unnest {
        schema: SchemaRef,
        list: usize,
        columns: Vec<usize>,
        keep_empty: bool,
    },
    /// Adds columns of the rows that `key` finds in a lookup table; a row for which it finds none gets nulls.
    LookUp {
        schema: SchemaRef,
        key: Arc<dyn PhysicalExpr>,
        /// Which of the statement's tables.
        lookup: usize,
        /// Places of its columns.
        columns: Vec<usize>,
    },
}

impl Step {
    /// `seen`: what the statement's tables hold; `None`: never read.
    pub(super) fn apply(
        &self,
        rows: Decoded,
        seen: &[Option<Arc<Snapshot>>],
    ) -> PlanResult<Decoded> {
        let Decoded { batch, origin } = rows;
        match self {
            Self::Columns(places) => Ok(Decoded { batch: batch.project(places)?, origin }),
            Self::Filter(predicate) => keep(predicate.as_ref(), &batch, origin),
            Self::Project { schema, columns } => {
                let columns = columns
                    .iter()
                    .map(|column| column.evaluate(&batch)?.into_array(batch.num_rows()))
                    .collect::<PlanResult<_>>()?;
                Ok(Decoded { batch: build(schema, columns, origin.len())?, origin })
            }
            Self::Unnest { schema, list, columns, keep_empty } => {
                unnest_rows(&batch, &origin, schema, *list, columns, *keep_empty)
            }
            Self::LookUp { schema, key, lookup, columns } => {
                let key = key.evaluate(&batch)?.into_array(batch.num_rows())?;
                let found = seen.get(*lookup).and_then(Option::as_deref);
                let batch = look_up(&batch, &key, schema, found, columns)?;
                Ok(Decoded { batch, origin })
            }
        }
    }
}

fn build(schema: &SchemaRef, columns: Vec<ArrayRef>, rows: usize) -> PlanResult<RecordBatch> {
    let plain: Vec<_> =
        schema.fields().iter().map(|f| f.as_ref().clone().with_metadata([].into())).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(Arc::new(Schema::new(plain)), columns, &options)?)
}

fn keep(
    predicate: &dyn PhysicalExpr,
    batch: &RecordBatch,
    origin: Vec<u32>,
) -> PlanResult<Decoded> {
    let mask = predicate.evaluate(batch)?.into_array(batch.num_rows())?;
    let mask = match mask.as_boolean() {
        mask if mask.null_count() > 0 => prep_null_mask_filter(mask),
        mask => mask.clone(),
    };
    if mask.true_count() == batch.num_rows() {
        return Ok(Decoded { batch: batch.clone(), origin });
    }
    let origin = filter(&UInt32Array::from(origin), &mask)?;
    let origin = origin.as_primitive::<arrow::datatypes::UInt32Type>().values().to_vec();
    Ok(Decoded { batch: filter_record_batch(batch, &mask)?, origin })
}

fn look_up(
    batch: &RecordBatch,
    key: &ArrayRef,
    schema: &SchemaRef,
    snapshot: Option<&Snapshot>,
    columns: &[usize],
) -> PlanResult<RecordBatch> {
    let mut all = batch.columns().to_vec();
    let added = schema.fields().iter().skip(all.len());
    match snapshot {
        Some(snapshot) => {
            let rows = snapshot.find(key)?;
            for place in columns {
                all.push(snapshot.column(*place, &rows)?);
            }
        }
        None => all.extend(added.map(|field| new_null_array(field.data_type(), batch.num_rows()))),
    }
    build(schema, all, batch.num_rows())
}

fn unnest_rows(
    batch: &RecordBatch,
    origin: &[u32],
    schema: &SchemaRef,
    list: usize,
    columns: &[usize],
    keep_empty: bool,
) -> PlanResult<Decoded> {
    let lists = batch.column(list).as_list::<i32>();
    let mut from = Vec::new();
    let mut element = Vec::new();
    for row in 0..batch.num_rows() {
        let (first, last) = (lists.value_offsets()[row], lists.value_offsets()[row + 1]);
        if lists.is_null(row) {
            from.extend(keep_empty.then_some(row as u32));
            element.extend(keep_empty.then_some(None));
            continue;
        }
        from.extend((first..last).map(|_| row as u32));
        element.extend((first..last).map(|place| Some(place as u32)));
    }
    let rows = from.len();
    let elements = take(lists.values(), &UInt32Array::from(element), None)?;
    let repeated = take_record_batch(batch, &UInt32Array::from(from.clone()))?;
    let columns = columns
        .iter()
        .map(
            |place| if *place == list { elements.clone() } else { repeated.column(*place).clone() },
        )
        .collect();
    let origin = from.iter().map(|row| origin[*row as usize]).collect();
    Ok(Decoded { batch: build(schema, columns, rows)?, origin })
}
