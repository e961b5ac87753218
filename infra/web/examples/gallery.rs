//! Every part of a page on one, to be looked at: `cargo run -p millstream-web --example gallery [port]`.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::extract::Query;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use maud::{Markup, html};
use millstream_web::chart::{Bar, Bars, Chart, Hue, OverTime, Tiles, png};
use millstream_web::parts::{self, Tone};
use millstream_web::sse::Hub;
use millstream_web::{Server, Shell, WebError, assets, bind, words};
use serde_json::json;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

const NAV: &[(&str, &str)] =
    &[("/", "Parts"), ("/charts", "Charts"), ("/forms", "Forms"), ("/nowhere", "An error")];

fn shell() -> Shell {
    Shell { site: "Gallery", nav: NAV, head: html! {} }
}

#[tokio::main]
async fn main() -> Result<(), WebError> {
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok()).unwrap_or(8970);
    let stop = CancellationToken::new();
    let (tick, ticks) = watch::channel(0_u64);
    let hub = Hub::new(8, stop.clone());
    let live = move || {
        let hub = hub.clone();
        let ticks = ticks.clone();
        async move { hub.stream(ticks, |tick| vec![("tick", ticking(*tick).into_string())]) }
    };
    let router = Router::new()
        .route("/", get(async || shell().page("Parts", "/", pieces())))
        .route("/charts", get(async || shell().page("Charts", "/charts", charts())))
        .route("/forms", get(async || shell().page("Forms", "/forms", forms())))
        .route("/map.png", get(picture))
        .route("/suggest", get(suggest))
        .route("/live", get(live))
        .merge(assets::router());
    let listener = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), true).await?;
    tracing::info!("look at {:?}", listener.local_addr());
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            tick.send_modify(|tick| *tick += 1);
        }
    });
    Server::new(router).shell(shell()).serve(listener, stop).await
}

fn ticking(tick: u64) -> Markup {
    html! { p { "Open for " strong { (tick) } " s." } }
}

fn pieces() -> Markup {
    html! {
        h1 { "Parts of a page" }
        p.lead { "A sentence that says what this page is for, with " a href="/charts" { "a link" } " in it." }
        dl.stats {
            (parts::figure_of("Recalls", &words::count(40_123)))
            (parts::figure_of("Class I, most serious", "2,904"))
            (parts::figure_of("Ongoing", "11,870"))
            (parts::figure_of("Events per second", "1,250"))
        }
        div data-live="/live" { div data-event="tick" { (ticking(0)) } }
        (parts::progress("Loading recalls: 12,000 of 40,000", 12_000, Some(40_000)))
        (parts::progress("Loading recalls", 0, None))
        section {
            h2 { "Badges and notices" }
            p {
                @for (tone, text) in TONES { (parts::badge(tone, text)) " " }
            }
            @for (tone, text) in TONES {
                (parts::notice(tone, text, html! { p { "What happened, and " a href="/" { "what to do" } " about it: run " code { "recalls process" } "." } }))
            }
        }
        section { h2 { "A table" } (parts::scrolling("Pipelines", table())) }
        div.columns {
            section.card {
                h2 { "Facts" }
                dl.facts {
                    @for (label, value) in [("Recall number", "Z-1234-2024"), ("Firm", "Example Medical, Inc."), ("Begun", "4 March 2024")] {
                        div { dt { (label) } dd { (value) } }
                    }
                }
            }
            section.card {
                h2 { "Timeline" }
                ol.timeline {
                    @for (tone, text) in [("good", "Worker 2 joined"), ("warn", "Partition 1 was revoked"), ("bad", "Worker 1 left")] {
                        li class=(tone) { time { "14:03:20" } p { (text) } }
                    }
                }
            }
        }
        (parts::pager(5, 40, |page| format!("/?page={page}")))
    }
}

const TONES: [(Tone, &str); 5] = [
    (Tone::Plain, "Terminated"),
    (Tone::Good, "Running"),
    (Tone::Info, "Class III"),
    (Tone::Warn, "Class II"),
    (Tone::Bad, "Class I"),
];

fn table() -> Markup {
    html! {
        table.numbers {
            thead { tr { th scope="col" { "Pipeline" } th scope="col" { "State" } @for head in ["Events/s", "Lag", "Batch", "Dead letters", "Retries"] { th.n scope="col" { (head) } } } }
            tbody {
                @for (name, lag) in [("recalls.enforcement", 0), ("recalls.search", 1204), ("weather.hourly", 17)] {
                    tr {
                        th scope="row" { a href="/" { (name) } span.why { "devices → table enforcement" } }
                        td { (parts::badge(Tone::Good, "running")) }
                        td.n { "1,250" } td.n { (words::grouped(lag)) } td.n { "12 ms" } td.n { "0" } td.n { "0" }
                    }
                }
            }
        }
    }
}

