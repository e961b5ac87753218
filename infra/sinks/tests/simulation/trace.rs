//! What was done, in order: a hash of it tells whether two runs were the same; the faults are counted by name.

use std::collections::BTreeMap;
use std::sync::Mutex;

use tokio::time::Instant;

#[derive(Debug)]
pub struct Trace {
    began: Instant,
    told: Mutex<Told>,
}

#[derive(Clone, Debug, Default)]
pub struct Told {
    pub hash: u64,
    pub ios: usize,
    pub faults: BTreeMap<&'static str, u64>,
    /// The first lines.
    pub lines: Vec<String>,
}

const LINES: usize = 100_000;

impl Trace {
    pub fn new() -> Self {
        Self { began: Instant::now(), told: Mutex::default() }
    }

    pub fn ms(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }

    pub fn note(&self, line: &str) {
        let ms = self.ms();
        let mut told = self.told.lock().unwrap();
        told.ios += 1;
        let mut hash = told.hash ^ ms.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for byte in line.bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        told.hash = hash;
        if wanted() && told.lines.len() < LINES {
            told.lines.push(format!("{ms:>7} ms  {line}"));
        }
    }

    pub fn fault(&self, name: &'static str) {
        *self.told.lock().unwrap().faults.entry(name).or_default() += 1;
    }

    pub fn told(&self) -> Told {
        self.told.lock().unwrap().clone()
    }
}

/// Whether every line is to be kept, and shown where a schedule fails.
fn wanted() -> bool {
    static WANTED: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    *WANTED.get_or_init(|| std::env::var_os("MILLSTREAM_TRACE").is_some())
}
