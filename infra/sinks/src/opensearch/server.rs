use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use millstream_config::{Endpoint, Secret};
use millstream_engine::SinkError;
use reqwest::{Certificate, Client, Method};
use serde_json::Value;
use tokio::sync::OnceCell;

use super::dialect::Dialect;
use super::faults::{Fault, Origin};
use crate::url;

const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// What changes the cluster's state, and what carries documents, may take its time.
const PATIENCE: Duration = Duration::from_secs(60);
const DEFAULT_REPLICAS: &str = "0-1";

/// An OpenSearch or Elasticsearch server, or a cluster of them. Cheap to clone; connects when first used.
#[derive(Clone)]
pub struct OpenSearch(pub(super) Arc<Server>);

pub(super) struct Server {
    pub origin: Origin,
    /// What the names of all our indexes and aliases begin with.
    pub prefix: String,
    /// `number_of_replicas`, or a range for `auto_expand_replicas`.
    pub replicas: Replicas,
    /// Whether a password would travel for all to read.
    pub is_plain: bool,
    endpoint: Endpoint,
    bases: Vec<String>,
    user: String,
    password: Secret,
    ca: Option<PathBuf>,
    client: OnceLock<Client>,
    dialect: OnceCell<Dialect>,
    /// The host that answered last.
    preferred: AtomicUsize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Replicas {
    /// As many as there are nodes for, up to one.
    Auto(&'static str),
    Number(u32),
}

/// A request.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub method: Method,
    /// With its query, without the slash at its beginning. Names in it are of harmless characters.
    pub path: String,
    pub body: Body,
}

#[derive(Clone, Debug)]
pub(super) enum Body {
    Nothing,
    Json(Value),
    /// One JSON text per line.
    Lines(bytes::Bytes),
}

impl Call {
    pub fn get(path: impl Into<String>) -> Self {
        Self { method: Method::GET, path: path.into(), body: Body::Nothing }
    }

    pub fn post(path: impl Into<String>, body: Value) -> Self {
        Self { method: Method::POST, path: path.into(), body: Body::Json(body) }
    }

    /// Without a body: where none is needed Elasticsearch takes none.
    pub fn bare_post(path: impl Into<String>) -> Self {
        Self { method: Method::POST, path: path.into(), body: Body::Nothing }
    }

    pub fn put(path: impl Into<String>, body: Value) -> Self {
        Self { method: Method::PUT, path: path.into(), body: Body::Json(body) }
    }

    pub fn delete(path: impl Into<String>, body: Option<Value>) -> Self {
        let body = body.map_or(Body::Nothing, Body::Json);
        Self { method: Method::DELETE, path: path.into(), body }
    }
}

impl OpenSearch {
    /// `endpoint`: `http[s]://[user@]host:9200[,…][/prefix][?ca=file][&replicas=n]`. The prefix is what the names of
    /// all indexes begin with. No I/O yet; refused: options that aren't well-formed.
    pub fn new(mut endpoint: Endpoint) -> Result<Self, SinkError> {
        let refused = |endpoint: &Endpoint, why: &str, remedy: &str| {
            Err(url::refused(endpoint.refused(why, remedy)))
        };
        let is_https = match endpoint.scheme.as_str() {
            "https" => true,
            "http" => false,
            _ => return refused(&endpoint, "it is no http or https URL", "begin it with https://"),
        };
        let ca = endpoint.take("ca").map(PathBuf::from);
        if ca.is_some() && !is_https {
            return refused(
                &endpoint,
                "option ca is of use with https only",
                "begin it with https://",
            );
        }
        let replicas =
            endpoint.take_number("replicas", "a number of copies").map_err(url::refused)?;
        endpoint.all_taken().map_err(url::refused)?;
        let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
        let starts =
            endpoint.path.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
        let is_beginning = starts && endpoint.path.chars().all(is_name);
        if !(endpoint.path.is_empty() || is_beginning) {
            let remedy = "use lower-case letters, digits, and . _ - after the first";
            return refused(&endpoint, "its path can't begin the name of an index", remedy);
        }
        Ok(Self::of(endpoint, replicas, ca))
    }

    fn of(endpoint: Endpoint, replicas: Option<u32>, ca: Option<PathBuf>) -> Self {
        let base = |address: String| format!("{}://{address}", endpoint.scheme);
        let server = Server {
            origin: Origin {
                shown: endpoint.to_string(),
                key: endpoint.key.clone(),
                user: endpoint.user.clone(),
                password_key: endpoint.password_key(),
            },
            prefix: endpoint.path.clone(),
            replicas: replicas.map_or(Replicas::Auto(DEFAULT_REPLICAS), Replicas::Number),
            is_plain: endpoint.scheme == "http"
                && !endpoint.password.is_empty()
                && !endpoint.is_loopback(),
            bases: endpoint.addresses().into_iter().map(base).collect(),
            user: endpoint.user.clone(),
            password: endpoint.password.clone(),
            ca,
            client: OnceLock::new(),
            dialect: OnceCell::new(),
            preferred: AtomicUsize::new(0),
            endpoint,
        };
        Self(Arc::new(server))
    }

