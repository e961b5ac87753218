use std::fmt;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use millstream_config::{Endpoint, EndpointError, Tls};
use millstream_engine::SinkError;
use openssl::ssl::{SslConnector, SslMethod};
use openssl::x509::X509;
use openssl::x509::store::X509StoreBuilder;
use scylla::client::PoolSize;
use scylla::client::execution_profile::ExecutionProfile;
use scylla::client::session::{OpenSsl010Config, Session};
use scylla::client::session_builder::SessionBuilder;
use scylla::policies::load_balancing::DefaultPolicy;
use scylla::statement::{Consistency, SerialConsistency};
use tokio::sync::OnceCell;

use super::faults::Fault;
use super::retry::Patient;
use crate::url;

/// How many writes of one commit are under way at once, unless the URL says otherwise.
const CONCURRENCY: usize = 64;
const MOST_CONCURRENCY: usize = 4096;
/// How long a statement may take before it counts as failed. A drain has ten seconds in all.
const PATIENCE: Duration = Duration::from_secs(8);
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);

/// A Cassandra cluster: `cassandra://[user@]host[:9042][,…][?option=value…]`. Naming it connects to nothing; its
/// session is made when first needed, and shared by all tables.
///
/// | option | |
/// |---|---|
/// | `dc` | the datacenter to speak to; new keyspaces are replicated in it (NetworkTopologyStrategy) |
/// | `replication` | copies of a new keyspace's rows; default: 3, or the number of nodes if they are fewer |
/// | `create` | `off`: keyspaces, tables and columns are made by somebody else, who is told the CQL |
/// | `consistency` | who must acknowledge a write: `local_quorum` (default), `quorum`, `each_quorum` |
/// | | a worker that moves to another datacenter finds all rows there only with `each_quorum` |
/// | `concurrency` | writes under way at once, 64; ranges that are committed together share them |
/// | `tls`, `ca` | as everywhere; a node's certificate must name the node's IP address |
#[derive(Clone)]
pub struct Cassandra {
    shared: Arc<Shared>,
}

struct Shared {
    endpoint: Endpoint,
    tls: Tls,
    options: Options,
    session: OnceCell<Arc<Session>>,
}

/// What the URL says beside the place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Options {
    pub dc: Option<String>,
    pub replication: Option<NonZeroUsize>,
    pub create: bool,
    pub consistency: Consistency,
    pub concurrency: usize,
}

impl Options {
    fn take(endpoint: &mut Endpoint) -> Result<Self, EndpointError> {
        let replication = endpoint.take_number("replication", "a number of copies")?;
        let concurrency: Option<NonZeroUsize> =
            endpoint.take_number("concurrency", "a number of writes")?;
        let consistency = match endpoint.take("consistency").map(|text| text.to_lowercase()) {
            None => Consistency::LocalQuorum,
            Some(text) => consistency(endpoint, &text)?,
        };
        Ok(Self {
            dc: endpoint.take("dc"),
            replication,
            create: endpoint.take_switch("create")?.unwrap_or(true),
            consistency,
            concurrency: concurrency.map_or(CONCURRENCY, NonZeroUsize::get).min(MOST_CONCURRENCY),
        })
    }

    /// What a reader must ask for to see what was acknowledged. Cassandra reads no `EACH_QUORUM`; what was written so
    /// has a quorum in the reader's datacenter.
    pub fn reading(&self) -> Consistency {
        match self.consistency {
            Consistency::EachQuorum => Consistency::LocalQuorum,
            other => other,
        }
    }
}

fn consistency(endpoint: &Endpoint, text: &str) -> Result<Consistency, EndpointError> {
    match text {
        "local_quorum" => Ok(Consistency::LocalQuorum),
        "quorum" => Ok(Consistency::Quorum),
        "each_quorum" => Ok(Consistency::EachQuorum),
        other => Err(endpoint.refused(
            format!("option consistency={other} would let a failing node lose rows that count as delivered"),
            "expected local_quorum, quorum or each_quorum",
        )),
    }
}

