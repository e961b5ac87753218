use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::config::{Credentials, SharedHttpClient};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use millstream_config::{Endpoint, EndpointError, Secret};
use openssl::x509::X509;
use tokio::sync::Mutex;

use crate::AwsError;

/// Of each request, the SDK's: throttling, 500, timeouts, connections that were reset.
const ATTEMPTS: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const TIMEOUT_S: u64 = 30;
/// Where AWS's own region of that name is not meant, its name has to be something all the same.
const ELSEWHERE: &str = "us-east-1";
const CREDENTIALS: &str = "leave them out: they are taken from the environment, a profile or a role, as by AWS's own tools";
/// X.509 counts its versions from 0.
const V3: i32 = 2;

/// Whose AWS it is and how it is reached. Clones share connections.
#[derive(Clone)]
pub(crate) struct Account(Arc<Inner>);

struct Inner {
    region: Option<String>,
    profile: Option<String>,
    endpoint: Option<String>,
    /// PEM of the authorities to be trusted.
    ca: Option<Vec<u8>>,
    timeout: Duration,
    keys: Option<(String, Secret)>,
    setting: String,
    /// Made when first used, and anew once the credentials were no good.
    config: Mutex<Option<SdkConfig>>,
}

impl Account {
    /// What AWS's own tools would take.
    pub fn ambient(setting: &str) -> Self {
        Self(Arc::new(Inner {
            region: None,
            profile: None,
            endpoint: None,
            ca: None,
            timeout: Duration::from_secs(TIMEOUT_S),
            keys: None,
            setting: setting.to_owned(),
            config: Mutex::default(),
        }))
    }

    /// The options of a URL that say so.
    pub fn take(url: &mut Endpoint) -> Result<Self, EndpointError> {
        let endpoint = url.take("endpoint");
        if let Some(endpoint) = &endpoint {
            check_endpoint(url, endpoint)?;
        }
        let ca = match url.take("ca") {
            Some(file) => Some(authorities(url, Path::new(&file))?),
            None => None,
        };
        let timeout = url.take_number("timeout", "a number of seconds")?.unwrap_or(TIMEOUT_S);
        if timeout == 0 {
            return Err(url.refused("timeout can't be 0", "leave it out, or say 1"));
        }
        Ok(Self(Arc::new(Inner {
            region: url.take("region"),
            profile: url.take("profile"),
            endpoint,
            ca,
            timeout: Duration::from_secs(timeout),
            keys: keys(url)?,
            setting: url.key.clone(),
            config: Mutex::default(),
        })))
    }

    /// The setting it comes from, for messages.
    pub fn setting(&self) -> &str {
        &self.0.setting
    }

    /// Forgets the credentials: AWS's files, environment and processes are read again.
    pub async fn forget(&self) {
        *self.0.config.lock().await = None;
    }

    /// What clients are made of. Asks nothing but what credentials need.
    pub async fn config(&self) -> Result<SdkConfig, AwsError> {
        let mut config = self.0.config.lock().await;
        if let Some(config) = config.as_ref() {
            return Ok(config.clone());
        }
        let made = self.0.load().await?;
        *config = Some(made.clone());
        Ok(made)
    }

    /// The region that is asked, as far as it is known.
    pub async fn region(&self) -> Result<String, AwsError> {
        let config = self.config().await?;
        Ok(config.region().map_or(ELSEWHERE, Region::as_ref).to_owned())
    }

    /// Whether another API than AWS's own is asked.
    pub async fn is_elsewhere(&self) -> Result<bool, AwsError> {
        Ok(self.config().await?.endpoint_url().is_some())
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Account({})", self.0.setting)
    }
}

impl Inner {
    async fn load(&self) -> Result<SdkConfig, AwsError> {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .operation_attempt_timeout(self.timeout)
            .build();
        let retries = RetryConfig::standard()
            .with_max_attempts(ATTEMPTS)
            .with_initial_backoff(FIRST_PAUSE)
            .with_max_backoff(LONGEST_PAUSE);
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(self.http_client()?)
            .timeout_config(timeouts)
            .retry_config(retries);
        let elsewhere = self.endpoint.as_ref().map(|_| ELSEWHERE.to_owned());
        if let Some(region) = self.region.clone().or(elsewhere) {
            loader = loader.region(Region::new(region));
        }
        if let Some(profile) = &self.profile {
            loader = loader.profile_name(profile);
        }
        if let Some(endpoint) = &self.endpoint {
            loader = loader.endpoint_url(endpoint);
        }
        if let Some((key, secret)) = &self.keys {
            let keys = Credentials::new(key, secret.expose(), None, None, "setting");
            loader = loader.credentials_provider(keys);
        }
        let config = loader.load().await;
        match config.region() {
            Some(_) => Ok(config),
            None => Err(AwsError::refused(
                "find AWS",
                "no region is configured",
                format!("add region=… to {}, or set AWS_REGION", self.setting),
            )),
        }
    }

    fn http_client(&self) -> Result<SharedHttpClient, AwsError> {
        let trusted = match &self.ca {
            Some(pem) => TrustStore::empty().with_pem_certificate(pem.clone()),
            None => TrustStore::default(),
        };
        let context = TlsContext::builder().with_trust_store(trusted).build();
        let context = context.map_err(|error| {
            let remedy = format!("correct ca=… of {}", self.setting);
            AwsError::refused("set up TLS for AWS", error.to_string(), remedy)
        })?;
        Ok(Builder::new()
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .tls_context(context)
            .build_https())
    }
}

fn check_endpoint(url: &Endpoint, endpoint: &str) -> Result<(), EndpointError> {
    let host = endpoint.strip_prefix("https://").or_else(|| endpoint.strip_prefix("http://"));
    match host {
        Some(host) if host.contains('@') => {
            Err(url.refused("its endpoint holds credentials", CREDENTIALS))
        }
        Some(host) if !host.is_empty() && !host.contains(char::is_whitespace) => Ok(()),
        _ => {
            let why = format!("endpoint={endpoint} is no address");
            Err(url.refused(why, "write endpoint=https://host[:port]"))
        }
    }
}

fn keys(url: &Endpoint) -> Result<Option<(String, Secret)>, EndpointError> {
    match (url.user.is_empty(), url.password.is_empty()) {
        (true, _) => Ok(None),
        (false, false) => Ok(Some((url.user.clone(), url.password.clone()))),
        (false, true) => {
            let why = format!("it names access key {} without its secret", url.user);
            Err(url.refused(why, CREDENTIALS))
        }
    }
}

/// A file of certificates, checked: the TLS library takes bad ones for a bug and panics.
fn authorities(url: &Endpoint, file: &Path) -> Result<Vec<u8>, EndpointError> {
    let shown = file.display();
    let remedy = || "name a PEM file with the authorities' X.509 v3 certificates".to_owned();
    let pem = std::fs::read(file)
        .map_err(|error| url.refused(format!("read ca={shown}: {error}"), remedy()))?;
    let certificates = X509::stack_from_pem(&pem)
        .map_err(|error| url.refused(format!("ca={shown} is no PEM: {error}"), remedy()))?;
    if certificates.is_empty() || certificates.iter().any(|one| one.version() != V3) {
        return Err(url.refused(format!("ca={shown} has none, or others"), remedy()));
    }
    Ok(pem)
}
