//! A small feed of recalls, shaped as openFDA's: a zip with one JSON file.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

const CLASSES: [&str; 4] = ["Class II", "Class I", "Class III", "Class II"];
const STATUSES: [&str; 3] = ["Ongoing", "Terminated", "Completed"];
const STATES: [&str; 5] = ["CA", "TX", "MN", "NJ", "MA"];
const FIRMS: [&str; 4] =
    ["Baxter Healthcare", "Boston Scientific", "Medtronic Puerto Rico", "Cook Medical"];
const PRODUCTS: [&str; 3] =
    ["Infusion pump, model %, with battery", "Balloon catheter %, sterile", "Glucose meter type %"];

/// What each hostile field tries: to run when it is shown, or when a spreadsheet opens it.
pub const SCRIPT: &str = "<script>window.hacked=1</script><img src=x onerror=\"window.hacked=1\">\"'><svg onload=window.hacked=1>";
pub const FORMULA: &str = "=HYPERLINK(\"http://127.0.0.1/\",\"Look\")";
/// The number of the hostile record.
pub const HOSTILE: &str = "Z-6666-2024";

/// The records, to be changed between two writings.
#[derive(Clone, Debug)]
pub struct Feed {
    pub records: Vec<Value>,
}

impl Feed {
    /// So many recalls, of all classes, some statuses and states, and four years; neighbours share an event.
    pub fn of(count: usize) -> Self {
        Self { records: (0..count).map(record).collect() }
    }

    /// With one more whose every field attacks who shows it.
    pub fn and_hostile(mut self) -> Self {
        let mut hostile = record(self.records.len());
        for (name, value) in hostile.as_object_mut().expect("an object") {
            let kept =
                ["classification", "status"].contains(&name.as_str()) || name.ends_with("_date");
            if !kept {
                *value = json!(SCRIPT);
            }
        }
        hostile["recall_number"] = json!(HOSTILE);
        hostile["product_quantity"] = json!(FORMULA);
        hostile["code_info"] =
            json!(format!("{FORMULA}\r\n@SUM(A1)\t\"quoted\" {}", "é".repeat(5000)));
        self.records.push(hostile);
        self
    }

    /// Writes the zip, whole at once for who reads it.
    pub fn write(&self, path: &Path) {
        let fresh = path.with_extension("fresh");
        let mut zip = ZipWriter::new(File::create(&fresh).expect("make a file"));
        let options = SimpleFileOptions::default();
        zip.start_file("device-enforcement-0001-of-0001.json", options).expect("begin the file");
        let results =
            json!({ "skip": 0, "limit": self.records.len(), "total": self.records.len() });
        let meta = json!({ "disclaimer": "Made for tests.", "last_updated": "2026-04-01", "results": results });
        let feed = json!({ "meta": meta, "results": self.records });
        zip.write_all(feed.to_string().as_bytes()).expect("write the feed");
        zip.finish().expect("end the zip");
        replace(&fresh, path);
    }
}

#[allow(clippy::disallowed_methods, reason = "overwriting is meant")]
fn replace(from: &Path, to: &Path) {
    std::fs::rename(from, to).expect("put the feed in its place");
}

fn record(n: usize) -> Value {
    let year = 2021 + n % 4;
    let product = PRODUCTS[n % PRODUCTS.len()].replace('%', &format!("K-{n:03}"));
    json!({
        "recall_number": format!("Z-{:04}-{year}", n + 1),
        "event_id": (70_000 + n / 2).to_string(),
        "classification": CLASSES[n % CLASSES.len()],
        "status": STATUSES[n % STATUSES.len()],
        "recalling_firm": FIRMS[n / 2 % FIRMS.len()],
        "product_type": "Devices",
        "product_description": product,
        "product_quantity": format!("{} units", 10 * (n + 1)),
        "reason_for_recall": "The battery may fail\r\nbefore \"end of life\" is told; déjà vu.",
        "code_info": format!("Lot {n:05}, all serial numbers"),
        "distribution_pattern": "Nationwide",
        "voluntary_mandated": "Voluntary: Firm initiated",
        "initial_firm_notification": if n.is_multiple_of(3) { "Letter" } else { "E-Mail" },
        "report_date": format!("{year}{:02}15", 1 + n % 12),
        "recall_initiation_date": format!("{year}{:02}01", 1 + n % 12),
        "address_1": "1 Mill Road",
        "city": "Millville",
        "state": STATES[n % STATES.len()],
        "postal_code": "08332",
        "country": "United States",
        "openfda": {},
    })
}
