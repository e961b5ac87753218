//! Charts as pictures: one, or all of them on a sheet.

use anyhow::{Context, Result};
use maud::{PreEscaped, html};
use millstream_web::chart::png;
use millstream_web::words::grouped;

use super::charts::{PLANS, Plan};
use super::figures::Figures;

/// Between charts, in units of their drawings.
const GAP: f64 = 36.0;
/// Room for a chart's title.
const TITLE: f64 = 36.0;
/// The sheet's width: two small charts, or one large.
const SHEET: f64 = 1_080.0;
/// Pixels of width, of one chart and of the sheet.
const ONE: u32 = 1_440;
const ALL: u32 = 1_800;

/// One chart as PNG.
pub fn one(plan: &Plan, figures: &Figures) -> Result<Vec<u8>> {
    png(&plan.chart(figures).svg(), ONE).with_context(|| format!("draw the chart {}", plan.name))
}

/// All charts as PNG: side by side while there is room.
pub fn all(figures: &Figures) -> Result<Vec<u8>> {
    let mut drawn = String::new();
    let (mut left, mut top, mut foot) = (0.0, 0.0, 0.0_f64);
    for plan in &PLANS {
        let chart = Drawn::of(plan, figures);
        if left > 0.0 && left + chart.width > SHEET {
            (left, top) = (0.0, foot);
        }
        drawn.push_str(&chart.at(left, top));
        left += chart.width + GAP;
        foot = foot.max(top + TITLE + chart.height + GAP);
    }
    let (total, ongoing) = (grouped(figures.total), grouped(figures.ongoing));
    let title = format!("Device recalls: {total} in all, {ongoing} of them ongoing");
    let sheet = html! {
        svg xmlns="http://www.w3.org/2000/svg" width=(SHEET) height=(foot) {
            title { (title) }
            (PreEscaped(drawn))
        }
    };
    png(&sheet.into_string(), ALL).context("draw the sheet of charts")
}

/// A chart's drawing, and how large it is.
struct Drawn {
    title: &'static str,
    svg: String,
    width: f64,
    height: f64,
}

impl Drawn {
    fn of(plan: &Plan, figures: &Figures) -> Self {
        let svg = plan.chart(figures).svg();
        let (width, height) = (measure(&svg, "width", 720.0), measure(&svg, "height", 300.0));
        Self { title: plan.title, svg, width, height }
    }

    /// Under its title, with the upper left corner of both there.
    fn at(&self, left: f64, top: f64) -> String {
        let title =
            html! { text class="c-code" x=(left) y=(top + 18.0) { (self.title) } }.into_string();
        let place = format!("<svg x=\"{left}\" y=\"{}\" ", top + TITLE);
        title + &self.svg.replacen("<svg ", &place, 1)
    }
}

/// What a drawing says of its own size.
fn measure(svg: &str, name: &str, otherwise: f64) -> f64 {
    let head = svg.split('>').next().unwrap_or_default();
    let said = head.split_once(&format!(" {name}=\"")).and_then(|(_, rest)| rest.split('"').next());
    said.and_then(|said| said.parse().ok()).unwrap_or(otherwise)
}
