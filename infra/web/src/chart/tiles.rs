use std::collections::BTreeMap;

use maud::{Markup, html};

use super::canvas::{Span, frame, named, nothing, rounded, width_of};
use super::scale::drawable;
use super::{Chart, Table};
use crate::words;

const TILE: f64 = 60.0;
const COLUMNS: f64 = 12.0;
/// Steps of the colour, from little to much.
const STEPS: usize = 5;

/// The states where they lie on the map, more or less: code, name, column, row.
#[rustfmt::skip]
const STATES: [(&str, &str, u8, u8); 52] = [
    ("AK", "Alaska", 0, 0), ("ME", "Maine", 11, 0),
    ("VT", "Vermont", 10, 1), ("NH", "New Hampshire", 11, 1),
    ("WA", "Washington", 1, 2), ("ID", "Idaho", 2, 2), ("MT", "Montana", 3, 2), ("ND", "North Dakota", 4, 2),
    ("MN", "Minnesota", 5, 2), ("IL", "Illinois", 6, 2), ("WI", "Wisconsin", 7, 2), ("MI", "Michigan", 8, 2),
    ("NY", "New York", 9, 2), ("RI", "Rhode Island", 10, 2), ("MA", "Massachusetts", 11, 2),
    ("OR", "Oregon", 1, 3), ("NV", "Nevada", 2, 3), ("WY", "Wyoming", 3, 3), ("SD", "South Dakota", 4, 3),
    ("IA", "Iowa", 5, 3), ("IN", "Indiana", 6, 3), ("OH", "Ohio", 7, 3), ("PA", "Pennsylvania", 8, 3),
    ("NJ", "New Jersey", 9, 3), ("CT", "Connecticut", 10, 3),
    ("CA", "California", 1, 4), ("UT", "Utah", 2, 4), ("CO", "Colorado", 3, 4), ("NE", "Nebraska", 4, 4),
    ("MO", "Missouri", 5, 4), ("KY", "Kentucky", 6, 4), ("WV", "West Virginia", 7, 4), ("VA", "Virginia", 8, 4),
    ("MD", "Maryland", 9, 4), ("DE", "Delaware", 10, 4),
    ("AZ", "Arizona", 2, 5), ("NM", "New Mexico", 3, 5), ("KS", "Kansas", 4, 5), ("AR", "Arkansas", 5, 5),
    ("TN", "Tennessee", 6, 5), ("NC", "North Carolina", 7, 5), ("SC", "South Carolina", 8, 5),
    ("DC", "District of Columbia", 9, 5),
    ("OK", "Oklahoma", 4, 6), ("LA", "Louisiana", 5, 6), ("MS", "Mississippi", 6, 6), ("AL", "Alabama", 7, 6),
    ("GA", "Georgia", 8, 6),
    ("HI", "Hawaii", 0, 7), ("TX", "Texas", 4, 7), ("FL", "Florida", 9, 7), ("PR", "Puerto Rico", 11, 7),
];

/// Amounts by state of the USA, as a grid of tiles that looks like the map.
#[derive(Clone, Debug)]
pub struct Tiles {
    title: String,
    unit: String,
    amounts: BTreeMap<String, (f64, Option<String>)>,
}

impl Tiles {
    /// `unit`: what is counted ("recalls").
    pub fn new(title: impl Into<String>, unit: impl Into<String>) -> Self {
        Self { title: title.into(), unit: unit.into(), amounts: BTreeMap::new() }
    }

    /// The amount of a state, by its two letters, with where a click on it leads. Amounts of what isn't a state are
    /// summed up as "elsewhere"; the same state twice is added up.
    pub fn tile(mut self, state: &str, amount: f64, href: Option<String>) -> Self {
        let entry = self.amounts.entry(state.trim().to_ascii_uppercase()).or_insert((0.0, None));
        entry.0 += drawable(amount);
        entry.1 = href.or(entry.1.take());
        self
    }

