use maud::{Markup, html};

use super::canvas::{Span, fitting, frame, named, nothing, rounded, width_of};
use super::scale::{drawable, every, marks};
use super::{Chart, Hue, Table};
use crate::words;

/// The share of the drawing that lying bars' labels may take.
const LABEL_ROOM: f64 = 0.38;
const ROW: f64 = 30.0;
const UPRIGHT_HEIGHT: f64 = 300.0;

/// Amounts side by side, in the order they were given.
#[derive(Clone, Debug)]
pub struct Bars {
    title: String,
    of: String,
    unit: String,
    upright: bool,
    span: Span,
    bars: Vec<Bar>,
}

/// One of them.
#[derive(Clone, Debug)]
pub struct Bar {
    label: String,
    value: f64,
    hue: Hue,
    href: Option<String>,
}

impl Bar {
    /// `value` is drawn from zero; a negative one has no bar.
    pub fn new(label: impl Into<String>, value: f64) -> Self {
        Self { label: label.into(), value, hue: Hue::Main, href: None }
    }

    /// Another colour than the accent.
    pub fn hue(mut self, hue: Hue) -> Self {
        self.hue = hue;
        self
    }

    /// Where a click on the bar leads.
    pub fn link(mut self, href: impl Into<String>) -> Self {
        self.href = Some(href.into());
        self
    }
}

