use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use crate::nearest::nearest;
use crate::{Secret, secret};

/// Where a server is and how it is spoken to: `scheme://[user@]host[:port][,host[:port]…][/path][?option=value[&…]]`.
///
/// Passwords are settings of their own: a URL is printed, and stands in lists of processes. Options are `take`n by who
/// knows them; [`Endpoint::all_taken`] refuses what is left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The setting it comes from: "stores.tables".
    pub key: String,
    pub scheme: String,
    /// Empty: none.
    pub user: String,
    /// Empty: none.
    pub password: Secret,
    /// At least one, each with its port.
    pub hosts: Vec<(String, u16)>,
    /// Without the slash at its beginning.
    pub path: String,
    options: BTreeMap<String, String>,
    known: Vec<String>,
}

/// Whether a connection is encrypted. The other side's certificate is always checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tls {
    Off,
    /// `ca`: a PEM file with the authorities to be trusted; `None`: those of the system.
    On {
        ca: Option<PathBuf>,
    },
}

/// What is wrong with a server's URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("read {key}: {why}; {remedy}")]
pub struct EndpointError {
    pub key: String,
    pub why: String,
    pub remedy: String,
}

impl Endpoint {
    /// `key`: the setting, for messages. `port`: of hosts that name none.
    pub fn parse(key: &str, url: &str, password: Secret, port: u16) -> Result<Self, EndpointError> {
        let refuse = |why: &str, remedy: String| EndpointError {
            key: key.to_owned(),
            why: why.to_owned(),
            remedy,
        };
        let shape =
            || "write it as scheme://[user@]host[:port][,…][/path][?option=value]".to_owned();
        let (scheme, rest) =
            url.split_once("://").ok_or_else(|| refuse("it has no scheme", shape()))?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
        if user.contains(':') {
            let remedy = format!("give it as {key}_password, best by the environment");
            return Err(refuse("it holds a password", remedy));
        }
        let hosts =
            hosts.split(',').map(|host| host_and_port(host, port)).collect::<Option<Vec<_>>>();
        let hosts =
            hosts.ok_or_else(|| refuse("a host or its port is not well-formed", shape()))?;
        let mut options = BTreeMap::new();
        for option in query.split('&').filter(|option| !option.is_empty()) {
            let (name, value) = option
                .split_once('=')
                .ok_or_else(|| refuse(&format!("option {option:?} has no value"), shape()))?;
            options.insert(name.to_owned(), value.to_owned());
        }
        Ok(Self {
            key: key.to_owned(),
            scheme: scheme.to_owned(),
            user: user.to_owned(),
            password,
            hosts,
            path: path.trim_end_matches('/').to_owned(),
            options,
            known: Vec::new(),
        })
    }

    /// The value of an option, once.
    pub fn take(&mut self, option: &str) -> Option<String> {
        self.known.push(option.to_owned());
        self.options.remove(option)
    }

    /// As [`Endpoint::take`], read as a number; `expected` says of what kind ("a number of replicas").
    pub fn take_number<T: FromStr>(
        &mut self,
        option: &str,
        expected: &str,
    ) -> Result<Option<T>, EndpointError> {
        let Some(text) = self.take(option) else { return Ok(None) };
        let number = text.parse();
        number.map(Some).map_err(|_| self.wrong_option(option, &text, expected))
    }

    /// As [`Endpoint::take`], read as `on` or `off` (or `true` and `false`).
    pub fn take_switch(&mut self, option: &str) -> Result<Option<bool>, EndpointError> {
        match self.take(option).as_deref() {
            None => Ok(None),
            Some("on" | "true") => Ok(Some(true)),
            Some("off" | "false") => Ok(Some(false)),
            Some(text) => Err(self.wrong_option(option, text, "on or off")),
        }
    }

    /// From `tls=on|off` and `ca=file`. Where neither says so it is on, unless every host is this machine.
    pub fn tls(&mut self) -> Result<Tls, EndpointError> {
        let ca = self.take("ca").map(PathBuf::from);
        let on = self.take_switch("tls")?;
        match (on.unwrap_or(ca.is_some() || !self.is_loopback()), ca) {
            (true, ca) => Ok(Tls::On { ca }),
            (false, None) => Ok(Tls::Off),
            (false, Some(ca)) => {
                let file = ca.display().to_string();
                Err(self.wrong_option("ca", &file, "none while tls=off"))
            }
        }
    }

    /// Refuses options that nobody took.
    pub fn all_taken(&self) -> Result<(), EndpointError> {
        let Some(name) = self.options.keys().next() else { return Ok(()) };
        let meant = nearest(name, self.known.iter().map(String::as_str));
        let remedy = match meant {
            Some(meant) => format!("did you mean {meant:?}?"),
            None if self.known.is_empty() => "remove it; there are none".to_owned(),
            None => format!("known are {}", self.known.join(", ")),
        };
        Err(self.refused(format!("there is no option {name:?}"), remedy))
    }