fn forms() -> Markup {
    html! {
        h1 { "Find a device recall" }
        form.search-form action="/forms" role="search" {
            label for="q" { "Recall number, firm, product or reason" }
            div.search-row {
                div.search-field { input #q type="search" name="q" data-suggest="/suggest?q="; }
                button type="submit" { "Search" }
            }
            p.hint { "Small slips of spelling are forgiven." }
        }
        div.found {
            aside.facets aria-label="Filters" {
                details open {
                    summary { "Filters" }
                    fieldset {
                        legend { "Class" }
                        @for (label, rows) in [("Class I", "2,904"), ("Class II", "34,120"), ("Class III", "3,099")] {
                            label { input type="checkbox" name="class" value=(label); (label) span.rows { (rows) } }
                        }
                    }
                }
            }
            section aria-labelledby="found" {
                h2 #found { "40,123 recalls" }
                ul.chips aria-label="Filters in use" { li { a.chip href="/forms" { "Class I ×" } } li { a href="/forms" { "Remove all" } } }
                article.card {
                    p { (parts::badge(Tone::Bad, "Class I")) " " (parts::badge(Tone::Info, "Ongoing")) " " span.soft { "Z-1234-2024" } }
                    h3 { a href="/" { "Infusion pump, model 3, with a rather long name of what it is and for whom it was made" } }
                    p { "The " mark { "pump" } " may stop without an alarm." }
                    p { button type="button" data-copy="Z-1234-2024" { "Copy number" } }
                }
            }
        }
    }
}

fn map() -> Tiles {
    let codes = [
        "CA", "TX", "NY", "FL", "MN", "MA", "IL", "IN", "NJ", "PA", "OH", "WA", "CO", "UT", "GA",
        "PR", "AZ",
    ];
    codes.iter().enumerate().fold(Tiles::new("Recalls by state", "recalls"), |tiles, (at, code)| {
        tiles.tile(code, 9000.0 / (at + 1) as f64, Some(format!("/?state={code}")))
    })
}

fn charts() -> Markup {
    let firms = [
        "Example Medical, Inc.",
        "A firm with a very long name that doesn't fit anywhere",
        "Third & Sons",
        "<b>Bold</b>",
    ];
    let top = firms
        .iter()
        .enumerate()
        .map(|(at, firm)| Bar::new(*firm, 1800.0 / (at + 1) as f64).link(format!("/?firm={at}")));
    let classes = Bars::new("Recalls by class", "Class", "recalls")
        .upright()
        .bar(Bar::new("Class I", 2904.0).hue(Hue::Red))
        .bar(Bar::new("Class II", 34_120.0).hue(Hue::Amber))
        .bar(Bar::new("Class III", 3099.0).hue(Hue::Teal));
    let months = || (0..60).map(|at| format!("{}-{:02}", 2020 + at / 12, at % 12 + 1));
    let wave = |by: f64| (0..60).map(move |at| (150.0 + 90.0 * (f64::from(at) / by).sin()).round());
    let columns = OverTime::columns("Recalls per month", "Month", "recalls", months())
        .series("Class I", Hue::Red, wave(7.0).map(|v| (v / 9.0).round()))
        .series("Class II", Hue::Main, wave(5.0));
    let line = OverTime::line(
        "Events per second",
        "Time",
        "events",
        ["14:00", "14:01", "14:02", "14:03", "14:04"],
    )
    .series("all", Hue::Main, [1200.0, 1250.0, 400.5, 900.0, 1300.0]);
    html! {
        h1 { "Charts" }
        div.charts {
            (parts::chart(&Bars::new("Firms with most recalls", "Firm", "recalls").bars(top), None))
            (parts::chart(&classes, None))
            (parts::chart(&line, None))
        }
        (parts::chart(&columns.whole(), None))
        (parts::chart(&map(), Some("/map.png")))
        (parts::chart(&Bars::new("Nothing as yet", "Class", "recalls"), None))
    }
}

async fn picture() -> Response {
    match png(&map().svg(), 1200) {
        Ok(png) => ([(CONTENT_TYPE, "image/png")], png).into_response(),
        Err(error) => millstream_web::error_page(
            &shell(),
            axum::http::StatusCode::INTERNAL_SERVER_ERROR,
            &error.to_string(),
            "Try again.",
        ),
    }
}

#[derive(serde::Deserialize)]
struct Asked {
    q: String,
}

async fn suggest(Query(Asked { q }): Query<Asked>) -> Json<serde_json::Value> {
    let all = ["firm", "product", "recall"].map(|label| json!({ "text": format!("{q} <{label}>"), "label": label, "url": format!("/?q={label}"), "rows": 1200 }));
    Json(json!({ "suggestions": all }))
}
