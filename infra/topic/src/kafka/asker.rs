use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::error::RDKafkaErrorCode as Code;

use super::certificate;
use super::settings::{CERTIFICATE, MECHANISM};
use super::trouble::{Trouble, trouble};

/// What was heard counts as long; librdkafka repeats itself more often.
const FRESH: Duration = Duration::from_secs(40);

/// Who asks the cluster, and what stood in the way lately: what an error says besides its own code. All
/// clients of a cluster share it.
pub(super) struct Asker {
    /// As the brokers name us: "User:app".
    pub(super) principal: String,
    /// `host:port[,host:port…]`, as given.
    pub(super) servers: String,
    /// The SASL mechanism; empty: none.
    pub(super) mechanism: String,
    /// Whether TLS is spoken.
    pub(super) tls: bool,
    /// The file of trusted authorities; `None`: the system's.
    pub(super) ca: Option<PathBuf>,
    troubled: AtomicBool,
    heard: Mutex<Option<Heard>>,
}

struct Heard {
    first: Instant,
    last: Instant,
    trouble: Trouble,
}

impl Asker {
    pub(super) fn new(principal: String, servers: String) -> Self {
        Self {
            principal,
            servers,
            mechanism: String::new(),
            tls: false,
            ca: None,
            troubled: AtomicBool::new(false),
            heard: Mutex::new(None),
        }
    }

    /// Takes in what librdkafka says of a connection; what a person has to change outweighs what may pass.
    pub(super) fn hear(&self, code: Option<Code>, reason: &str) {
        let Some(trouble) = trouble(self, code, reason) else { return };
        let mut heard = self.heard();
        let now = Instant::now();
        let known = heard.as_ref().filter(|known| now.duration_since(known.last) < FRESH);
        let first = match known {
            Some(known) if known.trouble.is_certain() && !trouble.is_certain() => return,
            Some(known) if known.trouble.is_certain() == trouble.is_certain() => known.first,
            _ => now,
        };
        *heard = Some(Heard { first, last: now, trouble });
        self.troubled.store(true, Ordering::Release);
    }

    /// A broker answered: whatever was heard is over.
    pub(super) fn fine(&self) {
        // Read first: a lock for every record would cost.
        if self.troubled.load(Ordering::Acquire) {
            self.troubled.store(false, Ordering::Release);
            *self.heard() = None;
        }
    }

    /// What stands in the way just now, heard of for at least `lasting`.
    pub(super) fn trouble(&self, lasting: Duration) -> Option<Trouble> {
        let heard = self.heard();
        let heard = heard.as_ref()?;
        let lasted = heard.first.elapsed() >= lasting;
        (lasted && heard.last.elapsed() < FRESH).then(|| heard.trouble.clone())
    }

    /// The same, looked into: what is wrong with a certificate only a connection of our own can tell. Blocks
    /// for some seconds at most.
    pub(super) fn trouble_looked_into(&self) -> Option<Trouble> {
        let trouble = self.trouble(Duration::ZERO)?;
        let Trouble::Certificate { server } = &trouble else { return Some(trouble) };
        let found = certificate::look(server, self.ca.as_deref());
        Some(found.map_or(trouble, |(why, remedy)| Trouble::Certain { why, remedy }))
    }

    fn heard(&self) -> MutexGuard<'_, Option<Heard>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// As whom the brokers see us.
pub(super) fn asker(servers: &str, given: &BTreeMap<String, String>) -> Asker {
    let principal = match (given.get("sasl.username"), given.get(CERTIFICATE)) {
        (Some(user), _) => format!("User:{user}"),
        (None, Some(file)) => format!("User:{}", subject(Path::new(file)).unwrap_or_default()),
        (None, None) => "User:ANONYMOUS".to_owned(),
    };
    let mut asker = Asker::new(principal, servers.to_owned());
    asker.mechanism = given.get(MECHANISM).cloned().unwrap_or_default();
    asker.tls = given.get("security.protocol").is_some_and(|protocol| protocol.contains("ssl"));
    asker.ca = given.get("ssl.ca.location").map(Into::into);
    asker
}

/// The subject of the certificate in a PEM file, as brokers write it: the last attribute first.
fn subject(file: &Path) -> Option<String> {
    let certificate = openssl::x509::X509::from_pem(&std::fs::read(file).ok()?).ok()?;
    let mut attributes = Vec::new();
    for attribute in certificate.subject_name().entries() {
        let name = attribute.object().nid().short_name().ok()?;
        attributes.push(format!("{name}={}", attribute.data().to_string().ok()?));
    }
    attributes.reverse();
    Some(attributes.join(","))
}

impl fmt::Debug for Asker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.principal, self.servers)
    }
}
