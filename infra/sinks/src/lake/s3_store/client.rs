use std::fmt;

use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::{
    Credentials, RequestChecksumCalculation, ResponseChecksumValidation, SharedHttpClient,
};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::types::{BucketLocationConstraint, CreateBucketConfiguration};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use millstream_engine::SinkError;
use std::time::Duration;
use tokio::sync::{Mutex, OnceCell};

use super::faults::{Doing, Fault};
use super::options::Options;

/// Of each request, the SDK's: 503 SlowDown, 500, timeouts, connections that were reset.
const ATTEMPTS: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Where AWS's own region of that name is not meant, its name has to be something all the same.
const ELSEWHERE: &str = "us-east-1";

/// The way to a bucket. Made when first used, and anew once the credentials were no good: AWS's files, environment and
/// processes are read again then.
pub(super) struct Connection {
    options: Options,
    client: Mutex<Option<Client>>,
    /// `create=on` was seen to.
    bucket: OnceCell<()>,
}

impl Connection {
    pub fn new(options: &Options) -> Self {
        Self { options: options.clone(), client: Mutex::default(), bucket: OnceCell::new() }
    }

    /// Asks nothing but what credentials and `create=on` need.
    pub async fn client(&self) -> Result<Client, SinkError> {
        let client = self.connected().await?;
        if self.options.create {
            self.bucket.get_or_try_init(|| self.create_bucket(&client)).await?;
        }
        Ok(client)
    }

    /// What an error means. Credentials that were no good are forgotten.
    pub async fn fault<E>(&self, error: SdkError<E>, doing: &Doing<'_>) -> Fault
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let fault = Fault::of(error, doing);
        if matches!(fault, Fault::Credentials(_)) {
            *self.client.lock().await = None;
        }
        fault
    }

    async fn connected(&self) -> Result<Client, SinkError> {
        let mut client = self.client.lock().await;
        if let Some(client) = client.as_ref() {
            return Ok(client.clone());
        }
        let made = connect(&self.options).await?;
        *client = Some(made.clone());
        Ok(made)
    }

    async fn create_bucket(&self, client: &Client) -> Result<(), SinkError> {
        let bucket = &self.options.bucket;
        let looking =
            Doing { verb: "find", path: "", action: "s3:ListBucket", options: &self.options };
        // A HEAD's answer doesn't say what is wrong.
        match client.list_objects_v2().bucket(bucket).max_keys(1).send().await {
            Ok(_) => return Ok(()),
            Err(error) => match self.fault(error, &looking).await {
                Fault::NoBucket(_) => {}
                fault => return Err(fault.into_error(&looking)),
            },
        }
        let region = client.config().region().map_or(ELSEWHERE, Region::as_ref).to_owned();
        // The first region is none, as a constraint.
        let place = (region != ELSEWHERE).then(|| {
            let constraint = BucketLocationConstraint::from(region.as_str());
            CreateBucketConfiguration::builder().location_constraint(constraint).build()
        });
        let creating =
            Doing { verb: "create", path: "", action: "s3:CreateBucket", options: &self.options };
        let made =
            client.create_bucket().bucket(bucket).set_create_bucket_configuration(place).send();
        match made.await {
            Ok(_) => {
                tracing::info!(bucket, region, "created the lake's bucket");
                Ok(())
            }
            // By another worker meanwhile, or by a reply that was lost.
            Err(error) if error.code() == Some("BucketAlreadyOwnedByYou") => Ok(()),
            Err(error) => Err(self.fault(error, &creating).await.into_error(&creating)),
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connection({})", self.options.place())
    }
}

async fn connect(options: &Options) -> Result<Client, SinkError> {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(options.access.timeout)
        .build();
    let retries = RetryConfig::standard()
        .with_max_attempts(ATTEMPTS)
        .with_initial_backoff(FIRST_PAUSE)
        .with_max_backoff(LONGEST_PAUSE);
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http_client(options)?)
        .timeout_config(timeouts)
        .retry_config(retries);
    let elsewhere = options.access.endpoint.as_ref().map(|_| ELSEWHERE.to_owned());
    if let Some(region) = options.access.region.clone().or(elsewhere) {
        loader = loader.region(Region::new(region));
    }
    if let Some(profile) = &options.access.profile {
        loader = loader.profile_name(profile);
    }
    if let Some((key, secret)) = &options.access.keys {
        let keys = Credentials::new(key, secret.expose(), None, None, "setting");
        loader = loader.credentials_provider(keys);
    }
    let shared = loader.load().await;
    if shared.region().is_none() {
        return Err(SinkError::refused(
            format!("connect to {}", options.place()),
            "no region is configured",
            format!("add region=… to {}, or set AWS_REGION", options.access.setting),
        ));
    }
    let elsewhere = options.access.endpoint.is_some() || shared.endpoint_url().is_some();
    let mut config = aws_sdk_s3::config::Builder::from(&shared)
        .force_path_style(options.path_style.unwrap_or(elsewhere));
    if let Some(endpoint) = &options.access.endpoint {
        config = config.endpoint_url(endpoint);
    }
    if !options.checksum {
        config = config
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
    }
    Ok(Client::from_conf(config.build()))
}

fn http_client(options: &Options) -> Result<SharedHttpClient, SinkError> {
    let trusted = match &options.access.ca {
        Some(pem) => TrustStore::empty().with_pem_certificate(pem.clone()),
        None => TrustStore::default(),
    };
    let context = TlsContext::builder().with_trust_store(trusted).build();
    let context = context.map_err(|error| {
        SinkError::refused(
            format!("set up TLS for {}", options.place()),
            error.to_string(),
            format!("correct ca=… of {}", options.access.setting),
        )
    })?;
    Ok(Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .tls_context(context)
        .build_https())
}
