use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::config::{Credentials, SharedHttpClient};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use millstream_config::{AwsAccess, Endpoint, EndpointError};
use tokio::sync::Mutex;

use crate::AwsError;

/// Of each request, the SDK's: throttling, 500, timeouts, connections that were reset.
const ATTEMPTS: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Where AWS's own region of that name is not meant, its name has to be something all the same.
const ELSEWHERE: &str = "us-east-1";

/// Whose AWS it is and how it is reached. Clones share connections.
#[derive(Clone)]
pub(crate) struct Account(Arc<Inner>);

struct Inner {
    access: AwsAccess,
    /// Made when first used, and anew once the credentials were no good.
    config: Mutex<Option<SdkConfig>>,
}

impl Account {
    /// What AWS's own tools would take.
    pub fn ambient(setting: &str) -> Self {
        Self::of(AwsAccess::ambient(setting))
    }

    /// The options of a URL that say so.
    pub fn take(url: &mut Endpoint) -> Result<Self, EndpointError> {
        AwsAccess::take(url).map(Self::of)
    }

    fn of(access: AwsAccess) -> Self {
        Self(Arc::new(Inner { access, config: Mutex::default() }))
    }

    /// The setting it comes from, for messages.
    pub fn setting(&self) -> &str {
        &self.0.access.setting
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
        write!(f, "Account({})", self.0.access.setting)
    }
}

impl Inner {
    async fn load(&self) -> Result<SdkConfig, AwsError> {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .operation_attempt_timeout(self.access.timeout)
            .build();
        let retries = RetryConfig::standard()
            .with_max_attempts(ATTEMPTS)
            .with_initial_backoff(FIRST_PAUSE)
            .with_max_backoff(LONGEST_PAUSE);
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(self.http_client()?)
            .timeout_config(timeouts)
            .retry_config(retries);
        let elsewhere = self.access.endpoint.as_ref().map(|_| ELSEWHERE.to_owned());
        if let Some(region) = self.access.region.clone().or(elsewhere) {
            loader = loader.region(Region::new(region));
        }
        if let Some(profile) = &self.access.profile {
            loader = loader.profile_name(profile);
        }
        if let Some(endpoint) = &self.access.endpoint {
            loader = loader.endpoint_url(endpoint);
        }
        if let Some((key, secret)) = &self.access.keys {
            let keys = Credentials::new(key, secret.expose(), None, None, "setting");
            loader = loader.credentials_provider(keys);
        }
        let config = loader.load().await;
        match config.region() {
            Some(_) => Ok(config),
            None => Err(AwsError::refused(
                "find AWS",
                "no region is configured",
                format!("add region=… to {}, or set AWS_REGION", self.access.setting),
            )),
        }
    }

    fn http_client(&self) -> Result<SharedHttpClient, AwsError> {
        let trusted = match &self.access.ca {
            Some(pem) => TrustStore::empty().with_pem_certificate(pem.clone()),
            None => TrustStore::default(),
        };
        let context = TlsContext::builder().with_trust_store(trusted).build();
        let context = context.map_err(|error| {
            let remedy = format!("correct ca=… of {}", self.access.setting);
            AwsError::refused("set up TLS for AWS", error.to_string(), remedy)
        })?;
        Ok(Builder::new()
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .tls_context(context)
            .build_https())
    }
}
