//! Small pieces of pages. Each goes with a class of the stylesheet.

use maud::{Markup, html};

use crate::chart::Chart;

/// How serious something is. It is always said in words, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    Plain,
    Good,
    Info,
    Warn,
    Bad,
}

impl Tone {
    fn class(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Good => "good",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Bad => "bad",
        }
    }
}

/// A word or two in a coloured frame.
pub fn badge(tone: Tone, text: &str) -> Markup {
    html! { span class={ "badge " (tone.class()) } { (text) } }
}

/// Something to be read first. It isn't announced: it stands in parts that come anew again and again, and would be
/// announced each time.
pub fn notice(tone: Tone, title: &str, body: Markup) -> Markup {
    html! { div class={ "notice " (tone.class()) } { p.notice-title { (title) } (body) } }
}

/// A table (or anything wide) that scrolls by itself on a narrow screen and can be reached by the keyboard.
pub fn scrolling(label: &str, wide: Markup) -> Markup {
    html! { div.scroll role="region" aria-label=(label) tabindex="0" { (wide) } }
}

/// How far something has come; without `of` it isn't known how far it has to go.
pub fn progress(label: &str, done: u64, of: Option<u64>) -> Markup {
    html! {
        div.progress {
            p { (label) }
            @match of {
                Some(of) => progress max=(of.max(1)) value=(done.min(of.max(1))) aria-label=(label) {},
                None => progress aria-label=(label) {},
            }
        }
    }
}

/// A number with what it is.
pub fn figure_of(label: &str, value: &str) -> Markup {
    html! { div.stat { dt { (label) } dd { (value) } } }
}

/// Links to neighbouring pages. `page` and `pages` count from 1; `href` gives a page's address.
pub fn pager(page: usize, pages: usize, href: impl Fn(usize) -> String) -> Markup {
    if pages <= 1 {
        return html! {};
    }
    let mut shown = vec![1, pages];
    shown.extend((page.saturating_sub(2)..=page + 2).filter(|at| (1..=pages).contains(at)));
    shown.sort_unstable();
    shown.dedup();
    html! {
        nav.pager aria-label="Pages" {
            @if page > 1 { a.button rel="prev" href=(href(page - 1)) { "Previous" } }
            ol {
                @for (before, at) in std::iter::once(0).chain(shown.iter().copied()).zip(shown.iter().copied()) {
                    @if at > before + 1 { li.gap aria-hidden="true" { "…" } }
                    li { a href=(href(at)) aria-current=[(at == page).then_some("page")] aria-label={ "Page " (at) } { (at) } }
                }
            }
            @if page < pages { a.button rel="next" href=(href(page + 1)) { "Next" } }
        }
    }
}

/// A chart with its heading, the same numbers as a table, and, if there is one, the address of its picture.
pub fn chart(chart: &dyn Chart, png: Option<&str>) -> Markup {
    let table = chart.table();
    html! {
        figure.chart {
            figcaption { (chart.title()) }
            (scrolling(&format!("{}, chart", chart.title()), maud::PreEscaped(chart.svg())))
            div.chart-foot {
                details {
                    summary { "As a table" }
                    (scrolling(&format!("{}, table", chart.title()), html! {
                        table {
                            thead { tr { @for head in &table.head { th scope="col" { (head) } } } }
                            tbody { @for row in &table.rows { tr { @for cell in row { td { (cell) } } } } }
                        }
                    }))
                }
                @if let Some(png) = png { a href=(png) download { "Download PNG" span.visually-hidden { " of " (chart.title()) } } }
            }
        }
    }
}
