use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use serde_json::json;

use super::spec::TableSpec;

/// A view that gives the texts of CSV their types, in the form in which Athena and Trino keep theirs. Made as
/// terraform/modules/catalog/views.tf makes it.
#[derive(Debug)]
pub(super) struct View {
    database: String,
    select: String,
    /// Name and Trino's type.
    columns: Vec<(String, String)>,
}

impl View {
    /// Of the table `<name>_csv`. The error says which column no text can become.
    pub fn of(spec: &TableSpec, database: &str) -> Result<Self, String> {
        let (mut shown, mut columns) = (Vec::new(), Vec::new());
        for (name, kind) in spec.columns.iter().chain(&spec.partitions) {
            let quoted = format!("\"{}\"", name.replace('"', "\"\""));
            let (cast, kind) = cast(kind, &quoted)
                .ok_or_else(|| format!("column {name} is {kind}, which no text becomes"))?;
            shown.push(format!("{cast} AS {quoted}"));
            columns.push((name.clone(), kind));
        }
        let select = format!("SELECT {} FROM \"{}_csv\"", shown.join(", "), spec.name);
        Ok(Self { database: database.to_owned(), select, columns })
    }

    /// As Glue keeps it.
    pub fn text(&self) -> String {
        let columns: Vec<_> =
            self.columns.iter().map(|(name, kind)| json!({ "name": name, "type": kind })).collect();
        let view = json!({
            "originalSql": self.select,
            "catalog": "awsdatacatalog",
            "schema": self.database,
            "columns": columns,
        });
        format!("/* Presto View: {} */", BASE64.encode(view.to_string()))
    }
}

/// How a text becomes a value of Glue's type, and what Trino calls that type. Nothing is null, as OpenCSVSerde can't tell
/// it from an empty text.
fn cast(kind: &str, column: &str) -> Option<(String, String)> {
    let text = format!("NULLIF({column}, '')");
    let as_type = |kind: &str| (format!("CAST({text} AS {kind})"), kind.to_owned());
    Some(match kind {
        "string" => (text, "varchar".to_owned()),
        "int" => as_type("integer"),
        "float" => as_type("real"),
        "tinyint" | "smallint" | "bigint" | "double" | "boolean" | "date" => as_type(kind),
        "timestamp" => {
            let utc = format!("from_iso8601_timestamp({text}) AT TIME ZONE 'UTC'");
            (format!("CAST({utc} AS timestamp(3))"), "timestamp(3)".to_owned())
        }
        decimal if decimal.starts_with("decimal(") => as_type(decimal),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::glue::Format;

    fn pairs(columns: &[(&str, &str)]) -> Vec<(String, String)> {
        columns.iter().map(|(name, kind)| ((*name).to_owned(), (*kind).to_owned())).collect()
    }

    #[test]
    fn a_view_gives_each_text_its_type() {
        let spec = TableSpec {
            name: "w".into(),
            location: "s3://b/w/".into(),
            format: Format::Csv,
            columns: pairs(&[("at", "timestamp"), ("city", "string"), ("n", "bigint")]),
            partitions: pairs(&[("date", "string")]),
        };
        let view = View::of(&spec, "lake").unwrap();
        assert_eq!(
            view.select,
            "SELECT CAST(from_iso8601_timestamp(NULLIF(\"at\", '')) AT TIME ZONE 'UTC' AS timestamp(3)) AS \"at\", \
             NULLIF(\"city\", '') AS \"city\", CAST(NULLIF(\"n\", '') AS bigint) AS \"n\", \
             NULLIF(\"date\", '') AS \"date\" FROM \"w_csv\""
        );
        assert!(view.text().starts_with("/* Presto View: eyJ") && view.text().ends_with(" */"));
        let odd = TableSpec { columns: pairs(&[("x", "array<string>")]), ..spec };
        assert!(View::of(&odd, "lake").unwrap_err().contains("x is array<string>"));
    }

    /// Terraform makes the same view: each way to a type is in its text.
    #[test]
    fn terraform_casts_alike() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../terraform/modules/catalog/views.tf");
        let text = std::fs::read_to_string(path).unwrap();
        for kind in ["string", "bigint", "int", "double", "boolean", "date", "timestamp"] {
            let (cast, trino) = cast(kind, "%s").unwrap();
            let expected = format!("type = \"{trino}\", cast = \"{cast}\"");
            assert!(text.contains(&expected), "{kind}: {expected}");
        }
    }
}
