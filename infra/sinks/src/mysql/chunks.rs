//! Many rows by few statements. A statement's text depends on how many rows it has; a handful of sizes is prepared once
//! and used again.

use std::ops::Range;

use mysql_async::Value;

/// How many placeholders a statement may have.
const PLACEHOLDERS: usize = 65_535;
/// How many rows one has at most: more don't make it faster.
pub(super) const MANY: usize = 256;
/// Each size is so many times the next smaller one.
const STEP: usize = 4;
/// A statement's values, in bytes, unless one row alone has more.
const BYTES: usize = 4 << 20;

/// Cuts rows into pieces of prepared sizes. `packet`: the server's `max_allowed_packet`, in bytes.
pub(super) fn pieces(rows: &[Vec<Value>], most: usize, packet: usize) -> Vec<Range<usize>> {
    let width = rows.first().map_or(1, Vec::len).max(1);
    let most = most.min(PLACEHOLDERS / width).max(1);
    let limit = BYTES.min(packet / 2);
    let mut pieces = Vec::new();
    let mut start = 0;
    while start < rows.len() {
        let size = prepared(fitting(&rows[start..], most, limit));
        pieces.push(start..start + size);
        start += size;
    }
    pieces
}

/// How many of the first rows go into one statement.
fn fitting(rows: &[Vec<Value>], most: usize, limit: usize) -> usize {
    let mut sum = 0;
    let fits = |row: &&Vec<Value>| {
        sum += bytes(row);
        sum <= limit
    };
    rows.iter().take(most).take_while(fits).count().max(1)
}

/// The largest prepared size up to `rows`.
fn prepared(rows: usize) -> usize {
    let mut size = MANY;
    while size > rows {
        size /= STEP;
    }
    size.max(1)
}

/// What a row takes, in bytes, or a little less.
pub(super) fn bytes(row: &[Value]) -> usize {
    row.iter().map(size).sum()
}

fn size(value: &Value) -> usize {
    match value {
        Value::Bytes(bytes) => bytes.len() + 9,
        _ => 12,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(rows: &[Vec<Value>], packet: usize) -> Vec<usize> {
        let pieces = pieces(rows, MANY, packet);
        let covered: Vec<_> = pieces.iter().cloned().flatten().collect();
        assert_eq!(covered, (0..rows.len()).collect::<Vec<_>>(), "each row once, in order");
        pieces.into_iter().map(|piece| piece.len()).collect()
    }

    #[test]
    fn few_sizes_are_used() {
        let row = vec![Value::Int(1)];
        assert_eq!(lengths(&vec![row.clone(); 600], 64 << 20), [256, 256, 64, 16, 4, 4]);
        assert_eq!(lengths(&vec![row.clone(); 3], 64 << 20), [1, 1, 1]);
        assert_eq!(lengths(&[], 64 << 20), [0; 0]);
        let wide = vec![Value::Int(1); 1_000];
        assert_eq!(lengths(&vec![wide; 70], 64 << 20), [64, 4, 1, 1]);
    }

    #[test]
    fn packets_are_not_overrun() {
        let row = vec![Value::Bytes(vec![0; 1_000])];
        assert_eq!(lengths(&vec![row; 20], 16_384), [4, 4, 4, 4, 4]);
        let large = vec![Value::Bytes(vec![0; 100_000])];
        assert_eq!(lengths(&vec![large; 2], 16_384), [1, 1], "the server says what it can't take");
    }
}
