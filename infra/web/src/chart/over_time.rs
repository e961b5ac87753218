use maud::{Markup, html};

use super::bars::{at_least_seen, grid};
use super::canvas::{Span, fitting, frame, named, nothing, rounded, width_of};
use super::scale::{drawable, every, marks};
use super::{Chart, Hue, Table};
use crate::words;

const HEIGHT: f64 = 300.0;
/// Points of a line are marked only while they stand apart.
const MOST_DOTS: usize = 40;

/// How amounts went: one value per step and series. Columns of several series stand on one another.
#[derive(Clone, Debug)]
pub struct OverTime {
    title: String,
    of: String,
    unit: String,
    columns: bool,
    span: Span,
    steps: Vec<String>,
    links: Vec<String>,
    series: Vec<Series>,
}

#[derive(Clone, Debug)]
struct Series {
    name: String,
    hue: Hue,
    values: Vec<f64>,
}

/// Where the drawing has its edges, and what it measures by.
struct Plot {
    marks: Vec<f64>,
    gutter: f64,
    right: f64,
    top: f64,
    foot: f64,
    each: f64,
}

impl Plot {
    fn y(&self, value: f64) -> f64 {
        let most = self.marks.last().copied().unwrap_or(1.0);
        self.foot - drawable(value) / most * (self.foot - self.top)
    }

    fn middle(&self, step: usize) -> f64 {
        self.gutter + self.each * (step as f64 + 0.5)
    }
}

impl OverTime {
    /// Lines. `of`: what a step is ("Month"); `unit`: what is counted ("recalls"); `steps`: their labels, in
    /// time's order.
    pub fn line<S: Into<String>>(
        title: impl Into<String>,
        of: impl Into<String>,
        unit: impl Into<String>,
        steps: impl IntoIterator<Item = S>,
    ) -> Self {
        let steps = steps.into_iter().map(Into::into).collect();
        let (title, of, unit) = (title.into(), of.into(), unit.into());
        Self {
            title,
            of,
            unit,
            columns: false,
            span: Span::Half,
            steps,
            links: Vec::new(),
            series: Vec::new(),
        }
    }

    /// The same as columns: for amounts of a stretch of time rather than states at a moment.
    pub fn columns<S: Into<String>>(
        title: impl Into<String>,
        of: impl Into<String>,
        unit: impl Into<String>,
        steps: impl IntoIterator<Item = S>,
    ) -> Self {
        Self { columns: true, ..Self::line(title, of, unit, steps) }
    }

    /// For a page's whole width rather than one of two columns.
    pub fn whole(mut self) -> Self {
        self.span = Span::Whole;
        self
    }

