//! Which charts there are, and how each shows its figures.

use millstream_web::chart::{Bar, Bars, Chart, Hue, OverTime, Tiles};

use super::figures::{Count, Figures, NOT_GIVEN, OTHER};
use crate::serve::asked::{Asked, Facet};

const UNIT: &str = "recalls";

/// A chart as it is planned, whatever the figures are.
#[derive(Debug)]
pub struct Plan {
    /// In addresses, and the name of its event.
    pub name: &'static str,
    pub title: &'static str,
    /// What the figures are, for readers.
    pub about: &'static str,
    /// What a row stands for.
    pub of: &'static str,
    kind: Kind,
    facet: Option<Facet>,
    counts: fn(&Figures) -> &[Count],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Bars,
    Months,
    Map,
}

/// All charts, in the page's order.
pub static PLANS: [Plan; 6] = [
    Plan {
        name: "classification",
        title: "Recalls by class",
        about: "Class I is the most serious: use may cause serious harm or death.",
        of: "Class",
        kind: Kind::Bars,
        facet: Some(Facet::Classification),
        counts: |figures| &figures.classification,
    },
    Plan {
        name: "status",
        title: "Recalls by status",
        about: "How far each recall is.",
        of: "Status",
        kind: Kind::Bars,
        facet: Some(Facet::Status),
        counts: |figures| &figures.status,
    },
    Plan {
        name: "months",
        title: "Recalls per month",
        about: "By the month in which the firm began the recall; the last five years of the data.",
        of: "Month",
        kind: Kind::Months,
        facet: Some(Facet::Year),
        counts: |figures| &figures.months,
    },
    Plan {
        name: "notification",
        title: "Initial firm notification",
        about: "How firms first told their customers.",
        of: "First notice by",
        kind: Kind::Bars,
        facet: None,
        counts: |figures| &figures.notification,
    },
    Plan {
        name: "firms",
        title: "Firms with the most recalls",
        about: "By the firm's name as it is in the report.",
        of: "Firm",
        kind: Kind::Bars,
        facet: Some(Facet::Firm),
        counts: |figures| &figures.top_firms,
    },
    Plan {
        name: "states",
        title: "Recalls by state",
        about: "Where in the United States the firm is.",
        of: "State",
        kind: Kind::Map,
        facet: Some(Facet::State),
        counts: |figures| &figures.states,
    },
];

/// The other countries have a table and no chart.
pub static COUNTRIES: Plan = Plan {
    name: "countries",
    title: "Recalls by country",
    about: "Firms elsewhere, and those whose state isn't known.",
    of: "Country",
    kind: Kind::Bars,
    facet: None,
    counts: |figures| &figures.countries,
};

/// A line of a chart's table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub name: String,
    pub recalls: i64,
    /// The search for just these.
    pub href: Option<String>,
}

impl Plan {
    /// The chart of that name.
    pub fn named(name: &str) -> Option<&'static Plan> {
        PLANS.iter().find(|plan| plan.name == name)
    }

    /// It needs a page's whole width.
    pub fn is_whole(&self) -> bool {
        self.kind == Kind::Months
    }

    /// The figures, ready to be read.
    pub fn rows(&self, figures: &Figures) -> Vec<Row> {
        let row = |(name, recalls): &Count| {
            let shown = if self.kind == Kind::Map { Tiles::state(name) } else { None };
            let name_shown = shown.map_or_else(|| name.clone(), ToOwned::to_owned);
            Row { name: name_shown, recalls: *recalls, href: self.href(name) }
        };
        (self.counts)(figures).iter().map(row).collect()
    }

    pub fn chart(&self, figures: &Figures) -> Box<dyn Chart> {
        let counts = (self.counts)(figures);
        match self.kind {
            Kind::Bars => Box::new(
                Bars::new(self.title, self.of, UNIT)
                    .bars(counts.iter().map(|count| self.bar(count))),
            ),
            // Sixty links would be sixty stops for the keyboard: they are in the table.
            Kind::Months => {
                let months = counts.iter().map(|(month, _)| month.as_str());
                let chart = OverTime::columns(self.title, self.of, UNIT, months).whole();
                // Without a month there is no series either, so that the chart says that it is empty.
                if counts.is_empty() {
                    return Box::new(chart);
                }
                Box::new(chart.series(UNIT, Hue::Main, counts.iter().map(|(_, n)| *n as f64)))
            }
            Kind::Map => {
                Box::new(counts.iter().fold(Tiles::new(self.title, UNIT), |tiles, (state, n)| {
                    tiles.tile(state, *n as f64, self.href(state))
                }))
            }
        }
    }

    fn bar(&self, (name, n): &Count) -> Bar {
        let bar = Bar::new(name, *n as f64).hue(self.hue(name));
        match self.href(name) {
            Some(href) => bar.link(href),
            None => bar,
        }
    }

    fn hue(&self, name: &str) -> Hue {
        match (self.facet, name) {
            (_, NOT_GIVEN | OTHER) => Hue::Grey,
            (Some(Facet::Classification), "Class I") => Hue::Red,
            (Some(Facet::Classification), "Class II") => Hue::Amber,
            (Some(Facet::Classification), "Class III") => Hue::Teal,
            (Some(Facet::Classification), _) => Hue::Grey,
            _ => Hue::Main,
        }
    }

    /// The search for the recalls behind a number; none where no value of the facet stands for them.
    fn href(&self, name: &str) -> Option<String> {
        let facet = self.facet.filter(|_| ![NOT_GIVEN, OTHER].contains(&name))?;
        let value = if facet == Facet::Year { name.get(..4)? } else { name };
        facet.allows(value).then(|| Asked::default().with(facet, value).href())
    }
}