impl Cassandra {
    /// Checks the URL and its options, and connects to nothing.
    pub fn new(mut endpoint: Endpoint) -> Result<Self, SinkError> {
        let (options, tls) = Self::check(&mut endpoint).map_err(url::refused)?;
        Ok(Self { shared: Arc::new(Shared { endpoint, tls, options, session: OnceCell::new() }) })
    }

    fn check(endpoint: &mut Endpoint) -> Result<(Options, Tls), EndpointError> {
        if !endpoint.path.is_empty() {
            let why = format!("it names a path, {:?}", endpoint.path);
            return Err(endpoint.refused(why, "leave it out: an app names its keyspaces itself"));
        }
        if endpoint.user.is_empty() != endpoint.password.is_empty() {
            let remedy =
                format!("give a user in the URL and {}, or neither", endpoint.password_key());
            return Err(endpoint.refused("it has a user or a password, and not both", remedy));
        }
        let options = Options::take(endpoint)?;
        let tls = endpoint.tls()?;
        endpoint.all_taken()?;
        Ok((options, tls))
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.shared.endpoint
    }

    pub(super) fn options(&self) -> &Options {
        &self.shared.options
    }

    pub(super) fn tls(&self) -> &Tls {
        &self.shared.tls
    }

    /// Without secrets: "cassandra://host:9042/my_keyspace".
    pub(super) fn place(&self, keyspace: &str) -> String {
        format!("{}/{keyspace}", self.shared.endpoint)
    }

    /// The session, made now if there is none.
    pub(super) async fn session(&self) -> Result<&Arc<Session>, SinkError> {
        self.shared.session.get_or_try_init(|| self.connect()).await
    }

    async fn connect(&self) -> Result<Arc<Session>, SinkError> {
        let Shared { endpoint, tls, options, .. } = self.shared.as_ref();
        let doing = format!("connect to {endpoint}");
        let mut builder = SessionBuilder::new()
            .known_nodes(endpoint.addresses())
            .connection_timeout(CONNECT_PATIENCE)
            .pool_size(PoolSize::PerHost(NonZeroUsize::MIN))
            .default_execution_profile_handle(profile(options).into_handle());
        if !endpoint.user.is_empty() {
            builder = builder.user(&endpoint.user, endpoint.password.expose());
        }
        if let Tls::On { ca } = tls {
            builder = builder.tls_context(Some(encryption(ca.as_deref()).map_err(|why| {
                let remedy = "set option ca to a PEM file with the authority that signed the nodes' certificates";
                SinkError::refused(&doing, why, remedy)
            })?));
        }
        let session =
            builder.build().await.map_err(|error| Fault::from(error).told(&doing, endpoint))?;
        self.check_datacenter(&session)?;
        Ok(Arc::new(session))
    }

    /// The driver finds no node in a datacenter that isn't there, and says so at each statement only.
    fn check_datacenter(&self, session: &Session) -> Result<(), SinkError> {
        let Some(dc) = &self.shared.options.dc else { return Ok(()) };
        let state = session.get_cluster_state();
        let mut known: Vec<_> =
            state.get_nodes_info().iter().filter_map(|node| node.datacenter.clone()).collect();
        known.sort();
        known.dedup();
        if known.contains(dc) {
            return Ok(());
        }
        let doing = format!("connect to {}", self.shared.endpoint);
        let why = format!("there is no datacenter {dc:?}");
        Err(SinkError::refused(doing, why, format!("set option dc to one of {}", known.join(", "))))
    }
}

/// Not the endpoint's options and no session: only where it is.
impl fmt::Debug for Cassandra {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cassandra({})", self.shared.endpoint)
    }
}