    /// The name of a state by its two letters.
    pub fn state(code: &str) -> Option<&'static str> {
        STATES
            .iter()
            .find(|(known, ..)| known.eq_ignore_ascii_case(code))
            .map(|(_, name, ..)| *name)
    }

    fn amount(&self, code: &str) -> f64 {
        self.amounts.get(code).map_or(0.0, |(amount, _)| *amount)
    }

    fn elsewhere(&self) -> f64 {
        self.amounts
            .iter()
            .filter(|(code, _)| Self::state(code).is_none())
            .map(|(_, (amount, _))| amount)
            .sum()
    }

    /// The least amount of each step of the colour above "none": a fifth of the states that have any is in each.
    fn bounds(&self) -> Vec<f64> {
        let mut amounts: Vec<f64> = STATES
            .iter()
            .map(|(code, ..)| self.amount(code))
            .filter(|amount| *amount > 0.0)
            .collect();
        amounts.sort_by(f64::total_cmp);
        let mut bounds: Vec<f64> = (0..STEPS)
            .filter_map(|step| amounts.get(amounts.len() * step / STEPS).copied())
            .collect();
        bounds.dedup();
        bounds
    }

    fn tile_drawn(&self, state: &(&str, &str, u8, u8), bounds: &[f64]) -> Markup {
        let (code, name, column, row) = *state;
        let (left, top) = (f64::from(column) * TILE, f64::from(row) * TILE);
        let amount = self.amount(code);
        let href = self.amounts.get(code).and_then(|(_, href)| href.as_deref());
        named(
            &format!("{name}: {} {}", words::measured(amount), self.unit),
            href,
            &html! {
                rect class={ "c-tile q" (step_of(amount, bounds)) } x=(rounded(left + 2.0)) y=(rounded(top + 2.0))
                    width=(TILE - 4.0) height=(TILE - 4.0) rx="6" {}
                text class={ "c-code t" (step_of(amount, bounds)) } x=(rounded(left + TILE / 2.0)) y=(rounded(top + 27.0)) text-anchor="middle" { (code) }
                text class={ "c-small t" (step_of(amount, bounds)) } x=(rounded(left + TILE / 2.0)) y=(rounded(top + 44.0)) text-anchor="middle" {
                    (words::short(amount))
                }
            },
        )
    }

    fn legend(&self, bounds: &[f64]) -> Markup {
        let foot = 8.0 * TILE + 16.0;
        let each = bounds
            .iter()
            .map(|least| width_of(&format!("from {}", words::short(*least))))
            .fold(40.0, f64::max)
            + 34.0;
        html! {
            @for (at, least) in std::iter::once(&0.0).chain(bounds).enumerate() {
                @let left = at as f64 * each + 2.0;
                rect class={ "c-tile q" (at) } x=(left) y=(foot) width="16" height="16" rx="4" {}
                text class="c-tick" x=(left + 22.0) y=(foot + 12.5) {
                    @if at == 0 { "none" } @else { "from " (words::short(*least)) }
                }
            }
            @if self.elsewhere() > 0.0 {
                text class="c-tick" x=(Span::Map.width() - 2.0) y=(foot + 12.5) text-anchor="end" { "elsewhere: " (words::measured(self.elsewhere())) }
            }
        }
    }
}

/// 0: none; 1 to [`STEPS`]: little to much.
fn step_of(amount: f64, bounds: &[f64]) -> usize {
    bounds.iter().filter(|least| amount > 0.0 && amount >= **least).count()
}

impl Chart for Tiles {
    fn title(&self) -> &str {
        &self.title
    }

    fn svg(&self) -> String {
        if self.amounts.is_empty() {
            return nothing(&self.title);
        }
        debug_assert!(STATES.iter().all(|(.., column, _)| f64::from(*column) < COLUMNS));
        let bounds = self.bounds();
        let inside = html! {
            @for state in &STATES { (self.tile_drawn(state, &bounds)) }
            (self.legend(&bounds))
        };
        let most = STATES.iter().max_by(|a, b| self.amount(a.0).total_cmp(&self.amount(b.0)));
        let about = most.map_or_else(String::new, |(code, name, ..)| {
            format!(
                "{} by state of the USA; most in {name}, {}.",
                self.unit,
                words::measured(self.amount(code))
            )
        });
        let links = self.amounts.values().any(|(_, href)| href.is_some());
        frame(&self.title, &about, Span::Map, 8.0 * TILE + 40.0, links, &inside)
    }

    fn table(&self) -> Table {
        let mut states: Vec<_> =
            STATES.iter().map(|(code, name, ..)| ((*name).to_owned(), self.amount(code))).collect();
        states.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        if self.elsewhere() > 0.0 {
            states.push(("Elsewhere".to_owned(), self.elsewhere()));
        }
        Table {
            head: vec!["State".to_owned(), self.unit.clone()],
            rows: states
                .into_iter()
                .map(|(name, amount)| vec![name, words::measured(amount)])
                .collect(),
        }
    }
}
