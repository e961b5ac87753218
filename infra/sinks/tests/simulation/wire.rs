//! The way of an I/O from a worker to a topic or a store and back. It takes time both ways, and there and back it may come
//! to grief. An I/O under way is not its sender's any more: it takes effect also when the worker has died meanwhile, or has
//! given up waiting.

use std::fmt::{self, Debug, Display};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::time::sleep;

use crate::chance::Chance;
use crate::trace::Trace;

/// How often what goes wrong, in a thousand I/Os; `slow`: how many milliseconds one takes at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    pub fail: u64,
    pub lose: u64,
    pub late: u64,
    pub slow: u64,
}

impl Display for Rates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { fail, lose, late, slow } = self;
        write!(f, "of 1000 {fail} fail, {lose} lose their reply, {late} land late; ≤ {slow} ms")
    }
}

/// What all wires to one place have in common.
#[derive(Clone, Debug)]
pub struct Weather {
    rates: Arc<Mutex<Rates>>,
    in_flight: Arc<AtomicUsize>,
}

impl Weather {
    pub fn new(rates: Rates) -> Self {
        Self { rates: Arc::new(Mutex::new(rates)), in_flight: Arc::default() }
    }

    pub fn set(&self, rates: Rates) {
        *self.rates.lock().unwrap() = rates;
    }

    /// I/Os that are still to take effect.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }
}

pub struct Wire {
    pub who: String,
    pub trace: Arc<Trace>,
    weather: Weather,
    chance: Mutex<Chance>,
    sent: watch::Sender<u64>,
}

impl Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Wire({})", self.who)
    }
}

enum Fate {
    Fine,
    Fails,
    Lost,
    Late,
}

impl Wire {
    pub fn new(who: String, trace: Arc<Trace>, weather: Weather, chance: Chance) -> Self {
        Self { who, trace, weather, chance: Mutex::new(chance), sent: watch::Sender::new(0) }
    }

    /// How many I/Os were sent, whatever became of them.
    pub fn sent(&self) -> watch::Receiver<u64> {
        self.sent.subscribe()
    }

    /// True in so many of a thousand cases, while the weather is bad.
    pub fn happens(&self, of_thousand: u64) -> bool {
        let rates = *self.weather.rates.lock().unwrap();
        rates.slow > CALM.slow && self.chance.lock().unwrap().permille(of_thousand)
    }

    /// Has `effect` done at the other end. An error says what became of it.
    pub async fn send<T: Send + 'static>(
        &self,
        what: String,
        effect: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, &'static str> {
        let rates = *self.weather.rates.lock().unwrap();
        let (fate, there, back) = self.fate(rates);
        self.sent.send_modify(|sent| *sent += 1);
        if matches!(fate, Fate::Fails) {
            self.tell("fails", &what);
            sleep(there).await;
            return Err("it failed, as the schedule says");
        }
        let (answer, answered) = oneshot::channel();
        let (trace, line) = (self.trace.clone(), format!("{} {what}", self.who));
        let in_flight = self.weather.in_flight.clone();
        in_flight.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(async move {
            sleep(there).await;
            trace.note(&line);
            // Nobody may be waiting for it any more.
            let _ = answer.send(effect());
            in_flight.fetch_sub(1, Ordering::Relaxed);
        });
        if matches!(fate, Fate::Late) {
            self.tell("will be late", &what);
            sleep(back).await;
            return Err("no answer in time, as the schedule says");
        }
        let answered = answered.await.map_err(|_| "the other end is gone")?;
        sleep(back).await;
        if matches!(fate, Fate::Lost) {
            self.tell("loses its reply", &what);
            return Err("its reply was lost, as the schedule says");
        }
        Ok(answered)
    }

    fn fate(&self, Rates { fail, lose, late, slow }: Rates) -> (Fate, Duration, Duration) {
        let mut chance = self.chance.lock().unwrap();
        // At least a millisecond: what is tried again for ever comes to the end of its time.
        let there = chance.between(1, slow.max(1));
        let back = chance.below(slow.max(1));
        let dice = chance.below(1_000);
        let (fate, there) = match dice {
            _ if dice < fail => (Fate::Fails, there),
            _ if dice < fail + lose => (Fate::Lost, there),
            _ if dice < fail + lose + late => (Fate::Late, chance.between(200, 20_000)),
            _ => (Fate::Fine, there),
        };
        (fate, Duration::from_millis(there), Duration::from_millis(back))
    }

    fn tell(&self, how: &'static str, what: &str) {
        self.trace.fault(match how {
            "fails" => "an I/O fails",
            "loses its reply" => "a reply is lost",
            _ => "an I/O lands late",
        });
        self.trace.note(&format!("{} {what}: {how}", self.who));
    }
}

/// Nothing goes wrong any more.
pub const CALM: Rates = Rates { fail: 0, lose: 0, late: 0, slow: 2 };
