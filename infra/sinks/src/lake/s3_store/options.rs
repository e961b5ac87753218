use millstream_config::{AwsAccess, Endpoint, EndpointError};
use millstream_engine::SinkError;

/// Requests under way that send data, unless the URL says otherwise.
const UPLOADS: usize = 8;

/// What a bucket's URL says.
#[derive(Clone)]
pub(super) struct Options {
    pub bucket: String,
    /// Of all keys; without slashes around it, empty for none.
    pub prefix: String,
    pub access: AwsAccess,
    /// `None`: where the store is not AWS's own.
    pub path_style: Option<bool>,
    pub checksum: bool,
    pub uploads: usize,
    pub create: bool,
}

impl Options {
    pub fn read(mut url: Endpoint) -> Result<Self, SinkError> {
        let shown = format!("s3://{}", url.hosts.first().map_or("", |(host, _)| host.as_str()));
        Self::take(&mut url).map_err(|error| refused(&shown, error))
    }

    fn take(url: &mut Endpoint) -> Result<Self, EndpointError> {
        let bucket = bucket(url)?;
        let uploads = url.take_number("uploads", "a number of requests")?;
        if uploads == Some(0) {
            return Err(url.refused("uploads can't be 0", "leave it out, or say 1"));
        }
        let options = Self {
            bucket,
            prefix: url.path.trim_matches('/').to_owned(),
            access: AwsAccess::take(url)?,
            path_style: url.take_switch("path_style")?,
            checksum: url.take_switch("checksum")?.unwrap_or(true),
            uploads: uploads.unwrap_or(UPLOADS),
            create: url.take_switch("create")?.unwrap_or(false),
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

fn refused(shown: &str, error: EndpointError) -> SinkError {
    let EndpointError { key, why, remedy } = error;
    SinkError::refused(format!("read {key} ({shown}…)"), why, remedy)
}

#[cfg(test)]
mod tests {
    use millstream_config::Secret;

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
            "s3://bucket/a/b/?region=eu-central-1&endpoint=http://127.0.0.1:7070&checksum=off&uploads=2&create=on",
            "",
        )
        .unwrap();
        assert_eq!(options.place(), "s3://bucket/a/b");
        assert_eq!(options.resource("t/x"), "arn:aws:s3:::bucket/a/b/t/x");
        assert_eq!(options.access.endpoint.as_deref(), Some("http://127.0.0.1:7070"));
        assert!(options.create && !options.checksum);
        assert_eq!(options.uploads, 2);
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
            ("s3://bucket?regoin=x", "\"region\""),
            ("s3://bucket?uploads=0", "can't be 0"),
            ("s3://bucket?checksum=maybe", "on or off"),
            ("s3://key@bucket", "leave them out"),
        ] {
            let Err(error) = read(url, "") else { panic!("{url} was taken") };
            let told = error.to_string();
            assert!(told.contains(expected) && told.contains("stores.lake"), "{url}: {told}");
        }
    }
}