    /// The same server with connections of its own: those belong to the runtime that made them.
    pub(super) fn anew(&self) -> Self {
        let replicas = match self.0.replicas {
            Replicas::Auto(_) => None,
            Replicas::Number(number) => Some(number),
        };
        Self::of(self.0.endpoint.clone(), replicas, self.0.ca.clone())
    }
}

impl fmt::Debug for OpenSearch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OpenSearch").field(&self.0.origin.shown).finish()
    }
}

impl Server {
    /// What kind of server it is, after a first look.
    pub async fn dialect(&self) -> Result<Dialect, Fault> {
        let look = async || Dialect::of(&self.send(&Call::get("")).await?, &self.origin);
        self.dialect.get_or_try_init(look).await.copied()
    }

    /// Sends a request to the host that answered last, or to the next one, also when that is the proxy of a node that is
    /// away; to a single host twice, as one that closes an idle connection does so while it is used again. All our
    /// requests may be sent twice.
    pub async fn send(&self, call: &Call) -> Result<Value, Fault> {
        let client = self.client()?;
        let first = self.preferred.load(Ordering::Relaxed);
        let mut failed = Fault::unreadable("anything");
        for n in 0..self.bases.len().max(2) {
            let at = (first + n) % self.bases.len();
            match self.once(&client, &self.bases[at], call).await {
                Err(fault @ Fault::Unreachable(_)) => failed = fault,
                Err(fault) if fault.is_of_the_host() && n + 1 < self.bases.len() => failed = fault,
                done => {
                    self.preferred.store(at, Ordering::Relaxed);
                    return done;
                }
            }
        }
        Err(failed)
    }

    async fn once(&self, client: &Client, base: &str, call: &Call) -> Result<Value, Fault> {
        let mut request = client.request(call.method.clone(), format!("{base}/{}", call.path));
        if !self.user.is_empty() {
            request = request.basic_auth(&self.user, Some(self.password.expose()));
        }
        request = match &call.body {
            Body::Nothing => request,
            Body::Json(body) => request.json(body),
            Body::Lines(lines) => {
                request.header("content-type", "application/x-ndjson").body(lines.clone())
            }
        };
        let answer = request.send().await.map_err(unreachable)?;
        let status = answer.status();
        let bytes = answer.bytes().await.map_err(unreachable)?;
        let body = if bytes.is_empty() { Ok(Value::Null) } else { serde_json::from_slice(&bytes) };
        match body {
            Ok(body) if status.is_success() => Ok(body),
            Ok(body) => Err(Fault::answered(status.as_u16(), &body)),
            // Proxies answer in HTML.
            Err(_) if !status.is_success() => Err(Fault::answered(status.as_u16(), &Value::Null)),
            Err(error) => Err(Fault::Unreadable(format!("its answer isn't JSON: {error}"))),
        }
    }

    fn client(&self) -> Result<Client, Fault> {
        if let Some(client) = self.client.get() {
            return Ok(client.clone());
        }
        let mut builder = Client::builder()
            .user_agent("millstream")
            .connect_timeout(CONNECT_WITHIN)
            .timeout(PATIENCE)
            // Such servers are near; what a proxy would make of them is no use.
            .no_proxy();
        if let Some(ca) = &self.ca {
            let refused = |why: String| {
                let doing = format!("trust the authorities in {}", ca.display());
                let remedy = format!("correct ca in {}", self.origin.key);
                Fault::Told(SinkError::refused(doing, why, remedy))
            };
            let pem = std::fs::read(ca).map_err(|error| refused(error.to_string()))?;
            let known = Certificate::from_pem_bundle(&pem);
            let known = known.map_err(|error| refused(error.to_string()))?;
            if known.is_empty() {
                return Err(refused("there is no certificate in it".to_owned()));
            }
            builder = builder.tls_certs_only(known);
        }
        let client = builder.build().map_err(unreachable)?;
        Ok(self.client.get_or_init(|| client).clone())
    }
}

/// The causes of an error without its URL, which the error's teller names.
fn unreachable(error: reqwest::Error) -> Fault {
    Fault::Unreachable(millstream_engine::chain(&error.without_url()))
}
