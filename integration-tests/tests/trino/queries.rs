use std::collections::BTreeSet;
use std::fs;

use integration_tests::binaries::{APPS, root};
use integration_tests::{Running, wait};

use crate::lake::Lake;
use crate::same::assert_same;

/// Queries of tables that are no lake tables in production: Cassandra, MySQL and the search index have them there, and
/// DataFusion asks those. A query that is neither here nor answered by Trino fails the test.
const NOT_OF_THE_LAKE: [&str; 11] = [
    "recalls/by_classification",
    "recalls/by_month",
    "recalls/dangerous_and_open",
    "recalls/firms",
    "users/equal_names",
    "users/military_addresses",
    "users/registrations_per_decade",
    "weather/latest",
    "wordcount/most_frequent_words",
    "wordcount/totals",
    "wordcount/words_by_length",
];

/// The apps as they were before some of their columns: health without looking patients up and without a score, weather
/// without a description.
const PATIENTS_BEFORE: &str = r#"
    SELECT id, patient_id, "timestamp" AS ts, heart_rate, oxygen_saturation, vo2_max, location['latitude'] AS latitude,
           location['longitude'] AS longitude, emergency_alert, CAST(CAST("timestamp" AS DATE) AS VARCHAR) AS "date"
    FROM patient_data"#;
const BACKUP_BEFORE: &str = "
    SELECT observed_at, city_id, city, country, windspeed, temp_k, feels_like_k, pressure_hpa, humidity_pct, visibility_m,
           wind_deg, clouds_pct
    FROM weather";

/// Name and text of every query.
fn all() -> Vec<(String, String)> {
    let mut all = Vec::new();
    for app in APPS {
        let directory = root().join("apps").join(app).join("queries");
        for entry in fs::read_dir(&directory).expect("its queries") {
            let path = entry.unwrap().path();
            let name = format!("{app}/{}", path.file_stem().unwrap().to_str().unwrap());
            all.push((name, fs::read_to_string(&path).unwrap()));
        }
    }
    all.sort();
    all
}

/// Produces some more of both apps' events, days of them, and works them off.
fn more(lake: &Lake, old: bool) {
    let mut commands = vec![("health", "HEALTH_SQL__PATIENTS", PATIENTS_BEFORE)];
    commands.push(("weather", "WEATHER_SQL__BACKUP", BACKUP_BEFORE));
    for (app, sql, before) in commands {
        let mut produce = vec!["produce", "--once", "--rate", "max"];
        if app == "weather" {
            produce.extend(["--limit", "90"]);
        }
        lake.data.run(app, &produce).succeeds();
        let mut worker = lake.data.command(app, &["process", "--until-caught-up"]);
        if old {
            worker.env(sql, before);
        }
        Running::start(worker).ends_within(wait::LONG).succeeds();
    }
}

fn ask_all(lake: &Lake, when: &str) {
    let not_here: BTreeSet<_> = NOT_OF_THE_LAKE.into_iter().collect();
    let queries = all();
    let (mut asked, mut left) = (0, 0);
    for (name, sql) in &queries {
        if not_here.contains(name.as_str()) {
            left += 1;
            continue;
        }
        let rows = assert_same(lake, &format!("{name} {when}"), sql);
        assert!(rows > 0, "{name}: an answer without rows shows nothing");
        asked += 1;
    }
    assert_eq!(left, NOT_OF_THE_LAKE.len(), "NOT_OF_THE_LAKE names a query that is gone");
    assert_eq!(asked, 7, "queries of the lake");
}

#[test]
fn every_query_of_the_lake_is_the_same_on_trino_also_after_a_column_was_added() {
    let mut lake = Lake::new("&create=on").health("SIMULATE__COUNT", "5000");
    lake.data = lake.data.with("WEATHER_STAND_IN__STEP_S", "3600");
    more(&lake, true);
    // All that older code wrote; the score, for one, isn't there yet.
    assert!(lake.try_ask("SELECT early_warning FROM patient_data").is_err());
    whole_tables(&lake, "before");
    more(&lake, false);
    whole_tables(&lake, "after columns were added");
    ask_all(&lake, "after columns were added");
    let both = "SELECT count(*) AS readings, count(early_warning) AS scored FROM patient_data";
    let both = lake.ask(both);
    assert!(both.rows[0][0].as_u64() > both.rows[0][1].as_u64(), "old files lack it: {both:?}");
    lake.data.verify();
    // A lake of another life: nobody registered what it holds.
    for table in ["patient_data", "emergency_vehicle_data"] {
        forget_partitions(&lake, table);
        assert_eq!(lake.count(&format!("SELECT count(*) FROM {table}")), Ok(0));
    }
    let ran = lake.data.run("millstream", &["catalog", "--register"]).succeeds();
    assert!(ran.stdout.contains("patient_data: "), "{ran:?}");
    whole_tables(&lake, "after they were registered anew");
}

/// Every row of every table, with every column.
fn whole_tables(lake: &Lake, when: &str) {
    for (table, order) in [
        ("patient_data", "ts, id, patient_id"),
        ("emergency_vehicle_data", "ts, id, vehicle_id"),
        ("weather_backup", "observed_at, city"),
    ] {
        let columns: Vec<_> = lake.ask(&format!("SELECT * FROM {table} LIMIT 1")).columns;
        let columns: Vec<_> = columns.into_iter().map(|(name, _)| format!("\"{name}\"")).collect();
        let sql = format!("SELECT {} FROM {table} ORDER BY {order}", columns.join(", "));
        let rows = assert_same(lake, &format!("{table} {when}"), &sql);
        assert!(rows > 10, "{table}: {rows} rows");
    }
}

fn forget_partitions(lake: &Lake, table: &str) {
    let of = serde_json::json!({ "DatabaseName": lake.database, "TableName": table });
    let known = lake.trino.glue("get_partitions", &of);
    let known = known["Partitions"].as_array().expect("partitions").clone();
    assert!(!known.is_empty(), "{table} has no partitions");
    for partition in known {
        let mut which = of.clone();
        which["PartitionValues"] = partition["Values"].clone();
        lake.trino.glue("delete_partition", &which);
    }
}
