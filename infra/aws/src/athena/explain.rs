//! Failures of statements, told by what to do about them. The words are those of Athena's engine, Trino.

use super::Athena;
use crate::AwsError;
use crate::faults::named;

/// Of a line of SQL that is shown.
const WIDTH: usize = 100;

impl Athena {
    /// A statement that was begun and failed.
    pub(super) fn failed(&self, sql: &str, id: &str, why: &str) -> AwsError {
        let doing = format!("run {}", self.asking(id));
        let told = one_line(why);
        let told = told.trim_end_matches('.');
        match remedy(why, &self.0.database) {
            Some(remedy) => AwsError::refused(doing, told, remedy + &pointed(sql, why)),
            None => AwsError::unavailable(doing, format!("{told}; run it again")),
        }
    }

    /// A statement that was refused before it was begun: where that was for its text, its place is shown.
    pub(super) fn not_started(&self, sql: &str, error: AwsError) -> AwsError {
        match error {
            AwsError::Refused { doing, why, .. } if why.contains("No output location") => {
                let workgroup = &self.0.workgroup;
                let remedy = format!(
                    "give workgroup {workgroup} a place for results (Terraform does; or `aws athena update-work-group`), or name another one by --workgroup"
                );
                AwsError::refused(doing, why, remedy)
            }
            AwsError::Refused { doing, why, .. } if position(&why).is_some() => {
                let remedy = remedy(&why, &self.0.database).unwrap_or_else(|| CORRECT.to_owned());
                let pointed = pointed(sql, &why);
                AwsError::refused(doing, why, remedy + &pointed)
            }
            error => error,
        }
    }
}

const CORRECT: &str = "correct the query";

/// What to do; `None`: it passes.
fn remedy(why: &str, database: &str) -> Option<String> {
    if let Some((action, resource)) = named(why) {
        return Some(format!("allow {action} on {resource} in the policies of these credentials"));
    }
    let has = |parts: &[&str]| parts.iter().any(|part| why.contains(part));
    let remedy = if has(&["Lake Formation"]) {
        "grant these credentials SELECT on the table in Lake Formation".to_owned()
    } else if has(&["Access denied when writing", "Unable to verify/create output bucket"]) {
        "allow s3:PutObject and s3:GetBucketLocation on the workgroup's place for results"
            .to_owned()
    } else if has(&["Access Denied", "Access denied", "AccessDenied", "Status Code: 403"]) {
        "allow s3:GetObject on the table's directory and s3:ListBucket on its bucket, glue:GetTable and glue:GetPartitions on the table, and kms:Decrypt where it is encrypted by a key of yours".to_owned()
    } else if has(&["TABLE_NOT_FOUND", "SCHEMA_NOT_FOUND"])
        || (has(&["Table "]) && has(&["does not exist"]))
    {
        format!(
            "name one of database {database} (`SHOW TABLES`), another database by --database, or find new ones by `millstream crawl`"
        )
    } else if has(&["COLUMN_NOT_FOUND", "cannot be resolved"]) {
        "name a column that the table has (`DESCRIBE` shows them); names in double quotes keep no upper case in Glue".to_owned()
    } else if has(&["HIVE_PARTITION_SCHEMA_MISMATCH"]) {
        "give the partition the table's columns: `millstream crawl`, or drop it and have it registered again".to_owned()
    } else if has(&[
        "HIVE_BAD_DATA",
        "HIVE_CANNOT_OPEN_SPLIT",
        "HIVE_CURSOR_ERROR",
        "HIVE_INVALID_METADATA",
        "HIVE_UNKNOWN_ERROR",
    ]) {
        "see that the type in the catalog is the one in the file, that nothing but the table's files is below its location, and that the file is still there".to_owned()
    } else if has(&["HIVE_METASTORE_ERROR", "HIVE_INVALID_PARTITION_VALUE"]) {
        "see the table's definition in the catalog: `millstream doctor` looks at it".to_owned()
    } else if has(&["Bytes scanned limit", "scanned limit"]) {
        "narrow the query by its partitions, or raise the workgroup's scan limit (Terraform)"
            .to_owned()
    } else if has(&[
        "EXCEEDED_TIME_LIMIT",
        "Query timeout",
        "exhausted resources",
        "EXCEEDED_MEMORY_LIMIT",
    ]) {
        "narrow the query: fewer partitions, fewer columns, no ORDER BY without LIMIT".to_owned()
    } else if has(&[
        "SlowDown",
        "reduce your request rate",
        "GENERIC_INTERNAL_ERROR",
        "INTERNAL_ERROR_QUERY_ENGINE",
    ]) {
        return None;
    } else {
        CORRECT.to_owned()
    };
    Some(remedy)
}

/// Without marks that were to stand below something.
fn one_line(why: &str) -> String {
    let is_mark = |line: &&str| line.chars().all(|c| c == '^');
    let lines: Vec<_> = why.lines().map(str::trim).filter(|line| !is_mark(line)).collect();
    lines.join(" ")
}

/// Line and column of the statement, both from 1, where the reason names them.
fn position(why: &str) -> Option<(usize, usize)> {
    why.match_indices("line ").find_map(|(at, found)| {
        let (line, rest) = why[at + found.len()..].split_once(':')?;
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        Some((line.parse().ok()?, digits.parse().ok()?))
    })
}