impl Bars {
    /// Lying bars. `of`: what each bar stands for ("Firm"); `unit`: what is counted ("recalls").
    pub fn new(title: impl Into<String>, of: impl Into<String>, unit: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            of: of.into(),
            unit: unit.into(),
            upright: false,
            span: Span::Half,
            bars: Vec::new(),
        }
    }

    /// Upright bars instead of lying ones: for few of them, with short labels.
    pub fn upright(mut self) -> Self {
        self.upright = true;
        self
    }

    /// For a page's whole width rather than one of two columns.
    pub fn whole(mut self) -> Self {
        self.span = Span::Whole;
        self
    }

    /// Adds one at the end.
    pub fn bar(mut self, bar: Bar) -> Self {
        self.bars.push(bar);
        self
    }

    /// Adds several at the end.
    pub fn bars(mut self, bars: impl IntoIterator<Item = Bar>) -> Self {
        self.bars.extend(bars);
        self
    }

    fn most(&self) -> f64 {
        self.bars.iter().map(|bar| drawable(bar.value)).fold(0.0, f64::max)
    }

    fn name(&self, bar: &Bar) -> String {
        format!("{}: {} {}", bar.label, words::measured(bar.value), self.unit)
    }

    fn about(&self) -> String {
        let all =
            self.bars.iter().map(|bar| format!("{} {}", bar.label, words::measured(bar.value)));
        let first = all.take(12).collect::<Vec<_>>().join("; ");
        format!("{} by {}: {first}.", self.unit, self.of.to_lowercase())
    }

    fn lying(&self) -> String {
        let wide = self.span.width();
        let widest = self.bars.iter().map(|bar| width_of(&bar.label)).fold(40.0, f64::max);
        let gutter = widest.min(wide * LABEL_ROOM) + 14.0;
        let numbers =
            self.bars.iter().map(|bar| width_of(&words::measured(bar.value))).fold(20.0, f64::max);
        let (room, most) = (wide - gutter - numbers - 14.0, self.most().max(f64::MIN_POSITIVE));
        let rows = html! {
            @for (at, bar) in self.bars.iter().enumerate() {
                @let top = at as f64 * ROW + 4.0;
                @let long = drawable(bar.value) / most * room;
                (named(&self.name(bar), bar.href.as_deref(), &html! {
                    rect class="c-touch" x="0" y=(rounded(top)) width=(wide) height=(ROW) {}
                    text class="c-label" x=(rounded(gutter - 10.0)) y=(rounded(top + 19.5)) text-anchor="end" {
                        (fitting(&bar.label, gutter - 10.0))
                    }
                    rect class={ "c-bar " (bar.hue.class()) } x=(rounded(gutter)) y=(rounded(top + 5.0))
                        width=(rounded(at_least_seen(long, bar.value))) height=(ROW - 10.0) rx="3" {}
                    text class="c-value" x=(rounded(gutter + long + 8.0)) y=(rounded(top + 19.5)) {
                        (words::measured(bar.value))
                    }
                }))
            }
            line class="c-base" x1=(rounded(gutter)) x2=(rounded(gutter)) y1="4" y2=(self.bars.len() as f64 * ROW + 4.0) {}
        };
        self.framed(self.bars.len() as f64 * ROW + 8.0, &rows)
    }

    fn standing(&self) -> String {
        let whole = self.span.width();
        let marks = marks(self.most(), 4, self.bars.iter().all(|bar| bar.value.fract() == 0.0));
        let most = marks.last().copied().unwrap_or(1.0);
        let gutter =
            marks.iter().map(|mark| width_of(&words::short(*mark))).fold(20.0, f64::max) + 14.0;
        let (top, foot) = (24.0, UPRIGHT_HEIGHT - 34.0);
        let each = (whole - gutter - 4.0) / self.bars.len() as f64;
        let widest =
            self.bars.iter().map(|bar| width_of(&bar.label)).fold(0.0, f64::max).min(140.0);
        let show = every(self.bars.len(), widest + 8.0, whole - gutter);
        let y = |value: f64| foot - value / most * (foot - top);
        let inside = html! {
            (grid(&marks, gutter, whole, &y))
            @for (at, bar) in self.bars.iter().enumerate() {
                @let left = gutter + each * at as f64;
                @let high = at_least_seen(foot - y(drawable(bar.value)), bar.value);
                @let wide = (each * 0.68).min(72.0);
                (named(&self.name(bar), bar.href.as_deref(), &html! {
                    rect class="c-touch" x=(rounded(left)) y=(top) width=(rounded(each)) height=(foot - top + 26.0) {}
                    rect class={ "c-bar " (bar.hue.class()) } x=(rounded(left + (each - wide) / 2.0)) y=(rounded(foot - high))
                        width=(rounded(wide)) height=(rounded(high)) rx="3" {}
                    @if each >= width_of(&words::measured(bar.value)) {
                        text class="c-value" x=(rounded(left + each / 2.0)) y=(rounded(foot - high - 7.0)) text-anchor="middle" {
                            (words::measured(bar.value))
                        }
                    }
                    @if at % show == 0 {
                        text class="c-label" x=(rounded(left + each / 2.0)) y=(rounded(foot + 21.0)) text-anchor="middle" {
                            (fitting(&bar.label, each * show as f64))
                        }
                    }
                }))
            }
            line class="c-base" x1=(rounded(gutter)) x2=(whole) y1=(foot) y2=(foot) {}
        };
        self.framed(UPRIGHT_HEIGHT, &inside)
    }

    fn framed(&self, height: f64, inside: &Markup) -> String {
        frame(
            &self.title,
            &self.about(),
            self.span,
            height,
            self.bars.iter().any(|bar| bar.href.is_some()),
            inside,
        )
    }
}

impl Chart for Bars {
    fn title(&self) -> &str {
        &self.title
    }

    fn svg(&self) -> String {
        match (self.bars.is_empty(), self.upright) {
            (true, _) => nothing(&self.title),
            (false, true) => self.standing(),
            (false, false) => self.lying(),
        }
    }

    fn table(&self) -> Table {
        Table {
            head: vec![self.of.clone(), self.unit.clone()],
            rows: self
                .bars
                .iter()
                .map(|bar| vec![bar.label.clone(), words::measured(bar.value)])
                .collect(),
        }
    }
}

/// The lines behind upright charts, with their numbers.
pub(super) fn grid(marks: &[f64], gutter: f64, right: f64, y: &impl Fn(f64) -> f64) -> Markup {
    html! {
        @for mark in marks {
            line class="c-grid" x1=(rounded(gutter)) x2=(right) y1=(rounded(y(*mark))) y2=(rounded(y(*mark))) {}
            text class="c-tick" x=(rounded(gutter - 8.0)) y=(rounded(y(*mark) + 4.0)) text-anchor="end" { (words::short(*mark)) }
        }
    }
}

/// Little is not nothing: a sliver is shown.
pub(super) fn at_least_seen(long: f64, value: f64) -> f64 {
    if value > 0.0 { long.max(2.0) } else { 0.0 }
}
