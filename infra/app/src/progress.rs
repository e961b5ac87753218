use std::future::Future;
use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use millstream_engine::{State, Status};
use tokio::sync::watch;

/// Lines that change in place on a terminal. Elsewhere nothing is drawn, and the log tells the rest.
#[derive(Clone, Debug)]
pub struct Bars {
    all: MultiProgress,
}

impl Default for Bars {
    fn default() -> Self {
        Self::new()
    }
}

impl Bars {
    /// Draws on standard error, if that is a terminal.
    pub fn new() -> Self {
        let target = if std::io::stderr().is_terminal() {
            ProgressDrawTarget::stderr_with_hz(8)
        } else {
            ProgressDrawTarget::hidden()
        };
        Self { all: MultiProgress::with_draw_target(target) }
    }

    /// A line for a producer: records sent, of `limit` if there is one.
    pub fn produced(&self, app: &str, limit: Option<u64>) -> Bar {
        let template = "{prefix:18} produced  {human_pos:>10} {wide_msg}";
        let bar = self.add(app, template);
        if let Some(limit) = limit {
            bar.set_length(limit);
        }
        Bar(bar)
    }

    /// A line for work whose end nobody can tell: what it does, by [`Bar::say`].
    pub fn working(&self, name: &str) -> Bar {
        let bar = self.add(name, "{prefix:18} {spinner} {wide_msg}");
        bar.enable_steady_tick(Duration::from_millis(200));
        Bar(bar)
    }

    /// Follows a pipeline on a line of its own, until it ends.
    pub fn follow(
        &self,
        mut status: watch::Receiver<Status>,
    ) -> impl Future<Output = ()> + Send + use<> {
        let name = status.borrow().pipeline.clone();
        let bar = self.add(&name, "{prefix:18} committed {human_pos:>10} {wide_msg}");
        async move {
            while status.changed().await.is_ok() {
                show(&bar, &status.borrow_and_update());
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            show(&bar, &status.borrow());
            bar.finish();
        }
    }

    /// Prints a line above the others.
    pub fn println(&self, line: &str) {
        if self.all.is_hidden() || self.all.println(line).is_err() {
            eprintln!("{line}");
        }
    }

    fn add(&self, name: &str, template: &str) -> ProgressBar {
        let bar = self.all.add(ProgressBar::no_length());
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_prefix(name.to_owned());
        bar
    }
}

/// A producer's line.
#[derive(Clone, Debug)]
pub struct Bar(ProgressBar);

impl Bar {
    pub fn set(&self, sent: u64) {
        self.0.set_position(sent);
        if let Some(length) = self.0.length() {
            self.0.set_message(format!("of {length}"));
        }
    }

    /// What the producer is doing, beside the count.
    pub fn say(&self, doing: String) {
        if !doing.is_empty() || self.0.length().is_none() {
            self.0.set_message(doing);
        }
    }

    /// Takes the line away.
    pub fn clear(&self) {
        self.0.finish_and_clear();
    }

    pub fn finish(&self, sent: u64) {
        self.set(sent);
        self.0.finish();
    }
}

fn show(bar: &ProgressBar, status: &Status) {
    bar.set_position(status.totals.events());
    bar.set_message(standing(status));
}

/// How a pipeline stands, in words.
pub(crate) fn standing(status: &Status) -> String {
    let lag = status.lag();
    let dead = match status.totals.dead_lettered {
        0 => String::new(),
        dead => format!(" · {dead} dead-lettered"),
    };
    match &status.state {
        State::Starting => "starting".to_owned(),
        State::Running if lag == 0 => format!("caught up{dead}"),
        State::Running => format!("lag {lag}{dead}"),
        State::Standby(who) => format!("standing by: {who}"),
        State::Retrying(why) => format!("retrying: {why}"),
        State::Stopped(why) => format!("stopped: {why}"),
        State::Done => format!("done{dead}"),
    }
}
