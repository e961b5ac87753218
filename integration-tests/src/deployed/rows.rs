use std::collections::BTreeMap;

/// A row as a server's client shows it: every column as text, nulls as "NULL".
pub type Row = BTreeMap<String, String>;

/// Panics unless both hold the same rows, each as often, as far as these columns go ("id, name").
#[track_caller]
pub fn assert_same(table: &str, columns: &str, expected: &[Row], found: &[Row]) {
    let columns: Vec<_> = columns.split(", ").collect();
    let (expected, found) = (counted(expected, &columns), counted(found, &columns));
    assert!(!expected.is_empty(), "nothing is expected in {table}");
    let missing = expected.iter().find(|(row, count)| found.get(*row) != Some(count));
    let more = found.iter().find(|(row, count)| expected.get(*row) != Some(count));
    assert!(
        missing.is_none() && more.is_none(),
        "{table}: missing or another time: {missing:?}; too much: {more:?}"
    );
    println!("{table}: {} rows are the same", expected.values().sum::<usize>());
}

/// A row of what lies at these paths of a JSON value: `("latitude", "/location/latitude")`.
pub fn picked(value: &serde_json::Value, paths: &[(&str, &str)]) -> Row {
    let cell = |path| value.pointer(path).cloned().unwrap_or_default();
    let cells = paths.iter().map(|(name, path)| ((*name).to_owned(), cell(path)));
    super::as_row(&cells.collect::<serde_json::Map<_, _>>().into())
}

fn counted(rows: &[Row], columns: &[&str]) -> BTreeMap<Vec<String>, usize> {
    let mut counted = BTreeMap::new();
    for row in rows {
        let cell = |column: &&str| {
            normal(row.get(*column).unwrap_or_else(|| panic!("column {column} in {row:?}")))
        };
        *counted.entry(columns.iter().map(cell).collect()).or_default() += 1;
    }
    counted
}

/// Numbers and times as they are, however a client writes them.
fn normal(text: &str) -> String {
    if let Ok(number) = text.parse::<f64>() {
        return format!("{number:?}");
    }
    let bytes = text.as_bytes();
    let is_date = |bytes: &[u8]| bytes.iter().all(|c| c.is_ascii_digit() || *c == b'-');
    let is_time = bytes.len() >= 19
        && is_date(&bytes[..10])
        && matches!(bytes[10], b' ' | b'T')
        && bytes[13] == b':';
    if !is_time {
        return text.to_owned();
    }
    // Milliseconds, but where there are none.
    let fraction = text[19..].strip_prefix('.').unwrap_or_default();
    let digits: String = fraction.chars().take_while(char::is_ascii_digit).take(3).collect();
    format!("{} {}.{digits:0<3}", &text[..10], &text[11..19])
}
