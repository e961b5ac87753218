use serde_json::{Value, json};

use crate::asked::Asked;
use crate::cell::Measured;
use crate::fault::Fault;
use crate::sinks::Sink;

/// What became of one fault on one sink.
pub struct Cell {
    pub fault: Fault,
    pub sink: Sink,
    pub end: Result<Measured, String>,
}

/// What `millstream verify` says of all that one sink got.
pub struct Verified {
    pub sink: Sink,
    pub end: Result<(u64, u64, u64), String>,
}

pub struct Table<'a> {
    pub asked: &'a Asked,
    pub cells: Vec<Cell>,
    pub verified: Vec<Verified>,
}

impl Table<'_> {
    /// What is wrong with a cell; nothing, if all is as it has to be.
    pub fn wrong(&self, cell: &Cell) -> Vec<String> {
        let measured = match &cell.end {
            Ok(measured) => measured,
            Err(why) => return vec![why.clone()],
        };
        let mut wrong = Vec::new();
        if !measured.is_exact() {
            let Measured { lost, doubled, .. } = measured;
            wrong.push(format!("{lost} lost, {doubled} doubled"));
        }
        if measured.was_busy() && !self.asked.judges_busy {
            return wrong;
        }
        if let Some(moved) = measured.moved_ms.filter(|moved| *moved > self.asked.moved_within_ms) {
            wrong.push(format!("a moved partition's first commit took {}", seconds(moved)));
        }
        if let Some(others) = measured.others_ms {
            let late = others - measured.usual_ms;
            if late > self.asked.room_ms {
                wrong.push(format!("partitions it doesn't concern paused for {}", seconds(others)));
            }
        }
        wrong
    }

    pub fn passed(&self) -> usize {
        let cells = self.cells.iter().filter(|cell| self.wrong(cell).is_empty()).count();
        cells + self.verified.iter().filter(|verified| verified.is_exact()).count()
    }

    pub fn failed(&self) -> usize {
        self.cells.len() + self.verified.len() - self.passed()
    }

    /// A row for each fault and a column for each sink, in Markdown.
    pub fn text(&self) -> String {
        let sinks = &self.asked.sinks;
        let names: Vec<_> = sinks.iter().map(|sink| sink.name()).collect();
        let mut text =
            format!("| fault | {} |\n|---|{}\n", names.join(" | "), "---|".repeat(names.len()));
        for fault in &self.asked.faults {
            let of = |sink: &Sink| self.shown(*fault, *sink);
            let cells: Vec<_> = sinks.iter().map(of).collect();
            if cells.iter().any(|cell| cell != "–") {
                text += &format!("| {} | {} |\n", fault.told(), cells.join(" | "));
            }
        }
        let verified = |sink: &Sink| {
            let of = self.verified.iter().find(|verified| verified.sink == *sink);
            of.map_or("–".to_owned(), Verified::shown)
        };
        let cells: Vec<_> = sinks.iter().map(verified).collect();
        text += &format!("| all of it, by `millstream verify` | {} |\n", cells.join(" | "));
        let busy = self.cells.iter().filter_map(|cell| cell.end.as_ref().ok());
        if busy.filter(|measured| measured.was_busy()).count() > 0 {
            text += "\n†: the machine had much other work; times are shown and not judged.\n";
        }
        text + "\nA cell: records lost/doubled; \"moved\": a moved partition's longest time from when its new worker is told to \
                its first commit there; \"healed\": the same from the end of the fault, of partitions that stayed with a worker \
                that met it; \"others\": how much later than usual the latest commit of any partition was that it doesn't concern.\n"
    }

    fn shown(&self, fault: Fault, sink: Sink) -> String {
        let cell = self.cells.iter().find(|cell| cell.fault == fault && cell.sink == sink);
        let Some(cell) = cell else { return "–".to_owned() };
        let mark = if self.wrong(cell).is_empty() { "" } else { "FAILED " };
        match &cell.end {
            Ok(measured) => format!("{mark}{}", measured.shown()),
            Err(_) => format!("{mark}no end"),
        }
    }

    pub fn json(&self) -> Value {
        let cells = self.cells.iter().map(|cell| {
            let mut told = cell.end.as_ref().map_or_else(|_| json!({}), Measured::json);
            told["fault"] = json!(cell.fault.name());
            told["sink"] = json!(cell.sink.name());
            told["wrong"] = json!(self.wrong(cell));
            told
        });
        let verified = self.verified.iter().map(Verified::json);
        json!({
            "cells": cells.collect::<Vec<_>>(),
            "verify": verified.collect::<Vec<_>>(),
            "passed": self.passed(),
            "failed": self.failed(),
        })
    }
}

impl Verified {
    fn is_exact(&self) -> bool {
        matches!(self.end, Ok((produced, 0, 0)) if produced > 0)
    }

    fn shown(&self) -> String {
        match &self.end {
            Ok((produced, lost, doubled)) => format!("{lost}/{doubled} of {produced}"),
            Err(_) => "FAILED".to_owned(),
        }
    }

    fn json(&self) -> Value {
        match &self.end {
            Ok((produced, lost, doubled)) => {
                json!({"sink": self.sink.name(), "produced": produced, "lost": lost, "doubled": doubled})
            }
            Err(why) => json!({"sink": self.sink.name(), "wrong": why}),
        }
    }
}

impl Measured {
    /// `0/0, moved 0.7 s, others 0.0 s`.
    pub fn shown(&self) -> String {
        let mut parts = vec![format!("{}/{}", self.lost, self.doubled)];
        parts.extend(self.moved_ms.map(|moved| format!("moved {}", seconds(moved))));
        parts.extend(self.healed_ms.map(|healed| format!("healed {}", seconds(healed))));
        let others = self.others_ms.map(|others| (others - self.usual_ms).max(0));
        parts.extend(others.map(|late| format!("others {}", seconds(late))));
        parts.join(", ") + if self.was_busy() { " †" } else { "" }
    }

    fn json(&self) -> Value {
        json!({
            "sent": self.sent, "lost": self.lost, "doubled": self.doubled,
            "moves": self.moves, "moved_ms": self.moved_ms, "healed_ms": self.healed_ms,
            "load": self.load, "others_longest_pause_ms": self.others_ms, "usual_longest_pause_ms": self.usual_ms,
            "took_s": (self.took.as_secs_f64() * 10.0).round() / 10.0,
        })
    }
}

fn seconds(ms: i64) -> String {
    format!("{:.1} s", ms as f64 / 1000.0)
}
