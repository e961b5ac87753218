//! Files the pages link to. Their address holds a hash of what is in them, so that they may be kept for good.

use axum::Router;
use axum::extract::RawQuery;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::IntoResponse;
use axum::routing::get;
use maud::{Markup, PreEscaped, html};

/// Ours: look, charts, live fragments, the mark.
pub static ASSETS: [Asset; 4] = [STYLE, CHART, LIVE, MARK];

const STYLE: Asset = Asset::new("style.css", include_bytes!("../assets/style.css"));
const CHART: Asset = Asset::new("chart.css", include_bytes!("../assets/chart.css"));
const LIVE: Asset = Asset::new("live.js", include_bytes!("../assets/live.js"));
const MARK: Asset = Asset::new("mark.svg", include_bytes!("../assets/mark.svg"));

/// A file that is part of the program.
#[derive(Clone, Copy, Debug)]
pub struct Asset {
    name: &'static str,
    bytes: &'static [u8],
    hash: u64,
}

impl Asset {
    /// `name` is the last part of its address and tells its kind by its ending. Names of [`ASSETS`] are taken.
    pub const fn new(name: &'static str, bytes: &'static [u8]) -> Self {
        Self { name, bytes, hash: fnv(bytes) }
    }

    /// `/assets/<name>?v=<hash>`.
    pub fn url(&self) -> String {
        format!("/assets/{}?v={:016x}", self.name, self.hash)
    }

    /// What a page's head says to have it: a stylesheet, or a script that runs once the page is there.
    pub fn link(&self) -> Markup {
        html! {
            @if self.name.ends_with(".js") {
                script src=(self.url()) defer {}
            } @else if self.name.ends_with(".css") {
                link rel="stylesheet" href=(self.url());
            } @else {
                link rel="icon" href=(self.url());
            }
        }
    }

    fn kind(&self) -> &'static str {
        match self.name.rsplit_once('.').map(|(_, ending)| ending) {
            Some("css") => "text/css; charset=utf-8",
            Some("js") => "text/javascript; charset=utf-8",
            Some("svg") => "image/svg+xml",
            Some("png") => "image/png",
            Some("woff2") => "font/woff2",
            _ => "application/octet-stream",
        }
    }
}

/// Serves [`ASSETS`]. To be merged into every site's router.
pub fn router() -> Router {
    router_of(&ASSETS)
}

/// Serves an app's own files, beside [`router`].
pub fn router_of(assets: &'static [Asset]) -> Router {
    assets.iter().fold(Router::new(), |router, asset| {
        let serve = move |RawQuery(query): RawQuery| async move {
            // Under an address without its hash it may be another one tomorrow.
            let named = query.is_some_and(|query| query == format!("v={:016x}", asset.hash));
            let keep = if named { "public, max-age=31536000, immutable" } else { "no-cache" };
            ([(CONTENT_TYPE, asset.kind()), (CACHE_CONTROL, keep)], asset.bytes).into_response()
        };
        router.route(&format!("/assets/{}", asset.name), get(serve))
    })
}

/// What every page's head has.
pub(crate) fn links() -> Markup {
    html! { (MARK.link()) (STYLE.link()) (CHART.link()) (LIVE.link()) }
}

/// The mark, to stand in the page.
pub(crate) fn mark() -> Markup {
    PreEscaped(include_str!("../assets/mark.svg").trim_end().to_owned())
}

/// FNV-1a: it only has to change when the file does.
const fn fnv(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325;
    let mut at = 0;
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u64).wrapping_mul(0x0100_0000_01b3);
        at += 1;
    }
    hash
}
