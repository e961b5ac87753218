//! Users as they stand in a topic, read without our code.

use std::collections::BTreeSet;

use crate::{Data, disk};

/// `name$address$year`; a backslash takes the meaning from what follows it.
pub fn user(text: &str) -> [String; 3] {
    let mut fields = vec![String::new()];
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match c {
            '$' => fields.push(String::new()),
            '\\' => fields.last_mut().unwrap().extend(characters.next()),
            other => fields.last_mut().unwrap().push(other),
        }
    }
    fields.try_into().unwrap()
}

/// The table's, read by SQLite alone: each once.
pub fn in_table(data: &Data) -> BTreeSet<[String; 3]> {
    let sql = "SELECT name, address, date FROM user_details_5";
    let rows = disk::rows(&disk::database(data, "my_keyspace"), sql);
    let users: BTreeSet<_> = rows.iter().cloned().collect();
    assert_eq!(users.len(), rows.len(), "a user is there twice");
    users
}

/// Panics unless all are in both; tells the first ones that are in one only.
#[track_caller]
pub fn assert_same(found: &BTreeSet<[String; 3]>, expected: &BTreeSet<[String; 3]>) {
    let differing: Vec<_> = found.symmetric_difference(expected).take(3).collect();
    assert!(differing.is_empty(), "in one of the two only: {differing:?}");
}
