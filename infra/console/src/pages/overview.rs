use axum::response::Response;
use maud::{Markup, html};
use millstream_web::parts::{Tone, figure_of, notice, scrolling};
use millstream_web::sse::Message;
use millstream_web::words;

use super::bits::{ms, per_second, pipeline_path, standing, standing_why, troubling, worker_path};
use super::spark::spark;
use super::{Parts, messages, reading, shell};
use crate::view::{Overview, Summary, WorkerView};

pub(crate) fn page(view: &Overview) -> Response {
    let main = html! {
        h1 { "Overview" }
        (super::live("/live/overview", parts(view)))
    };
    shell().page("Overview", "/", main)
}

pub(crate) fn live(view: &Overview) -> Vec<Message> {
    messages(parts(view))
}

fn parts(view: &Overview) -> Parts {
    vec![
        ("reading", reading(&view.reading)),
        ("totals", totals(view)),
        ("pipelines", pipelines(view)),
        ("workers", workers(view)),
    ]
}

fn totals(view: &Overview) -> Markup {
    let totals = &view.totals;
    let workers = match totals.silent {
        0 => "Workers".to_owned(),
        silent => format!("Workers, {silent} silent"),
    };
    let pipelines = match totals.idle {
        0 => "Pipelines".to_owned(),
        idle => format!("Pipelines, {idle} idle"),
    };
    html! {
        dl.stats.six {
            (figure_of(&workers, &totals.workers.to_string()))
            (figure_of("Hosts", &totals.hosts.to_string()))
            (figure_of(&pipelines, &totals.pipelines.to_string()))
            (figure_of("Events per second", &words::measured(totals.events_per_s)))
            (figure_of("Lag", &words::grouped(totals.lag)))
            (figure_of("Dead letters", &words::count(totals.dead_letters)))
        }
    }
}

fn pipelines(view: &Overview) -> Markup {
    html! {
        h2 { "Pipelines" }
        @if view.pipelines.is_empty() {
            (nothing(view))
        } @else {
            (scrolling("Pipelines", html! {
                table.numbers {
                    thead { tr {
                        th scope="col" { "Pipeline" }
                        th scope="col" { "State" }
                        th.n scope="col" { "Events/s" }
                        th scope="col" { "Last 15 min" }
                        th.n scope="col" { "Lag" }
                        th.n scope="col" { "Batch" }
                        th.n scope="col" { "Dead letters" }
                        th.n scope="col" { "Retries" }
                        th.n scope="col" { "Partitions" }
                        th.n scope="col" { "Workers" }
                    } }
                    tbody { @for one in &view.pipelines { (pipeline(one)) } }
                }
            }))
        }
    }
}

fn pipeline(one: &Summary) -> Markup {
    html! {
        tr {
            th scope="row" {
                a href=(pipeline_path(&one.id)) { (one.id) }
                @if !one.plan.topic.is_empty() { span.why { (one.plan.topic) " → " (one.plan.sink) } }
            }
            td { (standing_why(&one.state)) }
            @if one.is_idle() {
                @for _ in 0..8 { td.n { "–" } }
            } @else {
                td.n { (words::measured(one.events_per_s)) }
                td { (spark(&one.recent, one.events_per_s)) }
                td.n { (words::grouped(one.lag)) }
                td.n { (ms(one.batch_mean_ms)) }
                td.n { (troubling(one.dead_letters)) }
                td.n { (troubling(one.retries)) }
                td.n { (one.partitions) }
                td.n { (one.workers.len()) }
            }
        }
    }
}

fn nothing(view: &Overview) -> Markup {
    html! {
        @if view.reading.loaded {
            (notice(Tone::Info, "Nobody works at the moment", html! {
                p { "Start a worker, as in " code { "millstream weather process" } "; it shows here within a second." }
            }))
        }
    }
}

fn workers(view: &Overview) -> Markup {
    html! {
        @if !view.workers.is_empty() {
            h2 { "Workers" }
            div.hosts {
                @for (host, workers) in view.hosts() {
                    section.card {
                        h3 { (host) span.soft { " " (workers.len()) @if workers.len() == 1 { " worker" } @else { " workers" } } }
                        ul.workers { @for worker in workers { li { (worker_line(worker)) } } }
                    }
                }
            }
        }
    }
}

fn worker_line(worker: &WorkerView) -> Markup {
    html! {
        div.worker {
            a href=(worker_path(&worker.id)) { (worker.app) " · " (worker.pid) }
            (standing(&worker.state))
        }
        p.soft {
            @match worker.silent_ms {
                Some(silent) => { "last heard of " (words::lasting(silent)) " ago" },
                None => {
                    "up " (words::lasting(worker.up_ms)) " · " (per_second(worker.events_per_s))
                    @if let Some(bytes) = worker.memory_bytes { " · " (words::bytes(bytes)) }
                    " · " (worker.pipelines.len()) @if worker.pipelines.len() == 1 { " pipeline" } @else { " pipelines" }
                },
            }
        }
    }
}
