use axum::response::Response;
use maud::{Markup, html};
use millstream_engine::{Freshness, What};
use millstream_web::chart::{Hue, OverTime};
use millstream_web::parts::{Tone, badge, chart, figure_of, scrolling};
use millstream_web::sse::Message;
use millstream_web::words;

use super::bits::{clock, iso, moment, ms, pipeline_path, standing_why, troubling, worker_path};
use super::way::way;
use super::{Parts, messages, reading, shell};
use crate::history::Point;
use crate::view::{HappeningView, LookupView, PartitionView, PipelineView, Reading, Summary};

/// Steps of a chart: more can't be told apart.
const STEPS: usize = 120;

pub(crate) fn page(view: &PipelineView, read: &Reading) -> Response {
    let id = &view.summary.id;
    let main = html! {
        nav.crumbs aria-label="Where this is" { ol { li { a href="/" { "Overview" } } } }
        h1 { "Pipeline " (id) }
        (super::live(&format!("/live{}", pipeline_path(id)), parts(view, read)))
    };
    shell().page(id, "", main)
}

pub(crate) fn live(view: &PipelineView, read: &Reading) -> Vec<Message> {
    messages(parts(view, read))
}

fn parts(view: &PipelineView, read: &Reading) -> Parts {
    vec![
        ("reading", reading(read)),
        ("about", about(view)),
        ("way", picture(view)),
        ("lookups", lookups(view)),
        ("partitions", partitions(view)),
        ("history", history(&view.history)),
        ("happenings", happenings(view)),
    ]
}

fn about(view: &PipelineView) -> Markup {
    let one = &view.summary;
    html! {
        p { (standing_why(&one.state)) }
        @if !one.is_idle() { (figures(one)) }
    }
}

fn figures(one: &Summary) -> Markup {
    html! {
        dl.stats.eight {
            (figure_of("Events per second", &words::measured(one.events_per_s)))
            (figure_of("Lag", &words::grouped(one.lag)))
            (figure_of(&format!("Batch on average, last {}", ms(one.batch_last_ms)), &ms(one.batch_mean_ms)))
            (figure_of("Events", &words::count(one.events)))
            (figure_of("Rows", &words::count(one.rows)))
            (figure_of("Dead letters", &words::count(one.dead_letters)))
            (figure_of("Retries", &words::count(one.retries)))
            (figure_of(&format!("Held of {}", words::bytes(one.memory_bytes as u64)), &words::bytes(one.held_bytes as u64)))
        }
    }
}

fn picture(view: &PipelineView) -> Markup {
    let plan = &view.summary.plan;
    // Older workers left samples only.
    if plan.topic.is_empty() {
        return html! {};
    }
    html! {
        h2 { "The way of its data" }
        div.card {
            @if view.summary.is_idle() {
                p { "Topic " (plan.topic) " → " (plan.decode) " → " (plan.transform) " → " (plan.sink) }
            } @else {
                (scrolling("The way of its data, picture", way(view)))
            }
            p.soft { (plan.sink) ", " (plan.keeping) }
            @if let Some(sql) = &plan.sql {
                details { summary { "SQL" } pre tabindex="0" { code { (sql) } } }
            }
        }
    }
}

fn lookups(view: &PipelineView) -> Markup {
    html! {
        @if !view.lookups.is_empty() {
            h2 { "Lookup tables" }
            (scrolling("Lookup tables", html! {
                table.numbers {
                    thead { tr {
                        th scope="col" { "Table" }
                        th scope="col" { "State" }
                        th scope="col" { "As of, UTC" }
                        th.n scope="col" { "Rows" }
                        th.n scope="col" { "Held" }
                        th scope="col" { "Worker" }
                    } }
                    tbody { @for one in &view.lookups { (lookup(one, view.now_ms)) } }
                }
            }))
        }
    }
}

fn lookup(one: &LookupView, now_ms: i64) -> Markup {
    let status = &one.status;
    let (tone, word) = match status.state {
        _ if status.waits => (Tone::Warn, "waited for"),
        Freshness::Fresh => (Tone::Good, "fresh"),
        Freshness::Stale => (Tone::Warn, "stale"),
        Freshness::Missing => (Tone::Warn, "missing"),
    };
    html! {
        tr {
            th scope="row" { (status.name) span.why { (status.place) } }
            td { (badge(tone, word)) @if let Some(failed) = &status.failed { span.why { (failed) } } }
            td { @match status.as_of_ms { Some(at) => { (clock(at, now_ms)) }, None => "–" } }
            td.n { (words::grouped(i64::try_from(status.rows).unwrap_or(i64::MAX))) }
            td.n { (words::bytes(status.bytes as u64)) }
            td { a href=(worker_path(&one.worker)) { (one.worker) } }
        }
    }
}

