//! The figures behind the charts: one statement over the view, so that all of them are of the same moment.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use chrono::{Datelike, NaiveDate};
use millstream_engine::view::View;

use super::places;

/// What the view has to keep.
pub const COLUMNS: &[&str] = &[
    "classification",
    "status",
    "initial_firm_notification",
    "recalling_firm",
    "report_date",
    "recall_initiation_date",
    "state",
    "country",
];

/// What a field says that says nothing.
pub const NOT_GIVEN: &str = "Not given";
/// Where the long tail of a figure is put together.
pub const OTHER: &str = "All others";
/// Months shown: five years.
pub const MONTHS: usize = 60;
const TOP: usize = 12;
const TOP_FIRMS: usize = 15;
const PLACES_MOST: usize = 1_000;

/// A name and how many recalls it has.
pub type Count = (String, i64);

/// All figures at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    pub total: i64,
    pub ongoing: i64,
    pub class_one: i64,
    pub firms: i64,
    /// Of the newest enforcement report, `YYYYMMDD`.
    pub newest: Option<String>,
    pub classification: Vec<Count>,
    pub status: Vec<Count>,
    pub notification: Vec<Count>,
    /// `YYYY-MM`, without gaps, up to the newest month there is.
    pub months: Vec<Count>,
    pub top_firms: Vec<Count>,
    /// By the two letters of the state, of firms in the United States; most first.
    pub states: Vec<Count>,
    /// The other countries, most first.
    pub countries: Vec<Count>,
}

/// What is asked, per figure: rows of figure, name and number.
const PARTS: [&str; 10] = [
    "SELECT 'total' AS figure, '' AS name, count(*) AS n FROM r",
    "SELECT 'ongoing', '', count(*) FROM r WHERE status = 'Ongoing'",
    "SELECT 'class_one', '', count(*) FROM r WHERE classification = 'Class I'",
    "SELECT 'firms', '', count(DISTINCT recalling_firm) FROM r WHERE recalling_firm <> 'Not given'",
    "SELECT 'newest', max(report_date), count(*) FROM r WHERE report_date <= '{today}'",
    "SELECT 'classification', name, n FROM
        (SELECT classification AS name, count(*) AS n FROM r GROUP BY 1 ORDER BY n DESC, name LIMIT {top})",
    "SELECT 'status', name, n FROM
        (SELECT status AS name, count(*) AS n FROM r GROUP BY 1 ORDER BY n DESC, name LIMIT {top})",
    "SELECT 'notification', name, n FROM
        (SELECT notification AS name, count(*) AS n FROM r GROUP BY 1 ORDER BY n DESC, name LIMIT {top})",
    "SELECT 'months', name, n FROM
        (SELECT substr(coalesce(begun, report_date), 1, 6) AS name, count(*) AS n FROM r
         WHERE coalesce(begun, report_date) <= '{today}' GROUP BY 1 ORDER BY name DESC LIMIT {months})",
    "SELECT 'top_firms', name, n FROM
        (SELECT recalling_firm AS name, count(*) AS n FROM r WHERE recalling_firm <> 'Not given'
         GROUP BY 1 ORDER BY n DESC, name LIMIT {firms})",
];

/// Country and state in one name, for [`places::sorted`].
const PLACES: &str = "SELECT 'places', name, n FROM
        (SELECT concat(country, chr(9), state) AS name, count(*) AS n FROM r GROUP BY 1 ORDER BY n DESC, name
         LIMIT {places})";

/// The rows as the figures take them: what says nothing is `Not given`, and a date is eight digits or null.
const CLEAN: &str =
    "SELECT {told classification}, {told status}, {told initial_firm_notification} AS notification,
        {told recalling_firm}, {told state}, {told country},
        CASE WHEN report_date ~ '^[0-9]{8}$' THEN report_date END AS report_date,
        CASE WHEN recall_initiation_date ~ '^[0-9]{8}$' THEN recall_initiation_date END AS begun
    FROM devices";

impl Figures {
    /// Asks the view, which must be called `devices` and have [`COLUMNS`]. Dates after `today` are mistakes of the
    /// feed: they count everywhere but where dates are shown.
    pub async fn ask(view: &View, today: NaiveDate) -> Result<Self> {
        let rows = view.sql(&statement(today)).await.context("count the recalls")?;
        Self::read(&rows).context("read the recalls' figures")
    }

