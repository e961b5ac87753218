use std::path::Path;
use std::time::Duration;

use millstream_config::{Endpoint, EndpointError, Secret};
use millstream_engine::SinkError;
use openssl::x509::X509;

/// Requests under way that send data, unless the URL says otherwise.
const UPLOADS: usize = 8;
/// S3's own waiting for slow writers is of this order.
const TIMEOUT_S: u64 = 30;
const CREDENTIALS: &str = "leave them out: they are taken from the environment, a profile or a role, as by AWS's own tools";
/// X.509 counts its versions from 0.
const V3: i32 = 2;

/// What a bucket's URL says.
#[derive(Clone)]
pub(super) struct Options {
    pub bucket: String,
    /// Of all keys; without slashes around it, empty for none.
    pub prefix: String,
    pub region: Option<String>,
    pub profile: Option<String>,
    pub endpoint: Option<String>,
    /// `None`: where the store is not AWS's own.
    pub path_style: Option<bool>,
    /// PEM of the authorities to be trusted.
    pub ca: Option<Vec<u8>>,
    pub checksum: bool,
    pub uploads: usize,
    /// Of a request without data.
    pub timeout: Duration,
    pub create: bool,
    /// Access key and its secret; `None`: as AWS's tools find them.
    pub keys: Option<(String, Secret)>,
    /// The setting that it comes from, for messages.
    pub setting: String,
}

impl Options {
    pub fn read(mut url: Endpoint) -> Result<Self, SinkError> {
        let shown = format!("s3://{}", url.hosts.first().map_or("", |(host, _)| host.as_str()));
        Self::take(&mut url).map_err(|error| refused(&shown, error))
    }

    fn take(url: &mut Endpoint) -> Result<Self, EndpointError> {
        let bucket = bucket(url)?;
        let endpoint = url.take("endpoint");
        if let Some(endpoint) = &endpoint {
            check_endpoint(url, endpoint)?;
        }
        let ca = match url.take("ca") {
            Some(file) => Some(authorities(url, Path::new(&file))?),
            None => None,
        };
        let uploads = url.take_number("uploads", "a number of requests")?;
        let timeout = url.take_number("timeout", "a number of seconds")?;
        if uploads == Some(0) || timeout == Some(0) {
            return Err(url.refused("uploads and timeout can't be 0", "leave it out, or say 1"));
        }
        let options = Self {
            bucket,
            prefix: url.path.trim_matches('/').to_owned(),
            region: url.take("region"),
            profile: url.take("profile"),
            path_style: url.take_switch("path_style")?,
            endpoint,
            ca,
            checksum: url.take_switch("checksum")?.unwrap_or(true),
            uploads: uploads.unwrap_or(UPLOADS),
            timeout: Duration::from_secs(timeout.unwrap_or(TIMEOUT_S)),
            create: url.take_switch("create")?.unwrap_or(false),
            keys: keys(url)?,
            setting: url.key.clone(),
        };
        url.all_taken()?;
        if options.prefix.split('/').any(|part| matches!(part, "." | ".."))
            || options.prefix.contains("//")
        {
            return Err(url.refused("its prefix has empty parts or dots", "write s3://bucket/a/b"));
        }
        Ok(options)
    }

    /// Where it is, for people to read.
    pub fn place(&self) -> String {
        let slash = if self.prefix.is_empty() { "" } else { "/" };
        format!("s3://{}{slash}{}", self.bucket, self.prefix)
    }

    /// What a policy calls the object, or the bucket for an empty path.
    pub fn resource(&self, path: &str) -> String {
        let parts = [self.bucket.as_str(), &self.prefix, path];
        let parts: Vec<_> = match path {
            "" => vec![self.bucket.as_str()],
            _ => parts.into_iter().filter(|part| !part.is_empty()).collect(),
        };
        format!("arn:aws:s3:::{}", parts.join("/"))
    }
}

