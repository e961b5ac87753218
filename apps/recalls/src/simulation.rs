//! Made-up device recalls, in the shape and the proportions of the real ones. The firms are made up, too.

use std::io::Write;

use anyhow::{Context, Result};
use chrono::{Datelike, Duration, NaiveDate};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

/// Changes whenever the same seed would make other recalls.
pub const EDITION: u32 = 2;

/// The first and the last day on which recalls begin; the feed's own date.
const FIRST: (i32, u32, u32) = (2012, 1, 2);
const LAST: (i32, u32, u32) = (2026, 3, 20);
const UPDATED: (i32, u32, u32) = (2026, 4, 1);

/// A line a firm: name, street, city, state, postal code, country. The first ones recall most.
const FIRMS: &str = include_str!("simulation/firms.txt");

/// A product, and what it is packed as.
const PRODUCTS: [(&str, &str); 36] = [
    ("Volumetric infusion pump", "1 pump"),
    ("Total knee replacement system, femoral component, cemented", "sterile, 1 each"),
    ("Hip prosthesis, ceramic femoral head 36 mm", "sterile, 1 each"),
    ("Automated immunoassay analyzer", "1 analyzer"),
    ("Troponin I reagent kit", "4 x 100 tests"),
    ("Digital X-ray radiographic system", "1 system"),
    ("Magnetic resonance imaging system, 3.0 T", "1 system"),
    ("Linear accelerator for radiotherapy", "1 system"),
    ("Treatment planning software", "version 4.2 to 4.6"),
    ("Implantable cardioverter defibrillator", "1 each"),
    ("Automated external defibrillator", "with pads and battery"),
    ("Central venous catheter kit", "case of 5"),
    ("Custom procedure tray, open heart", "case of 2"),
    ("Custom convenience kit, labor and delivery", "case of 10"),
    ("Endotracheal tube, cuffed, 7.5 mm", "box of 10"),
    ("Continuous positive airway pressure device", "with humidifier"),
    ("Ventilator, continuous, facility use", "1 each"),
    ("Anesthesia workstation", "1 each"),
    ("Surgical stapler, reloadable, 60 mm", "box of 12"),
    ("Robotic instrument arm, monopolar curved scissors", "1 each"),
    ("Spinal pedicle screw system", "non-sterile set"),
    ("Blood glucose test strips", "vial of 50"),
    ("Hemodialysis delivery system", "1 machine"),
    ("Hemodialysis concentrate, acid", "case of 4"),
    ("Phacoemulsification pack", "case of 6"),
    ("Daily disposable soft contact lens", "box of 90"),
    ("Duodenoscope", "1 each"),
    ("Ureteral stent set", "box of 5"),
    ("Hypodermic needle, 22 G x 1 1/2 in", "box of 100"),
    ("Prefilled saline flush syringe, 10 mL", "case of 240"),
    ("Patient monitor, bedside", "1 each"),
    ("Powered wheelchair", "1 each"),
    ("Dental implant abutment", "1 each"),
    ("Cochlear implant sound processor", "1 each"),
    ("Blood culture medium", "box of 50"),
    ("Wound dressing, foam, silicone border", "box of 10"),
];

const REASONS: [&str; 24] = [
    "The sterility of the product may be compromised: the seal of the pouch may not be complete.",
    "A software error may show the results of one patient under the name of another.",
    "The device may stop delivering therapy without an alarm.",
    "The label states a wrong expiration date.",
    "The battery may run empty earlier than the indicator shows.",
    "Cracks in the housing may let fluid in, which can lead to a short circuit.",
    "Some lots give falsely low results near the upper limit of the measuring range.",
    "The instructions for use lack a warning that is required by the clearance.",
    "The package may hold the left component while the label says \"right\".",
    "The tip may break off and remain in the patient.",
    "The firm distributed the device without premarket clearance.",
    "The table may move on its own after an emergency stop.",
    "Endotoxin was found above the specified limit.",
    "A component of the kit was recalled by its supplier.",
    "The alarm may sound late or not at all when the line is occluded.",
    "The connector may come loose, leading to a leak of blood.",
    "The dose calculated by the software may differ from the dose prescribed.",
    "The device doesn't meet the specification for dimensional tolerance.",
    "Overheating of the charger was reported; there is a risk of burns.",
    "The unique device identifier on the carton can't be read by scanners.",
    "Particulate matter was seen in the fluid path.",
    "The cuff may deflate during use.",
    "Cybersecurity: an unauthorized user on the same network might change settings.",
    "Foam used to reduce sound may degrade and be inhaled.",
];

