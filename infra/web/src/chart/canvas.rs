//! What all charts have in common: the frame, and texts that fit.

use maud::{Markup, html};

/// How wide a drawing is, in units that are about pixels when it stands where it is meant to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Span {
    /// One of two columns.
    Half,
    /// A page's whole width.
    Whole,
    /// Twelve tiles.
    Map,
}

impl Span {
    pub(super) fn width(self) -> f64 {
        match self {
            Self::Half => 520.0,
            Self::Whole => 1040.0,
            Self::Map => 720.0,
        }
    }

    fn class(self) -> &'static str {
        match self {
            Self::Half => "chart-svg",
            Self::Whole => "chart-svg whole",
            Self::Map => "chart-svg map",
        }
    }
}

/// Width of a letter, in the mean, at the labels' size (13 units).
const LETTER: f64 = 7.9;

/// The `<svg>` element. With links inside it is a group, since what is inside an image can't be reached.
pub(super) fn frame(
    title: &str,
    about: &str,
    span: Span,
    height: f64,
    links: bool,
    inside: &Markup,
) -> String {
    let view = format!("0 0 {} {}", span.width(), rounded(height));
    let (title, about) = (clean(title), clean(about));
    html! {
        svg xmlns="http://www.w3.org/2000/svg" class=(span.class()) viewBox=(view) width=(span.width()) height=(rounded(height))
            role=(if links { "group" } else { "img" }) aria-label=(title) {
            title { (title) }
            desc { (about) }
            (inside)
        }
    }
    .into_string()
}

/// What stands where there is nothing to draw.
pub(super) fn nothing(title: &str) -> String {
    let inside = html! { text class="c-label" x=(Span::Half.width() / 2.0) y="64" text-anchor="middle" { "Nothing to show yet" } };
    frame(title, "There are no numbers yet.", Span::Half, 120.0, false, &inside)
}

/// Something with a name of its own that shows when it is pointed at, and perhaps a link.
pub(super) fn named(name: &str, href: Option<&str>, inside: &Markup) -> Markup {
    let name = clean(name);
    html! {
        @match href {
            // Its name is the title: a label would have to repeat the texts that are in it.
            Some(href) => a class="c-link" href=(href) { title { (name) } (inside) },
            None => g { title { (name) } (inside) },
        }
    }
}

/// One decimal is finer than anybody sees, and keeps the page small.
pub(super) fn rounded(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

/// About how wide a label is drawn.
pub(super) fn width_of(text: &str) -> f64 {
    text.chars().count() as f64 * LETTER
}

/// A text as a label: one line, no longer than `room`.
pub(super) fn fitting(text: &str, room: f64) -> String {
    let text = clean(text);
    let fit = ((room / LETTER) as usize).max(2);
    if text.chars().count() <= fit {
        return text;
    }
    let cut: String = text.chars().take(fit - 1).collect();
    format!("{}…", cut.trim_end())
}

/// Without what XML can't hold: one such character and the whole picture is lost. Escaping is maud's.
pub(super) fn clean(text: &str) -> String {
    let kept = text
        .chars()
        .map(|c| if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') { ' ' } else { c });
    kept.collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ")
}
