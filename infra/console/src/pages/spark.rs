use maud::{Markup, html};
use millstream_web::words;

use crate::history::Point;
use crate::told::SAMPLE_MS;

const WIDE: f64 = 120.0;
const HIGH: f64 = 28.0;
/// Steps shown: a quarter of an hour.
const STEPS: i64 = 90;

/// How the rate went in the last quarter of an hour, at a glance.
pub(super) fn spark(points: &[Point], now_rate: f64) -> Markup {
    let Some(last) = points.last() else { return html! { span.soft { "no history yet" } } };
    let most = points.iter().map(|point| point.events_per_s).fold(now_rate.max(1.0), f64::max);
    let x = |at_ms: i64| {
        let behind = (last.at_ms - at_ms) / SAMPLE_MS;
        WIDE - 2.0 - behind as f64 / STEPS as f64 * (WIDE - 4.0)
    };
    let y = |rate: f64| HIGH - 2.0 - rate.clamp(0.0, most) / most * (HIGH - 4.0);
    let mut line = String::new();
    for point in points.iter().filter(|point| last.at_ms - point.at_ms <= STEPS * SAMPLE_MS) {
        line.push_str(&format!("{:.1},{:.1} ", x(point.at_ms), y(point.events_per_s)));
    }
    let label = format!(
        "Events per second in the last quarter of an hour, at most {}",
        words::measured(most)
    );
    html! {
        svg.spark role="img" aria-label=(label) viewBox={ "0 0 " (WIDE) " " (HIGH) } width=(WIDE) height=(HIGH) {
            @if points.len() == 1 {
                circle.c-dot."h-main" cx=(WIDE - 4.0) cy=(format!("{:.1}", y(last.events_per_s))) r="2" {}
            }
            polyline.c-line."h-main" points=(line.trim_end()) {}
        }
    }
}
