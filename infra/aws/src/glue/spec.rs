use aws_sdk_glue::types::{Column, SerDeInfo, StorageDescriptor};

/// How a table's files are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Parquet,
    /// RFC 4180, with a header line.
    Csv,
}

/// A table as it is to be in the catalog. Types are Glue's: `string`, `bigint`, `double`, `timestamp`, `decimal(10,2)`, …
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableSpec {
    pub name: String,
    /// `s3://bucket/prefix/table/`.
    pub location: String,
    pub format: Format,
    /// Name and type, without those of the partitions.
    pub columns: Vec<(String, String)>,
    /// Name and type, in the order of the directories.
    pub partitions: Vec<(String, String)>,
}

/// What was done to a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Nothing,
    Created,
    /// Columns were added, by these names.
    Widened(Vec<String>),
}

impl TableSpec {
    /// As Glue keeps it: names in lower case, the location with a slash at its end.
    pub(super) fn normal(&self) -> Self {
        let lower = |columns: &[(String, String)]| {
            columns.iter().map(|(name, kind)| (name.to_lowercase(), normal_type(kind))).collect()
        };
        Self {
            name: self.name.to_lowercase(),
            location: format!("{}/", self.location.trim_end_matches('/')),
            format: self.format,
            columns: lower(&self.columns),
            partitions: lower(&self.partitions),
        }
    }

    /// The first name that stands for two columns, once its case is gone.
    pub(super) fn doubled(&self) -> Option<&str> {
        let names: Vec<_> =
            self.columns.iter().chain(&self.partitions).map(|(name, _)| name.as_str()).collect();
        names.iter().enumerate().find(|(n, name)| names[..*n].contains(name)).map(|(_, name)| *name)
    }

    /// How files of these columns at `location` are read.
    pub(super) fn storage(&self, columns: Vec<Column>, location: &str) -> StorageDescriptor {
        let shape = self.format.shape();
        let serde = SerDeInfo::builder().serialization_library(shape.library);
        let serde = shape
            .parameters
            .iter()
            .fold(serde, |serde, (name, value)| serde.parameters(*name, *value));
        StorageDescriptor::builder()
            .set_columns(Some(columns))
            .location(location)
            .input_format(shape.input)
            .output_format(shape.output)
            .serde_info(serde.build())
            .build()
    }
}

/// Classes of Hive's that read and write a format.
pub(super) struct Shape {
    pub library: &'static str,
    pub input: &'static str,
    pub output: &'static str,
    pub parameters: &'static [(&'static str, &'static str)],
}

impl Format {
    pub(super) fn shape(self) -> Shape {
        match self {
            Self::Parquet => Shape {
                library: "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe",
                input: "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
                output: "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
                parameters: &[("serialization.format", "1")],
            },
            Self::Csv => Shape {
                library: "org.apache.hadoop.hive.serde2.OpenCSVSerde",
                input: "org.apache.hadoop.mapred.TextInputFormat",
                output: "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
                // Quotes are doubled, not escaped.
                parameters: &[("separatorChar", ","), ("quoteChar", "\""), ("escapeChar", "\"")],
            },
        }
    }

    pub(super) fn table_parameters(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Parquet => &[("EXTERNAL", "TRUE"), ("classification", "parquet")],
            Self::Csv => {
                &[("EXTERNAL", "TRUE"), ("classification", "csv"), ("skip.header.line.count", "1")]
            }
        }
    }
}

/// Spaces, case and the two names of a whole number are no difference.
pub(super) fn normal_type(kind: &str) -> String {
    let kind: String = kind.to_lowercase().chars().filter(|c| !c.is_whitespace()).collect();
    if kind == "integer" { "int".to_owned() } else { kind }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(columns: &[(&str, &str)]) -> Vec<(String, String)> {
        columns.iter().map(|(name, kind)| ((*name).to_owned(), (*kind).to_owned())).collect()
    }

    #[test]
    fn a_table_is_kept_as_glue_keeps_it() {
        let spec = TableSpec {
            name: "wordCount".to_owned(),
            location: "s3://b/lake/wordCount".to_owned(),
            format: Format::Csv,
            columns: columns(&[("Word", "STRING"), ("n", "Decimal(10, 2)"), ("m", "integer")]),
            partitions: columns(&[("date", "date")]),
        };
        let normal = spec.normal();
        assert_eq!(
            (normal.name.as_str(), normal.location.as_str()),
            ("wordcount", "s3://b/lake/wordCount/")
        );
        assert_eq!(
            normal.columns,
            columns(&[("word", "string"), ("n", "decimal(10,2)"), ("m", "int")])
        );
        assert_eq!(normal.doubled(), None);
        let doubled = TableSpec { columns: columns(&[("Date", "string")]), ..spec };
        assert_eq!(doubled.normal().doubled(), Some("date"));
        let storage = normal.storage(vec![], "s3://b/x/");
        assert_eq!(storage.location(), Some("s3://b/x/"));
        let parameters = storage.serde_info().and_then(SerDeInfo::parameters).unwrap();
        assert_eq!(parameters["separatorChar"], ",");
    }
}