    /// An error about this URL.
    pub fn refused(&self, why: impl Into<String>, remedy: impl Into<String>) -> EndpointError {
        EndpointError { key: self.key.clone(), why: why.into(), remedy: remedy.into() }
    }

    /// The setting that its password comes from: "stores.tables_password".
    pub fn password_key(&self) -> String {
        match self.key.as_str() {
            // What else a section of servers has is its URL.
            "topics.url" => "topics.password".to_owned(),
            key => format!("{key}_password"),
        }
    }

    /// Whether every host is this machine.
    pub fn is_loopback(&self) -> bool {
        self.hosts.iter().all(|(host, _)| {
            let ip = host.trim_matches(['[', ']']).parse::<IpAddr>();
            host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
        })
    }

    /// `host:port` of each.
    pub fn addresses(&self) -> Vec<String> {
        self.hosts.iter().map(|(host, port)| format!("{host}:{port}")).collect()
    }

    fn wrong_option(&self, option: &str, found: &str, expected: &str) -> EndpointError {
        let found = if secret::is_secret(option) { secret::MASK } else { found };
        self.refused(format!("option {option}={found}"), format!("expected {expected}"))
    }
}

/// Without options and password.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://", self.scheme)?;
        if !self.user.is_empty() {
            write!(f, "{}@", self.user)?;
        }
        f.write_str(&self.addresses().join(","))?;
        if !self.path.is_empty() {
            write!(f, "/{}", self.path)?;
        }
        Ok(())
    }
}

/// `host`, `host:port`, `[v6]`, `[v6]:port`.
fn host_and_port(text: &str, default: u16) -> Option<(String, u16)> {
    let is_v6 = text.starts_with('[');
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !is_v6 || host.ends_with(']') => (host, port.parse().ok()?),
        _ => (text, default),
    };
    let v6 = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let well_formed = match v6 {
        Some(host) => host.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            !host.is_empty()
                && host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
        }
    };
    (well_formed && port > 0).then(|| (host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Endpoint, EndpointError> {
        Endpoint::parse("stores.tables", url, Secret::default(), 9042)
    }

    #[test]
    fn a_url_has_its_parts() {
        let mut url =
            parse("cassandra://app@a,b-1.x:9043,[::1]:1/space/?dc=one&replication=3").unwrap();
        assert_eq!(url.scheme, "cassandra");
        assert_eq!(url.user, "app");
        assert_eq!(url.path, "space");
        assert_eq!(url.addresses(), ["a:9042", "b-1.x:9043", "[::1]:1"]);
        assert_eq!(url.to_string(), "cassandra://app@a:9042,b-1.x:9043,[::1]:1/space");
        assert_eq!(url.take("dc").as_deref(), Some("one"));
        assert_eq!(url.take_number("replication", "a number"), Ok(Some(3)));
        assert_eq!(url.take("dc"), None);
        assert_eq!(url.all_taken(), Ok(()));
    }

    #[test]
    fn what_is_no_url_of_a_server_is_refused() {
        for url in [
            "",
            "a:1",
            "x://",
            "x://a,",
            "x://:1",
            "x://a:0",
            "x://a:70000",
            "x://a b",
            "x://[a]:1",
            "x://a?tls",
        ] {
            assert!(parse(url).is_err(), "{url}");
        }
    }

    #[test]
    fn a_password_in_the_url_is_refused_and_not_repeated() {
        let error = parse("mysql://app:hunter2@db").unwrap_err().to_string();
        assert!(error.contains("stores.tables_password") && !error.contains("hunter2"), "{error}");
        let password = Secret::new("hunter2");
        let url = Endpoint::parse("stores.tables", "mysql://app@db", password, 3306).unwrap();
        assert!(!format!("{url} {url:?}").contains("hunter2"));
    }

    #[test]
    fn unknown_options_are_refused_by_name() {
        let mut url = parse("x://a?replicaton=3").unwrap();
        assert_eq!(url.take("replication"), None);
        let error = url.all_taken().unwrap_err().to_string();
        assert!(error.contains("\"replicaton\"") && error.contains("\"replication\""), "{error}");
        let error = parse("x://a?n=b").unwrap().take_number::<u8>("n", "a number").unwrap_err();
        assert!(error.to_string().contains("expected a number"), "{error}");
    }

    #[test]
    fn connections_are_encrypted_unless_they_stay_on_this_machine() {
        let on = |ca: Option<&str>| Ok(Tls::On { ca: ca.map(PathBuf::from) });
        for (url, expected) in [
            ("x://db", on(None)),
            ("x://127.0.0.1,localhost,[::1]:1", Ok(Tls::Off)),
            ("x://127.0.0.1,db", on(None)),
            ("x://db?tls=off", Ok(Tls::Off)),
            ("x://127.0.0.1?tls=on", on(None)),
            ("x://127.0.0.1?ca=ca.pem", on(Some("ca.pem"))),
        ] {
            assert_eq!(parse(url).unwrap().tls(), expected, "{url}");
        }
        assert!(parse("x://db?tls=maybe").unwrap().tls().is_err());
        assert!(parse("x://db?tls=off&ca=x").unwrap().tls().is_err());
    }
}
