use arrow::datatypes::{DataType, TimeUnit};

/// The type that readers of Hive tables (Athena, Trino) have for a column's values as they stand in Parquet and CSV; `None`:
/// there is none that gives the same values back.
pub fn hive_type(column: &DataType) -> Option<String> {
    use DataType::{
        Binary, BinaryView, Boolean, Date32, Decimal128, Float32, Float64, Int8, Int16, Int32,
        Int64, LargeBinary, LargeList, LargeUtf8, List, Map, Struct, Timestamp, Utf8, Utf8View,
    };
    let plain = match column {
        Utf8 | LargeUtf8 | Utf8View => "string",
        Binary | LargeBinary | BinaryView => "binary",
        Boolean => "boolean",
        Int8 => "tinyint",
        Int16 => "smallint",
        Int32 => "int",
        Int64 => "bigint",
        Float32 => "float",
        Float64 => "double",
        Date32 => "date",
        Timestamp(unit, zone) if has_unit(*unit) && is_utc(zone.as_deref()) => "timestamp",
        Decimal128(digits, scale) if *scale >= 0 && *scale as u8 <= *digits => {
            return Some(format!("decimal({digits},{scale})"));
        }
        List(item) | LargeList(item) => {
            return Some(format!("array<{}>", hive_type(item.data_type())?));
        }
        Struct(fields) => {
            let field = |(name, kind): (&String, &DataType)| {
                Some(format!("{}:{}", name.to_lowercase(), hive_type(kind)?))
            };
            let fields = fields.iter().map(|f| field((f.name(), f.data_type())));
            return Some(format!("struct<{}>", fields.collect::<Option<Vec<_>>>()?.join(",")));
        }
        Map(entries, _) => {
            let Struct(pair) = entries.data_type() else { return None };
            let [key, value] = [pair.first()?, pair.get(1)?].map(|f| hive_type(f.data_type()));
            return Some(format!("map<{},{}>", key?, value?));
        }
        _ => return None,
    };
    Some(plain.to_owned())
}

/// The same for a column that stands in the files' paths: only what is written there as Hive writes it.
pub fn hive_partition_type(column: &DataType) -> Option<&'static str> {
    use DataType::{Date32, Int8, Int16, Int32, Int64, LargeUtf8, Utf8, Utf8View};
    Some(match column {
        Utf8 | LargeUtf8 | Utf8View => "string",
        Int8 => "tinyint",
        Int16 => "smallint",
        Int32 => "int",
        Int64 => "bigint",
        Date32 => "date",
        _ => return None,
    })
}

/// Parquet has no seconds: they would be read as a number.
fn has_unit(unit: TimeUnit) -> bool {
    unit != TimeUnit::Second
}

/// Hive's timestamps have no zone: another one than UTC would be shown by one reader and not by the other.
fn is_utc(zone: Option<&str>) -> bool {
    matches!(zone, None | Some("UTC" | "+00:00" | "Z"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::{Field, Fields};

    use super::*;

    fn field(name: &str, kind: DataType) -> Arc<Field> {
        Arc::new(Field::new(name, kind, true))
    }

    #[test]
    fn every_type_that_readers_have() {
        let utc = |unit| DataType::Timestamp(unit, Some("UTC".into()));
        let codes = DataType::List(field("item", DataType::Utf8));
        let place =
            Fields::from(vec![field("Lat", DataType::Float64), field("codes", codes.clone())]);
        let pair =
            Fields::from(vec![field("key", DataType::Utf8), field("value", DataType::Int64)]);
        for (kind, hive) in [
            (DataType::Utf8, "string"),
            (DataType::LargeUtf8, "string"),
            (DataType::Boolean, "boolean"),
            (DataType::Int8, "tinyint"),
            (DataType::Int16, "smallint"),
            (DataType::Int32, "int"),
            (DataType::Int64, "bigint"),
            (DataType::Float32, "float"),
            (DataType::Float64, "double"),
            (DataType::Date32, "date"),
            (DataType::Binary, "binary"),
            (utc(TimeUnit::Millisecond), "timestamp"),
            (DataType::Timestamp(TimeUnit::Microsecond, None), "timestamp"),
            (DataType::Decimal128(10, 2), "decimal(10,2)"),
            (codes, "array<string>"),
            (DataType::Struct(place), "struct<lat:double,codes:array<string>>"),
            (DataType::Map(field("entries", DataType::Struct(pair)), false), "map<string,bigint>"),
        ] {
            assert_eq!(hive_type(&kind).as_deref(), Some(hive), "{kind}");
        }
    }

    #[test]
    fn what_would_come_back_otherwise_has_none() {
        for kind in [
            DataType::UInt8,
            DataType::UInt64,
            DataType::Float16,
            DataType::Null,
            DataType::Date64,
            DataType::Time64(TimeUnit::Microsecond),
            DataType::Timestamp(TimeUnit::Second, None),
            DataType::Timestamp(TimeUnit::Millisecond, Some("Europe/Oslo".into())),
            DataType::Decimal128(3, -2),
            DataType::Decimal256(40, 2),
            DataType::List(field("item", DataType::UInt16)),
        ] {
            assert_eq!(hive_type(&kind), None, "{kind}");
        }
    }

    #[test]
    fn in_paths_only_what_is_written_as_hive_writes_it() {
        assert_eq!(hive_partition_type(&DataType::Utf8), Some("string"));
        assert_eq!(hive_partition_type(&DataType::Date32), Some("date"));
        assert_eq!(hive_partition_type(&DataType::Int64), Some("bigint"));
        // "2026-11-21T10:00:00", where Hive has a blank.
        let time = DataType::Timestamp(TimeUnit::Millisecond, None);
        assert_eq!(hive_partition_type(&time), None);
        assert_eq!(hive_partition_type(&DataType::Boolean), None);
    }
}