fn partitions(view: &PipelineView) -> Markup {
    html! {
        h2 { "Partitions" }
        @if view.by_partition.is_empty() {
            p { "No worker has a partition of it at the moment." }
        } @else {
            (scrolling("Partitions", html! {
                table.numbers {
                    thead { tr {
                        th scope="col" { "Partition" }
                        th scope="col" { "State" }
                        th.n scope="col" { "Position" }
                        th.n scope="col" { "End" }
                        th.n scope="col" { "Lag" }
                        th.n scope="col" { "Events/s" }
                        th.n scope="col" { "Rolls in" }
                        th.n scope="col" { "Batch" }
                        th.n scope="col" { "Held" }
                        th.n scope="col" { "Dead letters" }
                        th.n scope="col" { "Retries" }
                        th scope="col" { "Worker" }
                    } }
                    tbody { @for at in &view.by_partition { (partition(at)) } }
                }
            }))
        }
    }
}

fn partition(at: &PartitionView) -> Markup {
    html! {
        tr {
            th scope="row" { (at.topic) "-" (at.partition) }
            td { (standing_why(&at.state)) @if at.paused { span.why { "reading pauses until the sink has taken what is held, or a lookup table was read" } } }
            td.n { (words::grouped(at.position)) }
            td.n { (words::grouped(at.end)) }
            td.n { (words::grouped(at.lag)) }
            td.n { (words::measured(at.events_per_s)) }
            td.n { @match at.roll_in_ms { Some(left) => { (left.div_euclid(1000)) " s" }, None => "–" } }
            td.n { (ms(at.batch_mean_ms)) }
            td.n { (words::bytes(at.held_bytes as u64)) }
            td.n { (troubling(at.dead_letters)) }
            td.n { (troubling(at.retries)) }
            td { a href=(worker_path(&at.worker)) { (at.worker) } }
        }
    }
}

fn history(points: &[Point]) -> Markup {
    html! {
        h2 { "History" }
        @if points.len() < 2 {
            p.soft { "A sample is taken every 10 s; the charts begin with the second one." }
        } @else {
            @let steps = thinned(points);
            @let long = steps.len() < points.len();
            @let labels = || steps.iter().map(|point| moment(point.at_ms, long));
            div.charts {
                (chart(&OverTime::line("Events per second", "Time, UTC", "events per second", labels())
                    .series("Events per second", Hue::Main, steps.iter().map(|point| point.events_per_s)), None))
                (chart(&OverTime::line("Lag", "Time, UTC", "events", labels())
                    .series("Lag", Hue::Amber, steps.iter().map(|point| point.lag as f64)), None))
                @if points.iter().any(|point| point.dead_letters > 0) {
                    (chart(&OverTime::columns("Dead letters", "Time, UTC", "dead letters", labels())
                        .series("Dead letters", Hue::Red, steps.iter().map(|point| point.dead_letters as f64)), None))
                }
            }
        }
    }
}

/// So many points that a chart can show them: the mean rate, the highest lag, and all dead letters of some
/// neighbouring steps each.
fn thinned(points: &[Point]) -> Vec<Point> {
    let each = points.len().div_ceil(STEPS).max(1);
    let together = |some: &[Point]| Point {
        at_ms: some[0].at_ms,
        events_per_s: some.iter().map(|point| point.events_per_s).sum::<f64>() / some.len() as f64,
        lag: some.iter().map(|point| point.lag).max().unwrap_or_default(),
        dead_letters: some.iter().map(|point| point.dead_letters).sum(),
    };
    points.chunks(each).map(together).collect()
}

fn happenings(view: &PipelineView) -> Markup {
    html! {
        h2 { "What happened" }
        @if view.happenings.is_empty() {
            p.soft { "Nothing yet: partitions that come and go, and trouble, are listed here." }
        } @else {
            ol.timeline { @for one in &view.happenings { li { (happening(one, view.now_ms)) } } }
        }
    }
}

fn happening(one: &HappeningView, now_ms: i64) -> Markup {
    let (tone, word) = named(one.happening.what);
    html! {
        time datetime=(iso(one.happening.at_ms)) { (clock(one.happening.at_ms, now_ms)) " UTC" }
        (badge(tone, word))
        span {
            @if !one.happening.partitions.is_empty() { strong { (one.happening.partitions.join(", ")) } " " }
            (one.happening.why)
            " "
            @if one.there { a href=(worker_path(&one.worker)) { (one.worker) } } @else { (one.worker) }
        }
    }
}

fn named(what: What) -> (Tone, &'static str) {
    match what {
        What::Assigned => (Tone::Good, "assigned"),
        What::Revoked => (Tone::Info, "revoked"),
        What::Lost => (Tone::Warn, "lost"),
        What::Standby => (Tone::Plain, "standing by"),
        What::Retrying => (Tone::Warn, "retrying"),
        What::Recovered => (Tone::Good, "recovered"),
        What::Stopped => (Tone::Bad, "stopped"),
        What::Restarted => (Tone::Warn, "restarted"),
    }
}
