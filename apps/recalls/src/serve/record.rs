//! A recall as pages and the API show it: its fields, in words, and its dates written out.

use chrono::NaiveDate;
use serde_json::{Map, Value};

/// A field of a recall: name (in the feed, the API and exports), label on the page, description.
pub type FieldName = (&'static str, &'static str, &'static str);

/// All fields, in the order of exports.
pub const FIELDS: [FieldName; 24] = [
    ("recall_number", "Recall number", "The FDA's number of the recall; unique"),
    ("event_id", "Event", "The number of the event; one event may lead to several recalls"),
    (
        "classification",
        "Class",
        "Class I (most serious), Class II, Class III or Not Yet Classified",
    ),
    ("status", "Status", "Ongoing, Completed, Terminated or Pending"),
    ("recalling_firm", "Firm", "The firm that recalls"),
    ("product_type", "Kind of product", "Devices"),
    ("product_description", "Product", "What is recalled"),
    ("product_quantity", "Quantity", "How much is recalled, in the firm's words"),
    ("reason_for_recall", "Reason", "Why it is recalled"),
    ("code_info", "Lots and codes", "Lots, serial numbers and expiry dates, in the firm's words"),
    ("more_code_info", "More lots and codes", "More of the same"),
    ("distribution_pattern", "Distribution", "Where the product went"),
    ("voluntary_mandated", "Initiated by", "Who began the recall, and whether it had to"),
    ("initial_firm_notification", "First notice by", "How the firm first told its customers"),
    ("report_date", "Reported", "Day of the FDA's enforcement report, YYYYMMDD"),
    ("recall_initiation_date", "Begun", "Day on which the firm began the recall, YYYYMMDD"),
    (
        "center_classification_date",
        "Classified",
        "Day on which the FDA gave it its class, YYYYMMDD",
    ),
    ("termination_date", "Terminated", "Day on which the FDA ended it, YYYYMMDD"),
    ("address_1", "Address", "The firm's address, first line"),
    ("address_2", "Address, second line", "The firm's address, second line"),
    ("city", "City", "The firm's city"),
    ("state", "State", "The firm's state, two letters"),
    ("postal_code", "Postal code", "The firm's postal code"),
    ("country", "Country", "The firm's country"),
];

/// A recall. Every field may be missing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recall(Map<String, Value>);

impl Recall {
    /// `row` with all its columns; those that no field names aren't shown.
    pub fn new(row: Map<String, Value>) -> Self {
        Recall(row)
    }

    /// What a field holds; none if it is missing, empty, or `N/A`.
    pub fn text(&self, field: &str) -> Option<&str> {
        let text = self.0.get(field)?.as_str()?.trim();
        (!text.is_empty() && !text.eq_ignore_ascii_case("n/a")).then_some(text)
    }

    pub fn number(&self) -> &str {
        self.text("recall_number").unwrap_or("without number")
    }

    /// What the page is called: the product's beginning.
    pub fn product(&self) -> &str {
        self.text("product_description").unwrap_or("Product not described")
    }

    pub fn firm(&self) -> &str {
        self.text("recalling_firm").unwrap_or("Firm not named")
    }

    pub fn date(&self, field: &str) -> Option<NaiveDate> {
        NaiveDate::parse_from_str(self.text(field)?, "%Y%m%d").ok()
    }

    /// The address of its page.
    pub fn href(&self) -> String {
        href(self.number())
    }

    /// Its fields and no others, null where there is nothing: for the API and exports.
    pub fn json(&self) -> Map<String, Value> {
        let field = |name: &str| self.0.get(name).cloned().unwrap_or(Value::Null);
        FIELDS.iter().map(|(name, ..)| ((*name).to_owned(), field(name))).collect()
    }

    /// A field as the feed has it, for exports.
    pub fn raw(&self, field: &str) -> &str {
        self.0.get(field).and_then(Value::as_str).unwrap_or_default()
    }
}

/// The address of a recall's page. The number is another's text: whatever isn't plain is escaped.
pub fn href(number: &str) -> String {
    format!("/recalls/{}", segment(number))
}

/// A text as one segment of a path.
pub fn segment(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut path, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => path.push(char::from(byte)),
            _ => path.push_str(&format!("%{byte:02X}")),
        }
        path
    })
}

/// A day in words: `1 April 2026`.
pub fn day(date: NaiveDate) -> String {
    date.format("%-d %B %Y").to_string()
}

/// A whole number with commas: `38,509`.
pub fn count(number: impl TryInto<u64>) -> String {
    let digits = number.try_into().unwrap_or_default().to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 recall`, `2 recalls`.
pub fn recalls(number: usize) -> String {
    format!("{} recall{}", count(number), if number == 1 { "" } else { "s" })
}

/// What a class means, in the FDA's sense.
pub fn meaning(class: &str) -> &'static str {
    match class {
        "Class I" => "It may cause serious harm or death.",
        "Class II" => "It may cause harm that passes or can be treated; serious harm is unlikely.",
        "Class III" => "It is unlikely to cause harm.",
        _ => "The FDA hasn't classified it yet.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recall(value: Value) -> Recall {
        Recall::new(value.as_object().expect("an object").clone())
    }

    #[test]
    fn what_says_nothing_is_nothing() {
        let recall = recall(serde_json::json!({
            "city": " ", "state": "N/A", "country": null, "address_1": " 1 Way ", "report_date": "20260401",
            "termination_date": "20261301", "_version": 7,
        }));
        assert_eq!(recall.text("city"), None);
        assert_eq!(recall.text("state"), None);
        assert_eq!(recall.text("country"), None);
        assert_eq!(recall.text("address_1"), Some("1 Way"));
        assert_eq!(recall.date("report_date").map(day).as_deref(), Some("1 April 2026"));
        assert_eq!(recall.date("termination_date"), None);
        assert_eq!(recall.json().len(), FIELDS.len());
        assert!(!recall.json().contains_key("_version"));
    }

    #[test]
    fn any_number_is_one_segment_of_a_path() {
        assert_eq!(href("Z-0056-2013"), "/recalls/Z-0056-2013");
        assert_eq!(href("../<a>?é"), "/recalls/%2E%2E%2F%3Ca%3E%3F%C3%A9");
    }

    #[test]
    fn numbers_have_commas() {
        let texts = [0u64, 7, 999, 1_000, 38_509, 1_234_567].map(count);
        assert_eq!(texts, ["0", "7", "999", "1,000", "38,509", "1,234,567"]);
        assert_eq!((recalls(1), recalls(1_200)), ("1 recall".into(), "1,200 recalls".into()));
    }
}