    fn read(batches: &[RecordBatch]) -> Result<Self> {
        let mut found: BTreeMap<String, Vec<Count>> = BTreeMap::new();
        for batch in batches {
            let figures = cast(batch.column(0), &DataType::Utf8)?;
            let names = cast(batch.column(1), &DataType::Utf8)?;
            let numbers = cast(batch.column(2), &DataType::Int64)?;
            let (figures, names) = (figures.as_string::<i32>(), names.as_string::<i32>());
            for row in (0..batch.num_rows()).filter(|row| names.is_valid(*row)) {
                let count =
                    (names.value(row).to_owned(), numbers.as_primitive::<Int64Type>().value(row));
                found.entry(figures.value(row).to_owned()).or_default().push(count);
            }
        }
        let mut list = |figure: &str| {
            let mut list = found.remove(figure).unwrap_or_default();
            list.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
            list
        };
        let total = number(&list("total"));
        let with_rest = |list| with_rest(list, total);
        let (states, countries) = places::sorted(with_rest(list("places")));
        Ok(Self {
            total,
            ongoing: number(&list("ongoing")),
            class_one: number(&list("class_one")),
            firms: number(&list("firms")),
            newest: list("newest").pop().map(|(date, _)| date),
            classification: in_order(with_rest(list("classification"))),
            status: with_rest(list("status")),
            notification: with_rest(list("notification")),
            months: months(&list("months")),
            top_firms: list("top_firms"),
            states,
            countries,
        })
    }
}

fn statement(today: NaiveDate) -> String {
    let mut clean = CLEAN.to_owned();
    for column in [
        "classification",
        "status",
        "initial_firm_notification",
        "recalling_firm",
        "state",
        "country",
    ] {
        // A firm is what the search finds by its name, which is the exact one.
        let name = match column {
            "recalling_firm" => column.to_owned(),
            _ => format!("trim({column})"),
        };
        let told = format!(
            "CASE WHEN upper(trim({column})) NOT IN ('', 'N/A') THEN {name} ELSE '{NOT_GIVEN}' END"
        );
        let named = if column == "initial_firm_notification" {
            told
        } else {
            format!("{told} AS {column}")
        };
        clean = clean.replace(&format!("{{told {column}}}"), &named);
    }
    let parts = [&PARTS[..], &[PLACES]].concat().join("\nUNION ALL ");
    let parts = parts
        .replace("{today}", &today.format("%Y%m%d").to_string())
        .replace("{top}", &TOP.to_string())
        .replace("{firms}", &TOP_FIRMS.to_string())
        .replace("{months}", &(20 * MONTHS).to_string())
        .replace("{places}", &PLACES_MOST.to_string());
    format!("WITH r AS ({clean})\n{parts}")
}

fn number(list: &[Count]) -> i64 {
    list.first().map_or(0, |(_, n)| *n)
}

/// What the list leaves out, as one more.
fn with_rest(mut list: Vec<Count>, total: i64) -> Vec<Count> {
    let rest = total - list.iter().map(|(_, n)| n).sum::<i64>();
    if rest > 0 {
        list.push((OTHER.to_owned(), rest));
    }
    list
}

/// Classes in their own order, which is that of their names.
fn in_order(mut list: Vec<Count>) -> Vec<Count> {
    list.sort_by_key(|(name, _)| {
        (!name.starts_with("Class "), name == NOT_GIVEN, name == OTHER, name.clone())
    });
    list
}

/// The last months up to the newest one, with those in which nothing was recalled. What is no month is left out.
fn months(found: &[Count]) -> Vec<Count> {
    let month = |name: &str| NaiveDate::parse_from_str(&format!("{name}01"), "%Y%m%d").ok();
    let of: BTreeMap<NaiveDate, i64> =
        found.iter().filter_map(|(name, n)| Some((month(name)?, *n))).collect();
    let (Some(newest), Some(oldest)) = (of.keys().next_back(), of.keys().next()) else {
        return Vec::new();
    };
    let mut shown = Vec::new();
    let mut at = Some(*newest);
    while let Some(month) = at.filter(|month| shown.len() < MONTHS && month >= oldest) {
        shown.push((
            format!("{:04}-{:02}", month.year(), month.month()),
            of.get(&month).copied().unwrap_or(0),
        ));
        at = month.checked_sub_months(chrono::Months::new(1));
    }
    shown.reverse();
    shown
}