const NOTIFICATIONS: [&str; 8] = [
    "Letter",
    "E-Mail",
    "Two or more of the following: Email, Fax, Letter, Press Release, Telephone, Visit",
    "Telephone",
    "Visit",
    "Press Release",
    "FAX",
    "Other",
];
const DISTRIBUTION: [&str; 7] = [
    "Nationwide",
    "Worldwide Distribution - US Nationwide and the countries of Canada, Germany, Japan, México and Côte d’Ivoire.",
    "US: CA, FL, IL, NY, TX",
    "Distributed in the US to 14 consignees in\r\nAZ, CO, GA, MA, MN, OH, PA and WA;\r\nno foreign distribution.",
    "Nationwide, including Puerto Rico and military hospitals.",
    "US Nationwide\tand Canada",
    "One hospital in \"OH\".",
];

/// Writes a feed of so many recalls. Same seed: same bytes.
pub fn write_feed(seed: u64, recalls: u32, out: &mut impl Write) -> Result<()> {
    let doing = "write made-up recalls";
    let meta = json!({
        "disclaimer": "These recalls are made up.",
        "last_updated": day(UPDATED).format("%Y-%m-%d").to_string(),
        "results": {"skip": 0, "limit": recalls, "total": recalls},
    });
    write!(out, "{{\"meta\":{meta},\"results\":[").context(doing)?;
    for (place, recall) in Recalls::new(seed).take(recalls as usize).enumerate() {
        out.write_all(if place > 0 { b",\n" } else { b"\n" }).context(doing)?;
        serde_json::to_writer(&mut *out, &recall).context(doing)?;
    }
    out.write_all(b"]}\n").context(doing)
}

/// Recalls without end: those of one event follow each other.
#[derive(Debug)]
pub struct Recalls {
    rng: StdRng,
    made: u32,
    event: Event,
}

#[derive(Clone, Copy, Debug)]
struct Firm {
    name: &'static str,
    street: &'static str,
    city: &'static str,
    state: &'static str,
    postal_code: &'static str,
    country: &'static str,
}

impl Firm {
    /// Few firms have most of the recalls.
    fn any(rng: &mut StdRng) -> Self {
        let place = rng.random_range(0.0_f64..1.0).powf(2.2) * FIRMS.lines().count() as f64;
        let mut parts = FIRMS.lines().nth(place as usize).unwrap_or_default().split('|');
        let mut next = || parts.next().unwrap_or_default();
        Self {
            name: next(),
            street: next(),
            city: next(),
            state: next(),
            postal_code: next(),
            country: next(),
        }
    }
}

/// What the recalls of one event share.
#[derive(Debug)]
struct Event {
    id: u32,
    left: u32,
    firm: Firm,
    product: usize,
    reason: usize,
    begun: NaiveDate,
    classification: &'static str,
    notification: &'static str,
    distribution: &'static str,
}

impl Recalls {
    pub fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let event = Event::new(61_000, &mut rng);
        Self { rng, made: 0, event }
    }
}

impl Iterator for Recalls {
    type Item = Value;

    fn next(&mut self) -> Option<Value> {
        if self.event.left == 0 {
            self.event = Event::new(self.event.id + self.rng.random_range(1..4), &mut self.rng);
        }
        self.event.left -= 1;
        self.made += 1;
        Some(self.event.recall(self.made, &mut self.rng))
    }
}

