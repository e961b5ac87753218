//! SQL text for a layout. Every name is quoted; the rows of a statement are placeholders.

use super::columns::{BEYOND, Columns, HASH, Kind, LONG, counted};
use super::dialect::Dialect;
use crate::sql::layout::{Kept, Layout, VERSION};

const NAME_CHARS: usize = 64;
const GONE: &str = "_millstream_gone_";

/// The name as it stands in a statement.
pub(super) fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// The tables beside the user's. `table_name` is part of every key: a pipeline that is given a new table starts it at its
/// own genesis. `made`: 0 while the table is being made. `writer`: which try it was that wrote the entry.
pub(super) fn system_tables(dialect: Dialect) -> [(&'static str, String); 3] {
    let collation = dialect.collation();
    let of_table = "table_name VARCHAR(64) NOT NULL, pipeline VARCHAR(191) NOT NULL";
    let at = format!(
        "{of_table}, topic VARCHAR(249) NOT NULL, `partition` INT UNSIGNED NOT NULL, seq BIGINT NOT NULL"
    );
    let end = format!("ENGINE=InnoDB ROW_FORMAT=DYNAMIC CHARACTER SET utf8mb4 COLLATE {collation}");
    [
        (
            "_millstream_owner",
            format!(
                "CREATE TABLE IF NOT EXISTS _millstream_owner ({of_table}, keeping LONGTEXT NOT NULL, \
                 `schema` LONGTEXT NOT NULL, made BOOLEAN NOT NULL, PRIMARY KEY (table_name)) {end}"
            ),
        ),
        (
            "_millstream_position",
            format!(
                "CREATE TABLE IF NOT EXISTS _millstream_position ({at}, \
                 PRIMARY KEY (table_name, pipeline, topic, `partition`)) {end}"
            ),
        ),
        (
            "_millstream_ledger",
            format!(
                "CREATE TABLE IF NOT EXISTS _millstream_ledger ({at}, entry LONGTEXT NOT NULL, writer CHAR(32) NOT NULL, \
                 PRIMARY KEY (table_name, pipeline, topic, `partition`, seq)) {end}"
            ),
        ),
    ]
}

/// What makes the table, and the one for deleted keys.
pub(super) fn create(layout: &Layout, dialect: Dialect) -> Vec<String> {
    let columns = Columns::of(layout);
    let declared: Vec<_> =
        columns.all.iter().map(|column| declare(layout, column, dialect)).collect();
    let key: Vec<_> = columns.key.iter().map(|&index| quoted(&columns.all[index].0)).collect();
    let version = format!("{} BIGINT NOT NULL", quoted(VERSION));
    let invisible = dialect.invisible();
    let long = format!("{} VARBINARY(32) NOT NULL DEFAULT '' {invisible}", quoted(LONG));
    let beyond = format!("{} {} {invisible}", quoted(BEYOND), Kind::Text.sql(dialect));
    let end = format!(
        "ENGINE=InnoDB ROW_FORMAT=DYNAMIC CHARACTER SET utf8mb4 COLLATE {}",
        dialect.collation()
    );
    let table = |name: &str, parts: Vec<String>, key: String| {
        format!(
            "CREATE TABLE IF NOT EXISTS {name} ({}, PRIMARY KEY ({key})) {end}",
            parts.join(", ")
        )
    };
    let primary = format!("{}, {}", key.join(", "), quoted(LONG));
    let name = quoted(&layout.table);
    match &layout.kept {
        Kept::Count { .. } => vec![table(&name, [declared, vec![long, beyond]].concat(), primary)],
        Kept::Upsert { .. } => {
            let keys: Vec<_> = columns.key.iter().map(|&index| declared[index].clone()).collect();
            let hash = format!("{} BINARY(32) NOT NULL", quoted(HASH));
            vec![
                table(&name, [declared, vec![version.clone(), long, beyond]].concat(), primary),
                table(&gone(&layout.table), [keys, vec![version, hash]].concat(), quoted(HASH)),
            ]
        }
    }
}

fn declare(layout: &Layout, (name, kind): &(String, Kind), dialect: Dialect) -> String {
    let required = layout.kept.required().contains(name);
    format!("{} {}{}", quoted(name), kind.sql(dialect), if required { " NOT NULL" } else { "" })
}

/// `column`: of the grown layout.
pub(super) fn add_column(layout: &Layout, column: &(String, Kind), dialect: Dialect) -> String {
    format!("ALTER TABLE {} ADD COLUMN {}", quoted(&layout.table), declare(layout, column, dialect))
}

/// Per row: the columns in order, version, [`LONG`], [`BEYOND`]. What is there stays unless the version is higher.
///
/// The servers work the changes off from left to right, each seeing the ones before: the version comes last.
pub(super) fn upsert(layout: &Layout, dialect: Dialect, rows: usize) -> String {
    let table = quoted(&layout.table);
    let names: Vec<_> = layout.schema.fields().iter().map(|field| quoted(field.name())).collect();
    let version = quoted(VERSION);
    let inserted: Vec<_> =
        names.iter().cloned().chain([version.clone(), quoted(LONG), quoted(BEYOND)]).collect();
    let newer = format!("{} > {table}.{version}", dialect.inserted(&version));
    let values = layout.schema.fields().iter().filter(|field| !layout.is_key(field));
    let changes: Vec<_> = values
        .map(|field| quoted(field.name()))
        .chain([quoted(BEYOND), version])
        .map(|name| format!("{name} = IF({newer}, {}, {table}.{name})", dialect.inserted(&name)))
        .collect();
    format!(
        "INSERT INTO {table} ({}) VALUES {}{} ON DUPLICATE KEY UPDATE {}",
        inserted.join(", "),
        tuples(inserted.len(), rows),
        dialect.rows_alias(),
        changes.join(", ")
    )
}

/// Per row: the columns in order, the delta in the place of the count, [`LONG`], [`BEYOND`].
pub(super) fn add(layout: &Layout, dialect: Dialect, rows: usize) -> String {
    let table = quoted(&layout.table);
    let count = quoted(counted(layout).unwrap_or_default());
    let names = layout.schema.fields().iter().map(|field| quoted(field.name()));
    let names: Vec<_> = names.chain([quoted(LONG), quoted(BEYOND)]).collect();
    format!(
        "INSERT INTO {table} ({}) VALUES {}{} ON DUPLICATE KEY UPDATE {count} = {table}.{count} + {}",
        names.join(", "),
        tuples(names.len(), rows),
        dialect.rows_alias(),
        dialect.inserted(&count)
    )
}

/// Per row: the key's columns, [`LONG`], the version. Takes rows away unless they are newer.
pub(super) fn take(layout: &Layout, rows: usize) -> String {
    let key = layout.kept.key().iter().map(|name| quoted(name)).chain([quoted(LONG)]);
    let is_key: Vec<_> = key.map(|name| format!("{name} = ?")).collect();
    let one = format!("({} AND {} < ?)", is_key.join(" AND "), quoted(VERSION));
    format!("DELETE FROM {} WHERE {}", quoted(&layout.table), vec![one; rows].join(" OR "))
}

/// Per row: the key's columns, the version, [`HASH`]. Remembers deleted keys with their highest version.
pub(super) fn remember(layout: &Layout, dialect: Dialect, rows: usize) -> String {
    let table = gone(&layout.table);
    let version = quoted(VERSION);
    let names = layout.kept.key().iter().map(|name| quoted(name));
    let names: Vec<_> = names.chain([version.clone(), quoted(HASH)]).collect();
    format!(
        "INSERT INTO {table} ({}) VALUES {}{} ON DUPLICATE KEY UPDATE {version} = GREATEST({table}.{version}, {})",
        names.join(", "),
        tuples(names.len(), rows),
        dialect.rows_alias(),
        dialect.inserted(&version)
    )
}

/// Whether any key was ever deleted.
pub(super) fn any_gone(layout: &Layout) -> String {
    format!("SELECT 1 FROM {} LIMIT 1", gone(&layout.table))
}

/// [`HASH`] and version of those of so many keys that were deleted.
pub(super) fn find_gone(layout: &Layout, rows: usize) -> String {
    let (hash, version) = (quoted(HASH), quoted(VERSION));
    let some = vec!["?"; rows].join(", ");
    format!("SELECT {hash}, {version} FROM {} WHERE {hash} IN ({some})", gone(&layout.table))
}

/// Every row: its columns, [`BEYOND`], and the version where it is upserted.
pub(super) fn select(layout: &Layout, by_version: bool) -> String {
    let names = layout.schema.fields().iter().map(|field| quoted(field.name()));
    let mut names: Vec<_> = names.chain([quoted(BEYOND)]).collect();
    let version = quoted(VERSION);
    let order = if by_version { format!(" ORDER BY {version}") } else { String::new() };
    if by_version {
        names.push(version);
    }
    format!("SELECT {} FROM {}{order}", names.join(", "), quoted(&layout.table))
}

pub(super) fn count_all(layout: &Layout) -> String {
    format!("SELECT COUNT(*) FROM {}", quoted(&layout.table))
}

/// The table of deleted keys; of a long name its beginning and a hash.
fn gone(table: &str) -> String {
    let room = NAME_CHARS - GONE.len();
    if table.chars().count() <= room {
        return quoted(&format!("{GONE}{table}"));
    }
    let hash = super::cells::hex(&openssl::sha::sha256(table.as_bytes())[..8]);
    let beginning: String = table.chars().take(room - hash.len() - 1).collect();
    quoted(&format!("{GONE}{beginning}_{hash}"))
}

fn tuples(columns: usize, rows: usize) -> String {
    let one = format!("({})", vec!["?"; columns].join(", "));
    vec![one; rows].join(", ")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::{DataType, Field, Schema};

    use super::*;

    const MYSQL: Dialect = Dialect { maria: false, version: (9, 7, 4) };
    const MARIA: Dialect = Dialect { maria: true, version: (10, 11, 19) };

    fn layout(kept: Kept) -> Layout {
        let fields =
            vec![Field::new("id", DataType::Utf8, true), Field::new("n`m", DataType::Int64, true)];
        Layout::new("users", &kept, &Arc::new(Schema::new(fields))).unwrap()
    }

    fn upserted() -> Layout {
        layout(Kept::Upsert { key: vec!["id".to_owned()] })
    }

    #[test]
    fn the_version_changes_last() {
        assert_eq!(
            upsert(&upserted(), MYSQL, 2),
            "INSERT INTO `users` (`id`, `n``m`, `_version`, `_long`, `_beyond`) \
             VALUES (?, ?, ?, ?, ?), (?, ?, ?, ?, ?) AS _new ON DUPLICATE KEY UPDATE \
             `n``m` = IF(_new.`_version` > `users`.`_version`, _new.`n``m`, `users`.`n``m`), \
             `_beyond` = IF(_new.`_version` > `users`.`_version`, _new.`_beyond`, `users`.`_beyond`), \
             `_version` = IF(_new.`_version` > `users`.`_version`, _new.`_version`, `users`.`_version`)"
        );
        let maria = upsert(&upserted(), MARIA, 1);
        assert!(maria.ends_with(
            "`_version` = IF(VALUES(`_version`) > `users`.`_version`, VALUES(`_version`), `users`.`_version`)"
        ), "{maria}");
    }

    #[test]
    fn deltas_are_added_on_the_server() {
        let layout = layout(Kept::Count { key: vec!["id".to_owned()], count: "n`m".to_owned() });
        assert_eq!(
            add(&layout, MARIA, 1),
            "INSERT INTO `users` (`id`, `n``m`, `_long`, `_beyond`) VALUES (?, ?, ?, ?) \
             ON DUPLICATE KEY UPDATE `n``m` = `users`.`n``m` + VALUES(`n``m`)"
        );
        let [made] = create(&layout, MYSQL).try_into().unwrap();
        assert_eq!(
            made,
            "CREATE TABLE IF NOT EXISTS `users` (`id` VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin NOT NULL, \
             `n``m` BIGINT NOT NULL, `_long` VARBINARY(32) NOT NULL DEFAULT '' /*!80023 INVISIBLE */, \
             `_beyond` LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin /*!80023 INVISIBLE */, \
             PRIMARY KEY (`id`, `_long`)) ENGINE=InnoDB ROW_FORMAT=DYNAMIC CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin"
        );
    }

    #[test]
    fn deletes_go_by_key_and_version() {
        assert_eq!(
            take(&upserted(), 2),
            "DELETE FROM `users` WHERE (`id` = ? AND `_long` = ? AND `_version` < ?) OR \
             (`id` = ? AND `_long` = ? AND `_version` < ?)"
        );
        assert_eq!(
            remember(&upserted(), MYSQL, 1),
            "INSERT INTO `_millstream_gone_users` (`id`, `_version`, `_hash`) VALUES (?, ?, ?) AS _new \
             ON DUPLICATE KEY UPDATE `_version` = GREATEST(`_millstream_gone_users`.`_version`, _new.`_version`)"
        );
    }

    #[test]
    fn names_of_deleted_keys_tables_are_short_enough_and_differ() {
        let long = "x".repeat(63);
        let (a, b) = (gone(&format!("{long}a")), gone(&format!("{long}b")));
        assert!(a != b && a.len() == 66 && b.len() == 66, "{a} {b}");
        assert_eq!(gone("x"), "`_millstream_gone_x`");
    }
}
