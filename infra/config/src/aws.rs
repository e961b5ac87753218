use std::path::Path;
use std::time::Duration;

use openssl::x509::X509;

use crate::{Endpoint, EndpointError, Secret};

/// Of a request; S3's own waiting for slow writers is of this order.
const TIMEOUT: Duration = Duration::from_secs(30);
const CREDENTIALS: &str = "leave them out: they are taken from the environment, a profile or a role, as by AWS's own tools";
/// X.509 counts its versions from 0.
const V3: i32 = 2;

/// Whose AWS a URL means and how it is reached: its user, and its options `region`, `profile`, `endpoint`, `ca` and
/// `timeout`.
#[derive(Clone, Debug)]
pub struct AwsAccess {
    pub region: Option<String>,
    pub profile: Option<String>,
    /// Another API than AWS's own.
    pub endpoint: Option<String>,
    /// PEM of the authorities to be trusted; `None`: those of the system.
    pub ca: Option<Vec<u8>>,
    /// Of a request.
    pub timeout: Duration,
    /// Access key and its secret; `None`: as AWS's tools find them.
    pub keys: Option<(String, Secret)>,
    /// The setting that it comes from, for messages.
    pub setting: String,
}

impl AwsAccess {
    /// What AWS's own tools would take.
    pub fn ambient(setting: &str) -> Self {
        Self {
            region: None,
            profile: None,
            endpoint: None,
            ca: None,
            timeout: TIMEOUT,
            keys: None,
            setting: setting.to_owned(),
        }
    }

    /// What the URL says of it. Reads the file of authorities.
    pub fn take(url: &mut Endpoint) -> Result<Self, EndpointError> {
        let endpoint = url.take("endpoint");
        if let Some(endpoint) = &endpoint {
            check_endpoint(url, endpoint)?;
        }
        let ca = match url.take("ca") {
            Some(file) => Some(authorities(url, Path::new(&file))?),
            None => None,
        };
        let timeout = url.take_number("timeout", "a number of seconds")?.map(Duration::from_secs);
        if timeout == Some(Duration::ZERO) {
            return Err(url.refused("timeout can't be 0", "leave it out, or say 1"));
        }
        Ok(Self {
            region: url.take("region"),
            profile: url.take("profile"),
            endpoint,
            ca,
            timeout: timeout.unwrap_or(TIMEOUT),
            keys: keys(url)?,
            setting: url.key.clone(),
        })
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

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str, password: &str) -> Result<AwsAccess, EndpointError> {
        let mut url = Endpoint::parse("stores.lake", url, Secret::new(password), 443)?;
        AwsAccess::take(&mut url)
    }

    #[test]
    fn a_url_says_whose_and_where() {
        let plain = read("s3://bucket", "").unwrap();
        assert_eq!((plain.timeout, plain.region, plain.endpoint), (TIMEOUT, None, None));
        let other =
            read("s3://bucket?region=eu-central-1&endpoint=http://127.0.0.1:7070&timeout=3", "");
        let other = other.unwrap();
        assert_eq!(other.region.as_deref(), Some("eu-central-1"));
        assert_eq!(other.endpoint.as_deref(), Some("http://127.0.0.1:7070"));
        assert_eq!(other.timeout, Duration::from_secs(3));
    }

    #[test]
    fn mistakes_are_named_with_the_setting() {
        for (url, expected) in [
            ("s3://bucket?endpoint=localhost:7070", "no address"),
            ("s3://bucket?endpoint=http://key:hidden@host", "leave them out"),
            ("s3://bucket?timeout=0", "can't be 0"),
            ("s3://bucket?timeout=soon", "a number of seconds"),
            ("s3://bucket?ca=/nowhere/ca.pem", "ca=/nowhere/ca.pem"),
            ("s3://key@bucket", "leave them out"),
        ] {
            let told = read(url, "").unwrap_err().to_string();
            assert!(told.contains(expected) && told.contains("stores.lake"), "{url}: {told}");
            assert!(!told.contains("hidden"), "{told}");
        }
    }

    #[test]
    fn a_key_has_its_secret_beside_the_url() {
        let (key, secret) = read("s3://key@bucket", "hidden").unwrap().keys.unwrap();
        assert_eq!((key.as_str(), secret.expose()), ("key", "hidden"));
        assert!(read("s3://bucket", "unused").unwrap().keys.is_none());
    }

    #[test]
    fn a_file_without_certificates_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("ca.pem");
        std::fs::write(&file, "no certificate").unwrap();
        let error = read(&format!("s3://bucket?ca={}", file.display()), "").unwrap_err();
        assert!(error.to_string().contains("PEM"), "{error}");
    }
}