impl Event {
    fn new(id: u32, rng: &mut StdRng) -> Self {
        let days = (day(LAST) - day(FIRST)).num_days();
        // There are more of them with the years.
        let when = rng.random_range(0.0_f64..1.0).powf(0.8);
        let product = rng.random_range(0..PRODUCTS.len());
        Self {
            id,
            left: [1, 1, 1, 2, 2, 3, 4, 6, 12][rng.random_range(0..9)],
            firm: Firm::any(rng),
            product,
            reason: (product * 5 + rng.random_range(0..6)) % REASONS.len(),
            begun: day(FIRST) + Duration::days((when * days as f64) as i64),
            classification: match rng.random_range(0..1_000) {
                0..70 => "Class I",
                70..940 => "Class II",
                940..994 => "Class III",
                _ => "Not Yet Classified",
            },
            notification: NOTIFICATIONS[(rng.random_range(0.0_f64..1.0).powf(2.5) * 8.0) as usize],
            distribution: DISTRIBUTION[rng.random_range(0..DISTRIBUTION.len())],
        }
    }

    fn recall(&self, number: u32, rng: &mut StdRng) -> Value {
        let classified = self.begun + Duration::days(rng.random_range(20..120));
        // What was classified later isn't in the feed yet.
        let classified = classified.min(day(UPDATED) - Duration::days(1));
        // Reports come out on Wednesdays.
        let report = classified
            + Duration::days(7 - i64::from((classified.weekday().num_days_from_monday() + 5) % 7));
        let ended = self.begun + Duration::days(rng.random_range(150..1_400));
        let (status, ended) = match () {
            () if ended < day(LAST) && rng.random_bool(0.96) => ("Terminated", Some(ended)),
            () if ended < day(LAST) => ("Completed", None),
            () if rng.random_bool(0.02) => ("Pending", None),
            () => ("Ongoing", None),
        };
        let Firm { name, street, city, state, postal_code, country } = self.firm;
        let year = report.year();
        let mut recall = json!({
            "recall_number": format!("Z-{number:04}-{year}"),
            "event_id": self.id.to_string(),
            "classification": self.classification,
            "status": status,
            "recalling_firm": name,
            "product_type": "Devices",
            "product_description": self.product(number, rng),
            "product_quantity": quantity(rng),
            "reason_for_recall": REASONS[self.reason],
            "code_info": codes(rng),
            "more_code_info": if rng.random_bool(0.1) { json!(codes(rng)) } else { json!("") },
            "distribution_pattern": self.distribution,
            "voluntary_mandated": if rng.random_bool(0.998) { "Voluntary: Firm initiated" } else { "FDA Mandated" },
            "initial_firm_notification": self.notification,
            "report_date": text(report),
            "recall_initiation_date": text(self.begun),
            "address_1": street,
            "address_2": if rng.random_bool(0.1) { "Bldg. 2" } else { "N/A" },
            "city": city,
            "state": state,
            "postal_code": postal_code,
            "country": country,
            "openfda": {},
        });
        if self.classification != "Not Yet Classified" {
            recall["center_classification_date"] = json!(text(classified));
        }
        if let Some(ended) = ended {
            recall["termination_date"] = json!(text(ended));
        }
        recall
    }

    fn product(&self, number: u32, rng: &mut StdRng) -> String {
        let (product, packed) = PRODUCTS[self.product];
        let brand = self.firm.name.split([' ', ',']).next().unwrap_or_default();
        let (model, letter) =
            (rng.random_range(100..9_999), char::from(b'A' + (number % 26) as u8));
        match rng.random_range(0..10) {
            0 => format!(
                "{brand}® \"{letter}-Series\" {product}\r\nModel {letter}{model}\r\n{packed}; Rx only"
            ),
            1 => format!(
                "{product}, {brand} {letter}{model}\t({packed})\nFor use in hospitals and clinics; 5 µm filter"
            ),
            _ => format!(
                "{brand} {product}, Model {letter}{model}, {packed}. Product Usage: see the instructions for use."
            ),
        }
    }
}

