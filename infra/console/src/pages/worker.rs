use axum::response::Response;
use maud::{Markup, html};
use millstream_web::parts::{figure_of, scrolling};
use millstream_web::sse::Message;
use millstream_web::words;

use super::bits::{iso, ms, pipeline_path, standing_why, troubling, worker_path};
use super::{Parts, messages, reading, shell};
use crate::view::{Reading, WorkerView};

pub(crate) fn page(view: &WorkerView, read: &Reading) -> Response {
    let title = format!("{} on {}", view.app, view.host);
    let main = html! {
        nav.crumbs aria-label="Where this is" { ol { li { a href="/" { "Overview" } } } }
        h1 { "Worker " (view.app) " on " (view.host) }
        (super::live(&format!("/live{}", worker_path(&view.id)), parts(view, read)))
    };
    shell().page(&title, "", main)
}

pub(crate) fn live(view: &WorkerView, read: &Reading) -> Vec<Message> {
    messages(parts(view, read))
}

fn parts(view: &WorkerView, read: &Reading) -> Parts {
    vec![("reading", reading(read)), ("about", about(view)), ("pipelines", pipelines(view))]
}

fn about(view: &WorkerView) -> Markup {
    html! {
        p { (standing_why(&view.state)) }
        dl.stats.six {
            (figure_of("Events per second", &words::measured(view.events_per_s)))
            (figure_of("Lag", &words::grouped(view.lag)))
            (figure_of("Events", &words::count(view.events)))
            (figure_of("Dead letters", &words::count(view.dead_letters)))
            (figure_of("Retries", &words::count(view.retries)))
            @if let Some(bytes) = view.memory_bytes { (figure_of("Memory", &words::bytes(bytes))) }
        }
        dl.facts {
            div { dt { "Id" } dd { code { (view.id) } } }
            div { dt { "Host" } dd { (view.host) } }
            div { dt { "Process" } dd { (view.pid) } }
            div { dt { "App" } dd { (view.app) } }
            div { dt { "Version" } dd { (view.version) } }
            div { dt { "Started" } dd { time datetime=(iso(view.started_at_ms)) { (words::lasting(view.up_ms)) " ago" } } }
        }
    }
}

fn pipelines(view: &WorkerView) -> Markup {
    html! {
        h2 { "Pipelines" }
        (scrolling("Pipelines of this worker", html! {
            table.numbers {
                thead { tr {
                    th scope="col" { "Pipeline" }
                    th scope="col" { "State" }
                    th scope="col" { "Partitions" }
                    th.n scope="col" { "Events/s" }
                    th.n scope="col" { "Lag" }
                    th.n scope="col" { "Events" }
                    th.n scope="col" { "Batch" }
                    th.n scope="col" { "Memory held" }
                    th.n scope="col" { "Dead letters" }
                    th.n scope="col" { "Retries" }
                } }
                tbody {
                    @for one in &view.pipelines {
                        tr {
                            th scope="row" { a href=(pipeline_path(&one.id)) { (one.id) } }
                            td { (standing_why(&one.state)) }
                            td { @if one.partitions.is_empty() { "none" } @else { (one.partitions.join(", ")) } }
                            td.n { (words::measured(one.events_per_s)) }
                            td.n { (words::grouped(one.lag)) }
                            td.n { (words::count(one.events)) }
                            td.n { (ms(one.batch_mean_ms)) }
                            td.n { (words::bytes(one.held_bytes as u64)) " of " (words::bytes(one.memory_bytes as u64)) }
                            td.n { (troubling(one.dead_letters)) }
                            td.n { (troubling(one.retries)) }
                        }
                    }
                }
            }
        }))
    }
}