    /// Adds a series with a value per step; what is missing counts as zero.
    pub fn series(
        mut self,
        name: impl Into<String>,
        hue: Hue,
        values: impl IntoIterator<Item = f64>,
    ) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.resize(self.steps.len(), 0.0);
        self.series.push(Series { name: name.into(), hue, values });
        self
    }

    /// Where a click on each step leads, in the steps' order.
    pub fn links<S: Into<String>>(mut self, links: impl IntoIterator<Item = S>) -> Self {
        self.links = links.into_iter().map(Into::into).collect();
        self
    }

    fn sum(&self, step: usize) -> f64 {
        self.series.iter().map(|series| drawable(series.values[step])).sum()
    }

    fn plot(&self) -> Plot {
        let values = || self.series.iter().flat_map(|series| series.values.iter().copied());
        let most = if self.columns {
            (0..self.steps.len()).map(|step| self.sum(step)).fold(0.0, f64::max)
        } else {
            values().map(drawable).fold(0.0, f64::max)
        };
        let marks = marks(most, 4, values().all(|value| value.fract() == 0.0));
        let gutter =
            marks.iter().map(|mark| width_of(&words::short(*mark))).fold(20.0, f64::max) + 14.0;
        let top = if self.series.len() > 1 { 40.0 } else { 16.0 };
        let right = self.span.width();
        let each = (right - gutter - 4.0) / self.steps.len() as f64;
        Plot { marks, gutter, right, top, foot: HEIGHT - 34.0, each }
    }

    fn name(&self, step: usize) -> String {
        let values = self.series.iter().map(|series| match self.series.len() {
            1 => format!("{} {}", words::measured(series.values[step]), self.unit),
            _ => format!("{} {}", series.name, words::measured(series.values[step])),
        });
        format!("{}: {}", self.steps[step], values.collect::<Vec<_>>().join(", "))
    }

    fn about(&self) -> String {
        let ends = (self.steps.first(), self.steps.last());
        let (Some(first), Some(last)) = ends else { return String::new() };
        let per = self.of.to_lowercase();
        let peak =
            (0..self.steps.len()).max_by(|a, b| self.sum(*a).total_cmp(&self.sum(*b))).unwrap_or(0);
        let at_peak = format!("most in {}, {}", self.steps[peak], words::measured(self.sum(peak)));
        format!("{} per {per}, from {first} to {last}; {at_peak}.", self.unit)
    }

    fn legend(&self) -> Markup {
        let mut left = 0.0;
        let places = self.series.iter().map(|series| {
            let place = left;
            left += width_of(&series.name) + 36.0;
            (place, series)
        });
        html! {
            @if self.series.len() > 1 {
                @for (place, series) in places {
                    rect class={ "c-bar " (series.hue.class()) } x=(rounded(place)) y="4" width="12" height="12" rx="3" {}
                    text class="c-label" x=(rounded(place + 18.0)) y="15" { (fitting(&series.name, 400.0)) }
                }
            }
        }
    }

    /// What can be pointed at: a whole step, from top to foot.
    fn step(&self, plot: &Plot, step: usize, inside: &Markup) -> Markup {
        let left = plot.middle(step) - plot.each / 2.0;
        named(
            &self.name(step),
            self.links.get(step).map(String::as_str),
            &html! {
                rect class="c-touch" x=(rounded(left)) y=(plot.top) width=(rounded(plot.each)) height=(plot.foot - plot.top) {}
                (inside)
            },
        )
    }

    fn stack(&self, plot: &Plot, step: usize) -> Markup {
        let wide = (plot.each * 0.78).min(56.0).max(plot.each.min(1.0));
        let mut under = 0.0;
        let pieces = self.series.iter().map(|series| {
            let value = drawable(series.values[step]);
            let (foot, top) = (plot.y(under), plot.y(under + value));
            under += value;
            (series.hue, foot, at_least_seen(foot - top, value))
        });
        html! {
            @for (hue, foot, high) in pieces {
                rect class={ "c-bar " (hue.class()) } x=(rounded(plot.middle(step) - wide / 2.0)) y=(rounded(foot - high))
                    width=(rounded(wide)) height=(rounded(high)) rx=(if wide > 6.0 { 2 } else { 0 }) {}
            }
        }
    }

    fn lines(&self, plot: &Plot) -> Markup {
        let points = |series: &Series| {
            let point = |(at, value): (usize, &f64)| {
                format!("{},{}", rounded(plot.middle(at)), rounded(plot.y(*value)))
            };
            series.values.iter().enumerate().map(point).collect::<Vec<_>>().join(" ")
        };
        let ends = (plot.middle(0), plot.middle(self.steps.len() - 1));
        html! {
            @for series in &self.series {
                @if self.series.len() == 1 {
                    polygon class={ "c-area " (series.hue.class()) }
                        points={ (rounded(ends.0)) "," (plot.foot) " " (points(series)) " " (rounded(ends.1)) "," (plot.foot) } {}
                }
                polyline class={ "c-line " (series.hue.class()) } points=(points(series)) {}
            }
        }
    }

    fn dots(&self, plot: &Plot, step: usize) -> Markup {
        html! {
            @for series in &self.series {
                circle class={ @if self.steps.len() <= MOST_DOTS { "c-dot " } @else { "c-dot c-hidden " } (series.hue.class()) }
                    cx=(rounded(plot.middle(step))) cy=(rounded(plot.y(series.values[step]))) r="3.5" {}
            }
        }
    }

    fn steps_labelled(&self, plot: &Plot) -> Markup {
        let widest = self.steps.iter().map(|step| width_of(step)).fold(0.0, f64::max).min(140.0);
        let show = every(self.steps.len(), widest + 14.0, plot.right - plot.gutter);
        let half = |label: &str| width_of(label) / 2.0;
        html! {
            @for (at, label) in self.steps.iter().enumerate().step_by(show) {
                text class="c-tick" x=(rounded(plot.middle(at).min(plot.right - half(label)))) y=(plot.foot + 21.0) text-anchor="middle" {
                    (fitting(label, plot.each * show as f64))
                }
            }
        }
    }
}

impl Chart for OverTime {
    fn title(&self) -> &str {
        &self.title
    }

    fn svg(&self) -> String {
        if self.steps.is_empty() || self.series.is_empty() {
            return nothing(&self.title);
        }
        let plot = self.plot();
        let inside = html! {
            (self.legend())
            (grid(&plot.marks, plot.gutter, plot.right, &|value| plot.y(value)))
            @if !self.columns { (self.lines(&plot)) }
            @for step in 0..self.steps.len() {
                (self.step(&plot, step, &if self.columns { self.stack(&plot, step) } else { self.dots(&plot, step) }))
            }
            line class="c-base" x1=(rounded(plot.gutter)) x2=(plot.right) y1=(plot.foot) y2=(plot.foot) {}
            (self.steps_labelled(&plot))
        };
        frame(&self.title, &self.about(), self.span, HEIGHT, !self.links.is_empty(), &inside)
    }

    fn table(&self) -> Table {
        let one = self.series.len() == 1;
        let names = self.series.iter().map(|series| if one { &self.unit } else { &series.name });
        let row = |(at, step): (usize, &String)| {
            let values = self.series.iter().map(|series| words::measured(series.values[at]));
            std::iter::once(step.clone()).chain(values).collect()
        };
        Table {
            head: std::iter::once(&self.of).chain(names).cloned().collect(),
            rows: self.steps.iter().enumerate().map(row).collect(),
        }
    }
}
