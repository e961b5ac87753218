use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use millstream_config::{Endpoint, Tls};
use millstream_engine::SinkError;
use mysql_async::{Opts, OptsBuilder, SslOpts};

use super::faults::Place;
use crate::url::refused;

/// After so long without a word the kernel asks whether the server is still there.
const KEEPALIVE: Duration = Duration::from_secs(15);
/// Statements that a connection remembers.
const PREPARED: usize = 64;

/// A MySQL or MariaDB server, or several that stand in for each other. Naming it connects to nothing; cheap to clone.
#[derive(Clone)]
pub struct Mysql {
    inner: Arc<Inner>,
}

struct Inner {
    endpoint: Endpoint,
    tls: Tls,
    create: bool,
}

impl Mysql {
    /// `mysql://user@host[,host…][:3306][/database][?tls=on|off&ca=file&create=on|off]`, or `mariadb://`.
    ///
    /// `/database`: where all tables go, in the place of one database per app. `create=off`: databases are made by
    /// somebody else. Refused: what can't be meant.
    pub fn new(mut endpoint: Endpoint) -> Result<Self, SinkError> {
        if !matches!(endpoint.scheme.as_str(), "mysql" | "mariadb") {
            let why = format!("{}:// is no MySQL server", endpoint.scheme);
            return Err(refused(endpoint.refused(why, "write it as mysql://user@host")));
        }
        if endpoint.user.is_empty() {
            return Err(refused(
                endpoint.refused("it names no user", "write it as mysql://user@host"),
            ));
        }
        if endpoint.path.contains('/') {
            return Err(refused(
                endpoint.refused("a database is one name", "remove the slash inside of it"),
            ));
        }
        let tls = endpoint.tls().map_err(refused)?;
        let create = endpoint.take_switch("create").map_err(refused)?.unwrap_or(true);
        endpoint.all_taken().map_err(refused)?;
        Ok(Self { inner: Arc::new(Inner { endpoint, tls, create }) })
    }

    /// Whether missing databases may be made.
    pub(super) fn creates(&self) -> bool {
        self.inner.create
    }

    /// The setting that names it.
    pub(super) fn key(&self) -> &str {
        &self.inner.endpoint.key
    }

    /// The one of the URL, or this.
    pub(super) fn database(&self, name: &str) -> String {
        let path = &self.inner.endpoint.path;
        if path.is_empty() { name.to_owned() } else { path.clone() }
    }

    /// The URL's database, if it has one.
    pub(super) fn own_database(&self) -> Option<&str> {
        Some(self.inner.endpoint.path.as_str()).filter(|path| !path.is_empty())
    }

    pub(super) fn place(&self, database: Option<&str>) -> Place {
        let Endpoint { key, user, .. } = &self.inner.endpoint;
        Place {
            server: self.to_string(),
            key: key.clone(),
            password_key: self.inner.endpoint.password_key(),
            user: user.clone(),
            database: database.unwrap_or_default().to_owned(),
            encrypted: self.inner.tls != Tls::Off,
        }
    }

    /// How each of the hosts is connected to. `setup`: what every connection begins with.
    pub(super) fn options(&self, database: Option<&str>, setup: &[&str]) -> Vec<Opts> {
        let Endpoint { user, password, hosts, .. } = &self.inner.endpoint;
        let one = |(host, port): &(String, u16)| {
            OptsBuilder::default()
                .ip_or_hostname(host.trim_matches(['[', ']']))
                .tcp_port(*port)
                .user(Some(user.clone()))
                .pass(Some(password.expose()).filter(|password| !password.is_empty()))
                .db_name(database)
                .ssl_opts(self.encryption())
                .setup(setup.to_vec())
                .stmt_cache_size(PREPARED)
                .tcp_keepalive(Some(KEEPALIVE))
                // A socket's path that the server tells may be one of its own machine or container.
                .prefer_socket(false)
                .into()
        };
        hosts.iter().map(one).collect()
    }

    fn encryption(&self) -> Option<SslOpts> {
        match &self.inner.tls {
            Tls::Off => None,
            Tls::On { ca: None } => Some(SslOpts::default()),
            Tls::On { ca: Some(file) } => Some(
                SslOpts::default()
                    .with_root_certs(vec![PathBuf::clone(file).into()])
                    .with_disable_built_in_roots(true),
            ),
        }
    }
}

/// Without options and password.
impl fmt::Display for Mysql {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.endpoint.fmt(f)
    }
}

impl fmt::Debug for Mysql {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use millstream_config::Secret;

    use super::*;

    fn server(url: &str) -> Result<Mysql, SinkError> {
        Mysql::new(Endpoint::parse("stores.tables", url, Secret::new("hunter2"), 3306).unwrap())
    }

    #[test]
    fn a_url_is_checked_before_anything_is_connected() {
        for (url, why) in [
            ("cassandra://app@a", "no MySQL server"),
            ("mysql://a", "no user"),
            ("mysql://app@a/x/y", "one name"),
            ("mysql://app@a?crate=off", "\"create\""),
            ("mysql://app@a?create=maybe", "on or off"),
            ("mysql://app@a?tls=off&ca=x", "ca"),
        ] {
            let error = server(url).unwrap_err();
            assert!(!error.is_retryable() && error.to_string().contains(why), "{error}");
        }
    }

    #[test]
    fn secrets_are_shown_nowhere() {
        let server = server("mysql://app@a,b:3307?create=off").unwrap();
        assert_eq!(server.to_string(), "mysql://app@a:3306,b:3307");
        assert!(!format!("{server:?} {:?}", server.place(None)).contains("hunter2"));
        assert!(!server.creates());
    }

    #[test]
    fn encrypted_unless_it_stays_on_this_machine() {
        let encrypted = |url| server(url).unwrap().options(None, &[])[0].ssl_opts().is_some();
        assert!(encrypted("mysql://app@db") && !encrypted("mysql://app@127.0.0.1"));
        assert!(encrypted("mysql://app@[::1]?tls=on") && !encrypted("mariadb://app@db?tls=off"));
    }

    #[test]
    fn a_database_in_the_url_is_every_apps() {
        assert_eq!(server("mysql://app@db/shared").unwrap().database("words"), "shared");
        assert_eq!(server("mysql://app@db/").unwrap().database("words"), "words");
    }
}
