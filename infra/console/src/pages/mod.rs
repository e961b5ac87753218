//! Pages and the fragments of them that are kept current.

mod bits;
pub(crate) mod overview;
pub(crate) mod pipeline;
mod spark;
mod way;
pub(crate) mod worker;

use maud::{Markup, html};
use millstream_web::Shell;
use millstream_web::assets::Asset;
use millstream_web::parts::{Tone, notice};
use millstream_web::sse::Message;

use crate::view::Reading;

/// The console's own look.
pub(crate) static ASSETS: [Asset; 1] = [STYLE];
const STYLE: Asset = Asset::new("console.css", include_bytes!("../../assets/console.css"));

/// The frame around every page.
pub(crate) fn shell() -> Shell {
    let nav: &[_] = &[("/", "Overview"), ("/api/v1/overview", "JSON"), ("/metrics", "Metrics")];
    Shell { site: "Millstream console", nav, head: STYLE.link() }
}

/// Parts of a page by the names of the events that renew them.
type Parts = Vec<(&'static str, Markup)>;

fn messages(parts: Parts) -> Vec<Message> {
    parts.into_iter().map(|(name, part)| (name, part.into_string())).collect()
}

/// The parts below one another, each where its events are put.
fn live(from: &str, parts: Parts) -> Markup {
    html! {
        div data-live=(from) {
            @for (name, part) in parts { section.stack data-event=(name) { (part) } }
        }
    }
}

/// What the stream of a page says when its subject has gone.
pub(crate) fn gone() -> Message {
    let text = html! { p { "It has ended, or its worker has. " a href="/" { "The overview" } " shows who is there." } };
    ("reading", notice(Tone::Warn, "Nobody tells of this any more", text).into_string())
}

/// Trouble with the topics, if there is any.
fn reading(reading: &Reading) -> Markup {
    html! {
        @if let Some(why) = &reading.trouble {
            (notice(Tone::Bad, "The status topic can't be read", html! {
                p { (why) ". What is shown is the last that was read; reading is tried again." }
            }))
        } @else if !reading.loaded {
            (notice(Tone::Info, "Reading what the workers told", html! { p { "This takes a moment." } }))
        }
        @if reading.bad > 0 {
            (notice(Tone::Warn, "Some records couldn't be understood", html! {
                p { (reading.bad) " records on the status topics were written by another version, or by somebody else." }
            }))
        }
    }
}
