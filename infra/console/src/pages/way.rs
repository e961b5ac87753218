//! The way of a pipeline's data, as a picture.

use maud::{Markup, html};
use millstream_web::words;

use super::bits::{ms, per_second};
use crate::view::{PartitionView, PipelineView};

/// Partitions that are drawn; the others are counted.
const DRAWN: usize = 6;
const WIDE: f64 = 960.0;
const BOX_WIDE: f64 = 190.0;
const BOX_HIGH: f64 = 92.0;
/// Left edges of the columns.
const COLUMNS: [f64; 4] = [2.0, 258.0, 514.0, 768.0];
const ROW: f64 = 50.0;

/// Topic partitions → decode → transform → sink, with numbers; dead letters below.
pub(super) fn way(view: &PipelineView) -> Markup {
    let plan = &view.summary.plan;
    let own: Vec<_> =
        view.by_partition.iter().filter(|at| at.topic == plan.topic || at.end > 0).collect();
    let drawn = &own[..own.len().min(DRAWN)];
    let rows = drawn.len().max(1) + usize::from(own.len() > DRAWN);
    let high = (rows as f64 * ROW + 34.0).max(236.0);
    let middle = (high - 34.0) / 2.0 + 30.0 - 26.0;
    let one = &view.summary;
    let batch = one.batch_mean_ms.map(|_| ms(one.batch_mean_ms)).unwrap_or_default();
    let kept = one.events.saturating_sub(one.filtered).saturating_sub(one.dead_letters);
    html! {
        svg.way role="img" aria-label=(about(view)) viewBox={ "0 0 " (WIDE) " " (high) } {
            defs {
                marker #tip viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto-start-reverse" {
                    path.tip d="M0 0 L8 4 L0 8 z" {}
                }
            }
            text.head x=(COLUMNS[0]) y="16" { "Topic " (short(&plan.topic, 22)) }
            @for (row, at) in drawn.iter().enumerate() { (partition(at, row, middle)) }
            @if drawn.is_empty() { text.soft x=(COLUMNS[0]) y=(middle) { "no partition assigned" } }
            @if own.len() > DRAWN {
                text.soft x=(COLUMNS[0]) y=(26.0 + DRAWN as f64 * ROW + 22.0) { "and " (own.len() - DRAWN) " more" }
            }
            (stage(1, middle, "Decode", &plan.decode, &format!("{} events", words::count(one.events))))
            (arrow(COLUMNS[1] + BOX_WIDE, COLUMNS[2], middle, &per_second(one.events_per_s)))
            (stage(2, middle, "Transform", &plan.transform, &format!("{} filtered out", words::count(one.filtered))))
            (arrow(COLUMNS[2] + BOX_WIDE, COLUMNS[3], middle, &batch))
            (stage(3, middle, "Sink", &plan.sink, &format!("{} rows", words::count(one.rows))))
            (dead(one.dead_letters, middle))
            title { (about(view)) }
            desc { (words::count(kept)) " events kept" }
        }
    }
}

fn about(view: &PipelineView) -> String {
    let (plan, one) = (&view.summary.plan, &view.summary);
    format!(
        "Topic {} with {} partitions, {} events per second, to {}, to {}, to {}; {} dead letters",
        plan.topic,
        view.by_partition.len(),
        words::measured(one.events_per_s),
        plan.decode,
        plan.transform,
        plan.sink,
        words::count(one.dead_letters)
    )
}

fn partition(at: &PartitionView, row: usize, middle: f64) -> Markup {
    let top = 26.0 + row as f64 * ROW;
    let y = top + 20.0;
    let share = if at.end > 0 { (at.position as f64 / at.end as f64).clamp(0.0, 1.0) } else { 1.0 };
    let (from, to) = (COLUMNS[0] + BOX_WIDE, COLUMNS[1]);
    let bend = (from + to) / 2.0;
    html! {
        g class={ "part " (tone(at)) } {
            rect.box x=(COLUMNS[0]) y=(top) width=(BOX_WIDE) height="42" rx="6" {}
            rect.track x=(COLUMNS[0] + 8.0) y=(top + 34.0) width=(BOX_WIDE - 16.0) height="3" rx="1.5" {}
            rect.done x=(COLUMNS[0] + 8.0) y=(top + 34.0) width=(format!("{:.1}", share * (BOX_WIDE - 16.0))) height="3" rx="1.5" {}
            text.name x=(COLUMNS[0] + 8.0) y=(top + 17.0) { (short(&format!("{}-{}", at.topic, at.partition), 14)) }
            text.num x=(COLUMNS[0] + BOX_WIDE - 8.0) y=(top + 17.0) text-anchor="end" { (per_second(at.events_per_s)) }
            text.small x=(COLUMNS[0] + 8.0) y=(top + 30.0) { "at " (words::grouped(at.position)) }
            text.small x=(COLUMNS[0] + BOX_WIDE - 8.0) y=(top + 30.0) text-anchor="end" { "lag " (words::grouped(at.lag)) }
        }
        path class={ "flow" @if at.events_per_s > 0.0 { " busy" } } marker-end="url(#tip)"
            d={ "M" (from) " " (y) " C" (bend) " " (y) " " (bend) " " (middle) " " (to - 2.0) " " (middle) } {}
    }
}

fn tone(at: &PartitionView) -> &'static str {
    use crate::view::Is;
    match at.state.is {
        Is::Stopped => "bad",
        Is::Retrying | Is::Silent => "warn",
        _ => "good",
    }
}

fn stage(column: usize, middle: f64, name: &str, what: &str, number: &str) -> Markup {
    let (left, top) = (COLUMNS[column], middle - BOX_HIGH / 2.0);
    html! {
        g.stage {
            rect.box x=(left) y=(top) width=(BOX_WIDE) height=(BOX_HIGH) rx="8" {}
            text.head x=(left + 12.0) y=(top + 24.0) { (name) }
            text.name x=(left + 12.0) y=(top + 48.0) { (short(what, 22)) }
            text.small x=(left + 12.0) y=(top + 74.0) { (number) }
        }
    }
}

fn arrow(from: f64, to: f64, y: f64, label: &str) -> Markup {
    html! {
        path.flow marker-end="url(#tip)" d={ "M" (from) " " (y) " H" (to - 2.0) } {}
        @if !label.is_empty() { text.small text-anchor="middle" x=((from + to) / 2.0) y=(y - 8.0) { (label) } }
    }
}

fn dead(dead: u64, middle: f64) -> Markup {
    let (x, top) = (COLUMNS[1] + BOX_WIDE / 2.0, middle + BOX_HIGH / 2.0);
    html! {
        path.flow.astray marker-end="url(#tip)" d={ "M" (x) " " (top) " V" (top + 26.0) } {}
        text class={ "small" @if dead > 0 { " bad" } } text-anchor="middle" x=(x) y=(top + 44.0) { (words::count(dead)) " dead letters" }
    }
}

/// At most so many characters.
fn short(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most.saturating_sub(1)).collect();
    format!("{kept}…")
}