fn bucket(url: &Endpoint) -> Result<String, EndpointError> {
    let shape =
        "write s3://bucket[/prefix], and another store's address as endpoint=http://host:port";
    match url.hosts.as_slice() {
        // Its listings are in no order.
        [(bucket, _)] if bucket.ends_with("--x-s3") => Err(url
            .refused("a directory bucket doesn't list in order", "name a general purpose bucket")),
        [(bucket, _)] if bucket.len() >= 3 => Ok(bucket.clone()),
        _ => Err(url.refused("it names no bucket", shape)),
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

fn refused(shown: &str, error: EndpointError) -> SinkError {
    let EndpointError { key, why, remedy } = error;
    SinkError::refused(format!("read {key} ({shown}…)"), why, remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str, password: &str) -> Result<Options, SinkError> {
        let endpoint = Endpoint::parse("stores.lake", url, Secret::new(password), 443);
        Options::read(endpoint.map_err(|error| refused("", error))?)
    }

    #[test]
    fn a_url_says_where_and_how() {
        let plain = read("s3://my.bucket-1", "").unwrap();
        assert_eq!((plain.place().as_str(), plain.path_style), ("s3://my.bucket-1", None));
        assert_eq!((plain.uploads, plain.checksum, plain.create), (UPLOADS, true, false));
        assert_eq!(plain.resource(""), "arn:aws:s3:::my.bucket-1");
        let options = read(
            "s3://bucket/a/b/?region=eu-central-1&endpoint=http://127.0.0.1:7070&checksum=off&uploads=2&timeout=3&create=on",
            "",
        )
        .unwrap();
        assert_eq!(options.place(), "s3://bucket/a/b");
        assert_eq!(options.resource("t/x"), "arn:aws:s3:::bucket/a/b/t/x");
        assert_eq!(options.endpoint.as_deref(), Some("http://127.0.0.1:7070"));
        assert!(options.create && !options.checksum);
        assert_eq!((options.uploads, options.timeout), (2, Duration::from_secs(3)));
        let own = read("s3://bucket?endpoint=https://s3.example&path_style=off", "").unwrap();
        assert_eq!(own.path_style, Some(false));
    }

    #[test]
    fn mistakes_are_named_with_the_setting() {
        for (url, expected) in [
            ("s3://b", "no bucket"),
            ("s3://one,two", "no bucket"),
            ("s3://bucket/a/../b", "dots"),
            ("s3://bucket--use1-az4--x-s3", "general purpose"),
            ("s3://bucket?endpoint=localhost:7070", "no address"),
            ("s3://bucket?endpoint=http://key:hidden@host", "leave them out"),
            ("s3://bucket?regoin=x", "\"region\""),
            ("s3://bucket?uploads=0", "can't be 0"),
            ("s3://bucket?checksum=maybe", "on or off"),
            ("s3://bucket?ca=/nowhere/ca.pem", "ca=/nowhere/ca.pem"),
            ("s3://key@bucket", "leave them out"),
        ] {
            let Err(error) = read(url, "") else { panic!("{url} was taken") };
            let told = error.to_string();
            assert!(told.contains(expected) && told.contains("stores.lake"), "{url}: {told}");
            assert!(!told.contains("hidden"), "{told}");
        }
    }

    #[test]
    fn a_key_has_its_secret_beside_the_url() {
        let options = read("s3://key@bucket", "hidden").unwrap();
        let (key, secret) = options.keys.clone().unwrap();
        assert_eq!((key.as_str(), secret.expose()), ("key", "hidden"));
        assert!(read("s3://bucket", "unused").unwrap().keys.is_none());
    }

    #[test]
    fn a_file_without_certificates_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("ca.pem");
        std::fs::write(&file, "no certificate").unwrap();
        let error = read(&format!("s3://bucket?ca={}", file.display()), "").err().unwrap();
        assert!(error.to_string().contains("PEM"), "{error}");
    }
}
