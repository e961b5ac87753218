//! What `topics.url` and `topics.settings` say of a cluster, as settings of librdkafka and of ours.

use std::collections::BTreeMap;
use std::path::Path;

use millstream_config::{Endpoint, EndpointError, Tls};

use super::settings::{CERTIFICATE, INSTANCE, KEY, MECHANISM, PROTOCOL, REPLICATION};
use crate::TopicError;

/// Reads all options of the URL and adds `name=value` settings on top.
///
/// # Errors
/// Refused when an option or a setting is unknown, ill-formed, or said twice.
pub(super) fn read(
    mut url: Endpoint,
    settings: &[String],
) -> Result<BTreeMap<String, String>, TopicError> {
    let mut said = BTreeMap::new();
    security(&mut url, &mut said)?;
    let passed_on = [("replication", REPLICATION), ("protocol", PROTOCOL), ("instance", INSTANCE)];
    for (option, name) in passed_on {
        if let Some(value) = url.take(option) {
            said.insert(name.to_owned(), value);
        }
    }
    url.all_taken()?;
    if !url.path.is_empty() {
        let why = format!("it has a path, {:?}", url.path);
        return Err(url.refused(why, "remove it: topics have their names").into());
    }
    for setting in settings {
        let Some((name, value)) = setting.split_once('=') else {
            let why = format!("{setting:?} is not name=value");
            return Err(refused(why, "write each of topics.settings as \"name=value\""));
        };
        let (name, value) = (name.trim(), value.trim());
        if said.insert(name.to_owned(), value.to_owned()).is_some() {
            return Err(refused(
                format!("{name} is given twice"),
                "remove it there: the options of topics.url say it, too",
            ));
        }
    }
    Ok(said)
}

/// How the connections are encrypted, and who we are.
fn security(url: &mut Endpoint, said: &mut BTreeMap<String, String>) -> Result<(), TopicError> {
    let tls = url.tls()?;
    let mut say = |name: &str, value: &str| said.insert(name.to_owned(), value.to_owned());
    if let Tls::On { ca: Some(ca) } = &tls {
        readable(url, "ca", ca)?;
        say("ssl.ca.location", &ca.display().to_string());
    }
    match (url.take("cert"), url.take("key")) {
        (None, None) => {}
        (Some(_), Some(_)) if tls == Tls::Off => {
            return Err(url.refused("it names a certificate while tls=off", "set tls=on").into());
        }
        (Some(certificate), Some(key)) => {
            readable(url, "cert", Path::new(&certificate))?;
            readable(url, "key", Path::new(&key))?;
            say(CERTIFICATE, &certificate);
            say(KEY, &key);
        }
        _ => return Err(url.refused("cert= and key= go together", "give both, or none").into()),
    }
    let mechanism = mechanism(url, &tls)?;
    if let Some(mechanism) = mechanism {
        say(MECHANISM, mechanism);
        say("sasl.username", &url.user);
        say("sasl.password", url.password.expose());
    }
    say(
        "security.protocol",
        match (tls, mechanism) {
            (Tls::Off, None) => "plaintext",
            (Tls::Off, Some(_)) => "sasl_plaintext",
            (Tls::On { .. }, None) => "ssl",
            (Tls::On { .. }, Some(_)) => "sasl_ssl",
        },
    );
    Ok(())
}

