//! What librdkafka says of a connection that doesn't come about, in words that say what to do. It says so
//! in log lines and error texts only; the call that failed meanwhile just timed out.

use rdkafka::error::RDKafkaErrorCode as Code;

use super::asker::Asker;

/// Why no broker can be spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It stays until somebody changes something.
    Certain { why: String, remedy: String },
    /// The same: the certificate of this server (`host:port`) was refused. Why, librdkafka doesn't say.
    Certificate { server: String },
    /// It may pass by itself: so looks a broker that starts, too.
    Maybe(String),
}

impl Trouble {
    pub(super) fn is_certain(&self) -> bool {
        !matches!(self, Self::Maybe(_))
    }

    /// Why, and what to do.
    pub(super) fn told(&self) -> (String, String) {
        match self {
            Self::Certain { why, remedy } => (why.clone(), remedy.clone()),
            Self::Certificate { server } => (
                format!("the certificate of {server} isn't trusted, or isn't for this host's name"),
                "name the authority that signed it (ca=file in topics.url) and a host that it is for"
                    .to_owned(),
            ),
            Self::Maybe(text) => (text.clone(), "start the brokers, or correct topics.url".to_owned()),
        }
    }
}

/// What is behind a reason; `None`: nothing worth telling.
pub(super) fn trouble(asker: &Asker, code: Option<Code>, reason: &str) -> Option<Trouble> {
    let (reason, state) = parted(reason);
    let certain =
        |why: String, remedy: &str| Some(Trouble::Certain { why, remedy: remedy.to_owned() });
    if reason.contains("certificate verify failed") {
        return Some(Trouble::Certificate { server: server(reason) });
    }
    if reason.contains("certificate required") || reason.contains("client SSL authentication") {
        return certain(
            format!("{} wants a certificate of the client, too", server(reason)),
            "name one in topics.url: cert=file&key=file (PEM)",
        );
    }
    if [
        "alert unknown ca",
        "alert bad certificate",
        "alert certificate unknown",
        "certificate expired",
    ]
    .iter()
    .any(|alert| reason.contains(alert))
    {
        return certain(
            format!("{} refuses our certificate: {reason}", server(reason)),
            "give one (cert= and key= in topics.url) that is valid and signed by an authority the brokers trust",
        );
    }
    if reason.contains("wrong version number") {
        return certain(
            format!("{} speaks no TLS", server(reason)),
            "name a port that does, or set tls=off in topics.url",
        );
    }
    match code {
        Some(Code::Authentication | Code::SaslAuthenticationFailed) => {
            let (why, remedy) = authentication(asker, reason);
            certain(why, &remedy)
        }
        Some(Code::SSL) => certain(reason.to_owned(), "correct the TLS options of topics.url"),
        _ => maybe(asker, code, reason, state).map(Trouble::Maybe),
    }
}

fn authentication(asker: &Asker, reason: &str) -> (String, String) {
    let mechanism = &asker.mechanism;
    if let Some((_, offered)) = reason.split_once("supported mechanisms:") {
        return match offered.trim() {
            "" => (
                format!("{} takes no users", server(reason)),
                "name a port that does, or remove the user from topics.url".to_owned(),
            ),
            offered => (
                format!("{} takes users by {offered} only, not by {mechanism}", server(reason)),
                "choose one of them in topics.url: sasl=…".to_owned(),
            ),
        };
    }
    if reason.contains("credentials") || reason.contains("Authentication failed") {
        let user = asker.principal.trim_start_matches("User:");
        return (
            format!("the brokers know no user {user} with this password by {mechanism}"),
            format!(
                "correct the user in topics.url or topics.password, or make the user: kafka-configs.sh \
                 --bootstrap-server {} --command-config admin.properties --alter --entity-type users \
                 --entity-name {user} --add-config '{mechanism}=[password=…]'",
                asker.servers
            ),
        );
    }
    (reason.to_owned(), "correct the user in topics.url, topics.password and sasl=".to_owned())
}

/// A broker that is starting, behind a proxy at that, closes connections too: nothing to be sure of.
fn maybe(asker: &Asker, code: Option<Code>, reason: &str, state: &str) -> Option<String> {
    let server = server(reason);
    let early = ["APIVERSION_QUERY", "SSL_HANDSHAKE", "in state UP"];
    // What is said of it depends on who was writing, or reading, just then.
    let closed = ["Disconnected", "Broken pipe", "Connection reset by peer"];
    if closed.iter().any(|said| reason.contains(said)) && early.iter().any(|at| state.contains(at))
    {
        let user = if asker.mechanism.is_empty() { " or a user (user@host)" } else { "" };
        return Some(match asker.tls {
            true => {
                format!("{server} closes TLS connections at once; if it speaks none, set tls=off")
            }
            false => format!("{server} closes connections at once; it may want TLS (tls=on){user}"),
        });
    }
    match code {
        Some(Code::Resolve) => Some(format!("there is no host {server}, as far as DNS knows")),
        Some(Code::BrokerTransportFailure) => Some(reason.to_owned()),
        _ => None,
    }
}

