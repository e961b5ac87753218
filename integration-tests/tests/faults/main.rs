//! The matrix of faults: each fault on each sink, on real servers, in the middle of a load at a constant rate; what was
//! lost and doubled by the sink's own client, and how long it took by the workers' own logs. As a test among others it is one cell,
//! so that it can't rot; `scripts/faults` has all.
//!
//! # Layout
//! - `asked`: the arguments. `table`: what is printed in the end.
//! - `world`: the servers. `wire`: the way to one of them, on which things go wrong. `disk`: one that is full at times.
//! - `sinks`: places where records end: the app that writes there, its records, and how they are read back.
//! - `workers`: two workers of an app and what they tell, `events`. `feed`: the load.
//! - `fault`: what goes wrong. `cell`: one fault on one sink, and its figures.
//! - `stop`: Ctrl-C.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a cell fails by panicking, and what was measured is told"
)]

mod asked;
mod cell;
mod disk;
mod events;
mod fault;
mod feed;
mod sinks;
mod stop;
mod table;
mod wire;
mod workers;
mod world;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Instant;

use integration_tests::{number, stack};
use tokio::signal::unix::{SignalKind, signal};

use asked::{Asked, HELP, Instead, TEST, list};
use cell::Measured;
use fault::Fault;
use sinks::Sink;
use table::{Cell, Table, Verified};
use wire::{Way, Wire};
use workers::Crew;
use world::World;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // `scripts/faults` says so; whoever else runs this program runs tests.
    let asked = match std::env::var_os("MILLSTREAM_FAULTS") {
        Some(_) => Asked::read(&arguments),
        None => Asked::as_test(&arguments),
    };
    let asked = match asked {
        Ok(asked) => asked,
        Err(Instead::OtherTest) => {
            println!("test result: ok. 0 passed; 0 failed; 0 ignored");
            return ExitCode::SUCCESS;
        }
        Err(Instead::Mistake(what)) => {
            eprintln!("faults: {what}");
            return ExitCode::from(2);
        }
        Err(Instead::Help) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(Instead::List) => {
            print!("{}", list());
            return ExitCode::SUCCESS;
        }
    };
    stack::block_on(async {
        tokio::spawn(async {
            let mut ended = signal(SignalKind::terminate()).expect("hear of it");
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = ended.recv() => {}
            }
            eprintln!("faults: stopping; workers and servers go");
            stop::ask();
        });
    });
    let began = Instant::now();
    match catch_unwind(AssertUnwindSafe(|| matrix(&asked))) {
        Ok(table) => tell(&table, began),
        Err(_) => ExitCode::from(if stop::is_asked() { 130 } else { 1 }),
    }
}

fn tell(table: &Table<'_>, began: Instant) -> ExitCode {
    let (passed, failed) = (table.passed(), table.failed());
    for cell in &table.cells {
        for why in table.wrong(cell) {
            eprintln!("failed: {} on {}: {why}", cell.fault.name(), cell.sink.name());
        }
    }
    let took = began.elapsed().as_secs();
    if table.asked.json {
        println!("{}", table.json());
    } else {
        println!("\n{}", table.text());
        println!("{}; it took {} min {} s\n", machine(), took / 60, took % 60);
        if table.asked.is_test {
            // As cargo's own test programs end: whoever counts tests counts this one.
            let (result, passed) = if failed == 0 { ("ok", 1) } else { ("FAILED", 0) };
            println!("test {TEST} ... {result}");
            println!("test result: {result}. {passed} passed; {} failed; 0 ignored", 1 - passed);
        } else {
            println!("{passed} passed, {failed} failed");
        }
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What the figures depend on.
fn machine() -> String {
    format!("{} cores, load {:.1}", cell::cores(), cell::load())
}

fn matrix(asked: &Asked) -> Table<'_> {
    let began = Instant::now();
    eprintln!("starting servers; {}", machine());
    let world = World::start(&asked.sinks, asked.faults.contains(&Fault::DiskFull));
    eprintln!("servers are there after {:.0} s", began.elapsed().as_secs_f64());
    let mut table = Table { asked, cells: Vec::new(), verified: Vec::new() };
    for sink in &asked.sinks {
        let faults = asked.faults.iter().filter(|fault| fault.befalls(*sink));
        let faults: Vec<Fault> = faults.copied().collect();
        if !faults.is_empty() {
            on_sink(&world, *sink, &faults, &mut table);
        }
    }
    table
}

/// One fault after the other, with the same workers as long as all goes well.
fn on_sink(world: &World, sink: Sink, faults: &[Fault], table: &mut Table<'_>) {
    if let Err(why) = guarded(|| world.make_topic(sink)) {
        let failed = |fault: &Fault| Cell { fault: *fault, sink, end: Err(why.clone()) };
        return table.cells.extend(faults.iter().map(failed));
    }
    let mut crew = None;
    for fault in faults {
        let number = table.cells.len();
        eprint!("{} on {}: ", fault.name(), sink.name());
        let end = guarded(|| {
            let crew = crew.get_or_insert_with(|| Crew::start(world, sink));
            Measured::run(crew, *fault, number)
        });
        match &end {
            Ok(measured) => {
                let (sent, took) = (measured.sent, measured.took.as_secs_f64());
                eprintln!("{}; {sent} records, {took:.0} s", measured.shown());
            }
            Err(why) => {
                eprintln!("failed: {why}");
                // Whatever state it is in, the next one begins with a sound world.
                crew = None;
                heal(world, sink);
            }
        }
        table.cells.push(Cell { fault: *fault, sink, end });
    }
    eprint!("{}, by millstream verify: ", sink.name());
    let end = guarded(|| verify(crew.get_or_insert_with(|| Crew::start(world, sink))));
    eprintln!("{end:?}");
    table.verified.push(Verified { sink, end });
}

/// A panic is told as an error; but Ctrl-C ends all.
fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        if stop::is_asked() {
            std::panic::resume_unwind(panic);
        }
        told(&*panic)
    })
}

fn told(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic").to_owned()
}

fn heal(world: &World, sink: Sink) {
    let direct = world.address(sink);
    world.wire(sink).into_iter().for_each(|wire| wire.lead_to(&direct));
    let wires = world.wire(sink).into_iter().chain([&world.kafka_wire]);
    wires.for_each(|wire: &Wire| wire.be(Way::Open));
}

/// Records, lost ones and doubled ones.
fn verify(crew: &mut Crew<'_>) -> (u64, u64, u64) {
    let pipeline = crew.sink.pipeline();
    let ran = crew.data.run("millstream", &["verify", "--json", pipeline]);
    let report = &ran.json()["pipelines"][0];
    // A range that two workers wrote is one; rows that couldn't be compared prove nothing.
    let wrong = report["problems"].as_array().is_none_or(|problems| !problems.is_empty());
    assert!(!wrong && number(report, "unchecked") == 0, "{report}");
    (number(report, "produced"), number(report, "lost"), number(report, "duplicated"))
}