/// The SASL mechanism, if there is a user.
fn mechanism(url: &mut Endpoint, tls: &Tls) -> Result<Option<&'static str>, EndpointError> {
    let asked = url.take("sasl");
    if url.user.is_empty() {
        return match asked {
            None => Ok(None),
            Some(_) => Err(url.refused("sasl= without a user", "name one: kafka://user@host:port")),
        };
    }
    if url.password.is_empty() {
        let why = format!("user {} has no password", url.user);
        let remedy = format!("give it as {}, best by the environment", url.password_key());
        return Err(url.refused(why, remedy));
    }
    match asked.as_deref() {
        None | Some("scram-sha-512") => Ok(Some("SCRAM-SHA-512")),
        Some("scram-sha-256") => Ok(Some("SCRAM-SHA-256")),
        // Anybody on the way could read the password.
        Some("plain") if *tls == Tls::Off && !url.is_loopback() => Err(url.refused(
            "sasl=plain sends the password as it is",
            "set tls=on, or sasl=scram-sha-512",
        )),
        Some("plain") => Ok(Some("PLAIN")),
        Some(other) => Err(url.refused(
            format!("option sasl={other}"),
            "expected scram-sha-512, scram-sha-256 or plain",
        )),
    }
}

fn readable(url: &Endpoint, option: &str, file: &Path) -> Result<(), EndpointError> {
    let Err(error) = std::fs::File::open(file) else { return Ok(()) };
    let why = format!("option {option}={}: {error}", file.display());
    Err(url.refused(why, "name a file that this user can read"))
}

fn refused(why: impl Into<String>, remedy: &str) -> TopicError {
    TopicError::refused("read topics.settings", why, remedy)
}

impl From<EndpointError> for TopicError {
    fn from(error: EndpointError) -> Self {
        Self::refused(format!("read {}", error.key), error.why, error.remedy)
    }
}

#[cfg(test)]
mod tests {
    use millstream_config::Secret;

    use super::*;

    fn said(url: &str, settings: &[&str]) -> Result<BTreeMap<String, String>, TopicError> {
        let password = Secret::new(if url.contains('@') { "hunter2" } else { "" });
        let url = Endpoint::parse("topics.url", url, password, 9092)?;
        let settings: Vec<_> = settings.iter().map(|setting| (*setting).to_owned()).collect();
        read(url, &settings)
    }

    #[test]
    fn connections_are_safe_unless_told_otherwise() {
        let protocol = |url: &str| said(url, &[]).expect(url)["security.protocol"].clone();
        assert_eq!(protocol("kafka://localhost:9092"), "plaintext");
        assert_eq!(protocol("kafka://b1,b2"), "ssl");
        assert_eq!(protocol("kafka://b1?tls=off"), "plaintext");
        assert_eq!(protocol("kafka://app@b1"), "sasl_ssl");
        assert_eq!(protocol("kafka://app@b1?tls=off"), "sasl_plaintext");
        let said =
            said("kafka://app@b1?replication=3&instance=w1", &["linger.ms=9"]).expect("options");
        let expected = [
            ("sasl.mechanism", "SCRAM-SHA-512"),
            ("sasl.username", "app"),
            ("sasl.password", "hunter2"),
            ("replication.factor", "3"),
            ("group.instance.id", "w1"),
            ("linger.ms", "9"),
        ];
        for (name, value) in expected {
            assert_eq!(said[name], value, "{name}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (url, settings, about) in [
            ("kafka://b1?replicaton=3", &[] as &[&str], "\"replication\""),
            ("kafka://b1/topic", &[], "path"),
            ("kafka://b1?sasl=plain", &[], "user"),
            ("kafka://app@b1?sasl=plain&tls=off", &[], "tls=on"),
            ("kafka://app@b1?sasl=kerberos", &[], "scram-sha-512"),
            ("kafka://b1?cert=a.pem", &[], "key="),
            ("kafka://b1?ca=/nowhere/ca.pem", &[], "/nowhere/ca.pem"),
            ("kafka://b1", &["linger.ms"], "name=value"),
            ("kafka://b1", &["security.protocol=plaintext"], "security.protocol is given twice"),
        ] {
            let error = said(url, settings).expect_err(url);
            assert!(!error.is_retryable() && error.to_string().contains(about), "{url}: {error}");
        }
        let url = Endpoint::parse("topics.url", "kafka://app@b1", Secret::default(), 9092)
            .expect("a URL");
        let error = read(url, &[]).expect_err("no password").to_string();
        assert!(error.contains("topics.password"), "{error}");
    }
}