/// `sasl_ssl://host:port/bootstrap: …` → `host:port`.
fn server(reason: &str) -> String {
    let rest = reason.split_once("://").map_or(reason, |(_, rest)| rest);
    let end = rest.find(['/', ' ']).unwrap_or(rest.len());
    match &rest[..end] {
        found if found.contains(':') => found.trim_end_matches(':').to_owned(),
        _ => "the broker".to_owned(),
    }
}

/// The reason, and librdkafka's book-keeping: `(after 5ms in state AUTH_REQ, 1 identical error(s) suppressed)`.
/// Log lines begin with `[thrd:…]: `.
fn parted(reason: &str) -> (&str, &str) {
    let reason = match reason.strip_prefix("[thrd:") {
        Some(rest) => rest.split_once("]: ").map_or(reason, |(_, rest)| rest),
        None => reason,
    };
    let end = reason.rfind(" (after ").unwrap_or(reason.len());
    reason.split_at(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asker(tls: bool) -> Asker {
        let mut asker = Asker::new("User:app".to_owned(), "b:9".to_owned());
        asker.mechanism = "SCRAM-SHA-512".to_owned();
        asker.tls = tls;
        asker
    }

    /// What librdkafka 2.12.1 says of Kafka 4.3.1, word by word.
    #[test]
    fn librdkafkas_texts_are_understood() {
        let auth = Some(Code::Authentication);
        let ssl = Some(Code::SSL);
        let transport = Some(Code::BrokerTransportFailure);
        for (code, reason, certain, said) in [
            (
                auth,
                "sasl_ssl://b:9/bootstrap: SASL authentication error: Authentication failed during authentication due to invalid credentials with SASL mechanism SCRAM-SHA-512 (after 312ms in state AUTH_REQ)",
                true,
                "no user app with this password",
            ),
            (
                auth,
                "sasl_ssl://b:9/bootstrap: SASL PLAIN mechanism handshake failed: Broker: Unsupported SASL mechanism: broker's supported mechanisms: SCRAM-SHA-512,SCRAM-SHA-256 (after 301ms in state AUTH_HANDSHAKE)",
                true,
                "by SCRAM-SHA-512,SCRAM-SHA-256 only",
            ),
            (
                auth,
                "sasl_plaintext://b:9/bootstrap: SASL SCRAM-SHA-512 mechanism handshake failed: Broker: Request not valid in current SASL state: broker's supported mechanisms:  (after 1ms in state AUTH_HANDSHAKE)",
                true,
                "b:9 takes no users",
            ),
            (
                ssl,
                "sasl_ssl://b:9/bootstrap: SSL handshake failed: error:0A000086:SSL routines::certificate verify failed: broker certificate could not be verified, verify that ssl.ca.location is correctly configured or root CA certificates are installed (install ca-certificates package) (after 6ms in state SSL_HANDSHAKE)",
                true,
                "the certificate of b:9",
            ),
            (
                transport,
                "ssl://b:9/bootstrap: Receive failed: error:0A00045C:SSL routines::tlsv13 alert certificate required: SSL alert number 116 (after 0ms in state APIVERSION_QUERY)",
                true,
                "b:9 wants a certificate of the client",
            ),
            (
                transport,
                "ssl://b:9/bootstrap: SSL handshake failed: Disconnected: SSL connection closed by peer: connecting to a PLAINTEXT broker listener? (after 9ms in state SSL_HANDSHAKE)",
                false,
                "b:9 closes TLS connections at once",
            ),
            (
                Some(Code::Resolve),
                "nowhere.invalid:29999/bootstrap: Failed to resolve 'nowhere.invalid:29999': Name or service not known (after 0ms in state CONNECT)",
                false,
                "no host nowhere.invalid:29999",
            ),
            (
                transport,
                "b:9/bootstrap: Connect to ipv4#127.0.0.1:9 failed: Connection refused (after 0ms in state CONNECT)",
                false,
                "Connection refused",
            ),
        ] {
            let found = trouble(&asker(true), code, reason).expect(reason);
            assert_eq!(found.is_certain(), certain, "{reason}");
            assert!(found.told().0.contains(said), "{:?} of {reason}", found.told());
        }
        for closed in [
            "[thrd:b:9/bootstrap]: b:9/bootstrap: Disconnected (after 2ms in state APIVERSION_QUERY)",
            "b:9/bootstrap: Send failed: Broken pipe (after 12ms in state UP)",
            "b:9/bootstrap: Receive failed: Connection reset by peer (after 12ms in state UP)",
        ] {
            let found = trouble(&asker(false), transport, closed).expect("a closed connection");
            assert!(!found.is_certain() && found.told().0.contains("b:9 closes"), "{found:?}");
        }
        assert_eq!(
            trouble(&asker(false), Some(Code::AllBrokersDown), "1/1 brokers are down"),
            None
        );
    }
}