fn profile(options: &Options) -> ExecutionProfile {
    let mut balancing = DefaultPolicy::builder().token_aware(true);
    if let Some(dc) = &options.dc {
        balancing = balancing.prefer_datacenter(dc.clone());
    }
    ExecutionProfile::builder()
        .consistency(options.consistency)
        .serial_consistency(Some(SerialConsistency::Serial))
        .request_timeout(Some(PATIENCE))
        .retry_policy(Arc::new(Patient))
        .load_balancing_policy(balancing.build())
        .build()
}

/// Checks the other side's certificate; the driver adds the node's address to what is checked.
fn encryption(ca: Option<&Path>) -> Result<OpenSsl010Config, String> {
    let broken = |error: openssl::error::ErrorStack| error.to_string();
    let mut connector = SslConnector::builder(SslMethod::tls_client()).map_err(broken)?;
    if let Some(ca) = ca {
        let named = |why: String| format!("{}: {why}", ca.display());
        let pem = std::fs::read(ca).map_err(|error| named(error.to_string()))?;
        let authorities = X509::stack_from_pem(&pem).map_err(|error| named(error.to_string()))?;
        if authorities.is_empty() {
            return Err(named("there is no certificate in it".to_owned()));
        }
        let mut store = X509StoreBuilder::new().map_err(broken)?;
        for authority in authorities {
            store.add_cert(authority).map_err(broken)?;
        }
        connector.set_cert_store(store.build());
    }
    Ok(OpenSsl010Config::new(connector))
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_config::Secret;

    fn cassandra(url: &str, password: &str) -> Result<Cassandra, SinkError> {
        let endpoint = Endpoint::parse("stores.tables", url, Secret::new(password), 9042).unwrap();
        Cassandra::new(endpoint)
    }

    #[test]
    fn a_url_has_options_with_defaults() {
        let plain = cassandra("cassandra://127.0.0.1", "").unwrap();
        let options = plain.options();
        assert_eq!((options.concurrency, options.create), (64, true));
        assert_eq!(options.consistency, Consistency::LocalQuorum);
        assert_eq!(*plain.tls(), Tls::Off);
        let url = "cassandra://app@a,b:9043?dc=one&replication=3&create=off&consistency=EACH_QUORUM&concurrency=8";
        let all = cassandra(url, "hunter2").unwrap();
        let options = all.options();
        assert_eq!(options.dc.as_deref(), Some("one"));
        assert_eq!(options.replication, NonZeroUsize::new(3));
        assert_eq!(options.consistency, Consistency::EachQuorum);
        assert_eq!(options.reading(), Consistency::LocalQuorum);
        assert_eq!((options.concurrency, options.create), (8, false));
        assert_eq!(*all.tls(), Tls::On { ca: None });
        assert_eq!(all.place("k"), "cassandra://app@a:9042,b:9043/k");
        assert!(!format!("{all:?}").contains("hunter2"));
    }

    #[test]
    fn what_is_wrong_with_a_url_is_refused_by_name() {
        for (url, password, reason) in [
            ("cassandra://a?consistency=one", "", "local_quorum"),
            ("cassandra://a?replicaton=3", "", "\"replication\""),
            ("cassandra://a?concurrency=0", "", "a number of writes"),
            ("cassandra://a?create=maybe", "", "on or off"),
            ("cassandra://a/space", "", "an app names its keyspaces"),
            ("cassandra://app@a", "", "stores.tables_password"),
            ("cassandra://a", "x", "a user in the URL"),
        ] {
            let error = cassandra(url, password).unwrap_err();
            assert!(!error.is_retryable());
            let text = error.to_string();
            assert!(text.contains(reason) && text.contains("stores.tables"), "{url}: {text}");
        }
    }

    #[test]
    fn a_file_without_authorities_is_refused_by_name() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ca.pem");
        assert!(encryption(Some(&path)).is_err_and(|why| why.contains("ca.pem")));
        std::fs::write(&path, "no certificate").unwrap();
        assert!(encryption(Some(&path)).is_err_and(|why| why.contains("no certificate in it")));
        assert!(encryption(None).is_ok());
    }
}
