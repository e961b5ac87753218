use crate::fault::Fault;
use crate::sinks::Sink;

pub const HELP: &str = "\
Faults on real servers: each fault on each sink in the middle of a load, and what was lost, doubled and how long it took.

  scripts/faults                                  the whole matrix
  scripts/faults --fault sigkill --sink mysql     one cell of it; both may be repeated
  scripts/faults --sink s3 --json                 one JSON object in place of the table
  scripts/faults --list                           names of faults and sinks

  --moved-within S    seconds a moved partition may take from when its worker is told to its first commit (3)
  --room S            seconds that commits of partitions the fault doesn't concern may be later than before it (1)

Without either, times are shown and not judged while the machine has much other work (a load of over 4 for each core).
";

/// What is to be done.
#[derive(Debug)]
pub struct Asked {
    pub faults: Vec<Fault>,
    pub sinks: Vec<Sink>,
    pub json: bool,
    pub moved_within_ms: i64,
    pub room_ms: i64,
    /// Whether these limits hold on a machine with much other work, too: who names them means it.
    pub judges_busy: bool,
    /// One cell, as a test among others, on a machine that has other things to do.
    pub is_test: bool,
}

/// What the one cell is called as a test.
pub const TEST: &str = "a_worker_is_killed_and_mysql_has_each_record_once";

/// What there is to say instead.
#[derive(Debug, PartialEq, Eq)]
pub enum Instead {
    Help,
    List,
    /// It is a test, and another one was asked for.
    OtherTest,
    Mistake(String),
}

impl Asked {
    /// As a test: arguments are those that cargo passes to all test programs.
    pub fn as_test(arguments: &[String]) -> Result<Self, Instead> {
        let mut filters = arguments.iter().filter(|argument| !argument.starts_with('-')).peekable();
        if filters.peek().is_some() && !filters.any(|filter| TEST.contains(filter.as_str())) {
            return Err(Instead::OtherTest);
        }
        let (faults, sinks) = (vec![Fault::Kill], vec![Sink::Mysql]);
        let (moved_within_ms, room_ms) = (15_000, 10_000);
        let (json, judges_busy, is_test) = (false, false, true);
        Ok(Self { faults, sinks, json, moved_within_ms, room_ms, judges_busy, is_test })
    }

    pub fn read(arguments: &[String]) -> Result<Self, Instead> {
        let mut asked = Self {
            faults: vec![],
            sinks: vec![],
            json: false,
            moved_within_ms: 3_000,
            room_ms: 1_000,
            judges_busy: false,
            is_test: false,
        };
        let mut arguments = arguments.iter().map(String::as_str);
        while let Some(argument) = arguments.next() {
            match argument {
                "--help" | "-h" => return Err(Instead::Help),
                "--list" => return Err(Instead::List),
                "--json" => asked.json = true,
                "--fault" => asked.faults.push(named(arguments.next(), "fault", &faults())?),
                "--sink" => asked.sinks.push(named(arguments.next(), "sink", &sinks())?),
                "--moved-within" => asked.moved_within_ms = seconds(arguments.next(), argument)?,
                "--room" => asked.room_ms = seconds(arguments.next(), argument)?,
                other => {
                    return Err(Instead::Mistake(format!("{other} is unknown; see --help")));
                }
            }
        }
        asked.judges_busy = (asked.moved_within_ms, asked.room_ms) != (3_000, 1_000);
        if asked.faults.is_empty() {
            asked.faults = Fault::ALL.to_vec();
        }
        if asked.sinks.is_empty() {
            asked.sinks = Sink::ALL.to_vec();
        }
        if !asked.sinks.iter().any(|sink| asked.faults.iter().any(|fault| fault.befalls(*sink))) {
            let why = "none of these faults can happen to any of these sinks; see --list";
            return Err(Instead::Mistake(why.to_owned()));
        }
        Ok(asked)
    }
}

pub fn list() -> String {
    let of = |fault: Fault| {
        let sinks = Sink::ALL.iter().filter(|sink| fault.befalls(**sink));
        let sinks: Vec<_> = sinks.map(|sink| sink.name()).collect();
        format!("{:16} {} ({})\n", fault.name(), fault.told(), sinks.join(", "))
    };
    Fault::ALL.map(of).concat()
}

fn faults() -> Vec<(&'static str, Fault)> {
    Fault::ALL.map(|fault| (fault.name(), fault)).to_vec()
}

fn sinks() -> Vec<(&'static str, Sink)> {
    Sink::ALL.map(|sink| (sink.name(), sink)).to_vec()
}

fn named<T: Copy>(name: Option<&str>, kind: &str, all: &[(&str, T)]) -> Result<T, Instead> {
    let found = all.iter().find(|(known, _)| Some(*known) == name);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<_> = all.iter().map(|(name, _)| *name).collect();
        Instead::Mistake(format!("--{kind} {}: one of {}", name.unwrap_or(""), names.join(", ")))
    })
}

fn seconds(text: Option<&str>, option: &str) -> Result<i64, Instead> {
    let seconds = text.and_then(|text| text.parse::<f64>().ok()).filter(|number| *number >= 0.0);
    let seconds = seconds.ok_or_else(|| Instead::Mistake(format!("{option}: a number of seconds")));
    Ok((seconds? * 1000.0) as i64)
}