/// That line of the statement, with a mark below the place; empty where none is named.
fn pointed(sql: &str, why: &str) -> String {
    let Some((line, column)) = position(why) else { return String::new() };
    let Some(text) = line.checked_sub(1).and_then(|line| sql.lines().nth(line)) else {
        return String::new();
    };
    let column = column.saturating_sub(1);
    // A long line is shown from a bit before the place.
    let from = column.saturating_sub(WIDTH / 2);
    let shown: String =
        text.chars().skip(from).take(WIDTH).map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("\n  {shown}\n  {}^", " ".repeat(column - from))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Catalog;

    fn failed(sql: &str, why: &str) -> (bool, String) {
        let error = Catalog::named("lake").athena().failed(sql, "id-1", why);
        (error.is_retryable(), error.to_string())
    }

    #[test]
    fn the_place_in_the_statement_is_shown() {
        let sql = "SELECT id,\n       nam FROM users";
        let why = "COLUMN_NOT_FOUND: line 2:8: Column 'nam' cannot be resolved or requester is not authorized";
        let (_, told) = failed(sql, why);
        assert!(told.ends_with("\n         nam FROM users\n         ^"), "{told}");
        assert!(
            told.contains("DESCRIBE") && told.contains("query id-1 in workgroup primary"),
            "{told}"
        );
        let long = format!("SELECT {} FRM t", "x, ".repeat(200));
        let (_, told) = failed(&long, "SYNTAX_ERROR: line 1:609: mismatched input 'FRM'");
        let mut lines = told.lines().skip(1);
        let (shown, mark) = (lines.next().unwrap(), lines.next().unwrap());
        assert!(shown[mark.len() - 1..].starts_with("FRM"), "{told}");
        let (_, told) = failed("SELECT 1", "Parser Error: no\n\nLINE 1: SELEC\n        ^^^^^\n");
        assert!(told.ends_with("Parser Error: no LINE 1: SELEC; correct the query"), "{told}");
        for nonsense in ["line 9:9: x", "line :1", "line 1:", "line 0:0: x", "no place"] {
            assert_eq!(pointed("SELECT 1", nonsense), "", "{nonsense}");
        }
    }

    #[test]
    fn reasons_are_told_by_what_to_do() {
        for (why, expected) in [
            (
                "SYNTAX_ERROR: line 1:15: Table awsdatacatalog.lake.nothere does not exist",
                "database lake",
            ),
            ("TABLE_NOT_FOUND: line 1:15: Table 'x' does not exist", "millstream crawl"),
            (
                "HIVE_BAD_DATA: Field amount's type BINARY in parquet file s3://b/t/x.parquet is incompatible with type bigint",
                "type in the catalog",
            ),
            ("HIVE_CANNOT_OPEN_SPLIT: Error opening Hive split", "still there"),
            ("HIVE_CURSOR_ERROR: Failed to read", "type in the catalog"),
            (
                "HIVE_PARTITION_SCHEMA_MISMATCH: There is a mismatch",
                "partition the table's columns",
            ),
            ("HIVE_METASTORE_ERROR: Table is missing storage descriptor", "doctor"),
            (
                "Insufficient permissions to execute the query. User: arn:aws:iam::1:user/a is not authorized to perform: glue:GetTable on resource: arn:aws:glue:eu-west-1:1:table/lake/t because",
                "allow glue:GetTable on arn:aws:glue:eu-west-1:1:table/lake/t in",
            ),
            (
                "PERMISSION_DENIED: Access Denied (Service: Amazon S3; Status Code: 403; Error Code: AccessDenied)",
                "s3:GetObject",
            ),
            ("Access denied when writing output to url: s3://b/results/x.csv", "s3:PutObject"),
            ("Insufficient Lake Formation permission(s): Required Select on t", "Lake Formation"),
            ("Query cancelled! : Bytes scanned limit was exceeded", "scan limit"),
            ("EXCEEDED_TIME_LIMIT: Query timeout", "narrow"),
            ("Query exhausted resources at this scale factor", "narrow"),
            ("DIVISION_BY_ZERO", "correct the query"),
        ] {
            let (retryable, told) = failed("SELECT 1", why);
            assert!(!retryable && told.contains(expected), "{why}: {told}");
        }
        for why in ["GENERIC_INTERNAL_ERROR: null", "Please reduce your request rate (SlowDown)"] {
            assert!(failed("SELECT 1", why).0, "{why}");
        }
    }

    #[test]
    fn what_is_refused_at_once_is_told_as_well() {
        let athena = Catalog::named("lake").athena();
        let refuse = |why: &str| {
            athena.not_started("SELEC 1", AwsError::refused("run the query", why, "x")).to_string()
        };
        let told =
            refuse("AWS answered 400 InvalidRequestException: line 1:1: mismatched input 'SELEC'");
        assert!(told.ends_with("\n  SELEC 1\n  ^") && told.contains("correct the query"), "{told}");
        let told = refuse("AWS answered 400 InvalidRequestException: No output location provided");
        assert!(told.contains("place for results") && told.contains("--workgroup"), "{told}");
        assert_eq!(refuse("whatever"), "run the query: whatever; x");
    }
}