fn quantity(rng: &mut StdRng) -> String {
    match rng.random_range(0..12) {
        0 => "N/A".to_owned(),
        1 => String::new(),
        2 => format!("{} units (US: {})", rng.random_range(100..9_000), rng.random_range(1..99)),
        _ => format!("{} units", rng.random_range(1..60_000)),
    }
}

/// Mostly some lots; now and then, pages of them.
fn codes(rng: &mut StdRng) -> String {
    let lots = match rng.random_range(0..500) {
        0 => rng.random_range(1_000..3_000),
        1..30 => rng.random_range(30..150),
        _ => rng.random_range(1..12),
    };
    let mut codes = "Lot Numbers:".to_owned();
    for lot in 0..lots {
        codes.push_str(if lot % 8 == 7 { "\r\n" } else { " " });
        codes.push_str(&format!("{:07},", rng.random_range(100_000..9_999_999)));
    }
    codes.push_str(&format!(
        " UDI (01)0{:013}",
        rng.random_range(10_000_000_000_u64..99_999_999_999)
    ));
    codes
}

fn day((year, month, day): (i32, u32, u32)) -> NaiveDate {
    NaiveDate::from_ymd_opt(year, month, day).unwrap_or_default()
}

fn text(day: NaiveDate) -> String {
    day.format("%Y%m%d").to_string()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashSet};

    use super::*;
    use crate::event::{FIELDS, Recall};

    #[test]
    fn the_seed_decides() {
        let written = |seed| {
            let mut bytes = Vec::new();
            write_feed(seed, 50, &mut bytes).expect("written");
            bytes
        };
        assert_eq!(written(1), written(1));
        assert_ne!(written(1), written(2));
        let feed: Value = serde_json::from_slice(&written(1)).expect("JSON");
        assert_eq!(feed["meta"]["results"]["total"], 50);
        assert_eq!(feed["results"].as_array().map(Vec::len), Some(50));
    }

    #[test]
    fn they_have_the_shape_and_the_proportions_of_real_ones() {
        let all: Vec<Value> = Recalls::new(1).take(10_000).collect();
        let numbers: HashSet<_> =
            all.iter().map(|recall| recall["recall_number"].to_string()).collect();
        assert_eq!(numbers.len(), all.len());
        let mut classes: BTreeMap<&str, usize> = BTreeMap::new();
        let mut years = HashSet::new();
        for recall in &all {
            for (name, value) in recall.as_object().expect("an object") {
                assert!(
                    name == "openfda" || (FIELDS.contains(&name.as_str()) && value.is_string()),
                    "{name}"
                );
            }
            for name in ["report_date", "recall_initiation_date"] {
                let date = recall[name].as_str().expect("a date");
                assert!(
                    NaiveDate::parse_from_str(date, "%Y%m%d").is_ok() && date <= "20260401",
                    "{date}"
                );
            }
            *classes.entry(recall["classification"].as_str().expect("a class")).or_default() += 1;
            years
                .insert(recall["recall_initiation_date"].as_str().expect("a date")[..4].to_owned());
            Recall::from_feed(recall.clone()).expect("a recall");
        }
        assert!(classes["Class II"] > 8_000 && classes["Class I"] > 300, "{classes:?}");
        assert_eq!(classes.len(), 4, "{classes:?}");
        assert_eq!(years.len(), 15, "2012 to 2026");
        let has = |text: &str| all.iter().any(|recall| recall.to_string().contains(text));
        assert!(has(r"\r\n") && has(r"\t") && has(r#"\""#) && has("é"));
        let longest =
            all.iter().map(|recall| recall["code_info"].as_str().map_or(0, str::len)).max();
        assert!(longest > Some(10_000), "{longest:?}");
    }
}
