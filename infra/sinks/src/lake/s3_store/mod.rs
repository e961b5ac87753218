//! A lake in a bucket of S3, or of any store that speaks S3 and keeps to `If-None-Match`.
//!
//! # Layout
//! - [`S3Store`]: the bucket as a [`Store`].
//! - `options`: what its URL may say. `client`: the connection, and credentials that are renewed.
//! - `upload`: writing, in parts where long. `download`: reading and listing.
//! - `fence`: the check that of several writers one creates, without which a lake would lose its promise.
//! - `faults`: what S3 answers, told by what is to be done about it. `examine`: the bucket, looked at for people.

mod client;
mod download;
mod examine;
mod faults;
mod fence;
mod options;
mod upload;

use std::fmt;
use std::fs::File;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use millstream_config::{Endpoint, Finding};
use millstream_engine::SinkError;
use tokio::sync::{OnceCell, Semaphore};

use self::client::Connection;
use self::faults::{Doing, Fault};
use self::options::Options;
use self::upload::Source;
use super::store::{Listed, Put, Store, Stored, check_path};

/// Tries of what may pass, beyond those that the SDK makes of each request.
const TRIES: u32 = 5;
/// Before the second try at the most; doubles with each.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// A lake in a bucket. Clones share the connection and its bounds.
///
/// Its URL is `s3://bucket[/prefix]`. Credentials come from where AWS's own tools take them: environment, profile,
/// a role of the instance, pod or task. Options:
///
/// | option | meaning |
/// |---|---|
/// | `region=eu-central-1` | else as AWS's tools find it |
/// | `profile=name` | of AWS's configuration files |
/// | `endpoint=http://host:port` | of another store than AWS's; `region` is `us-east-1` then unless named |
/// | `path_style=on` | the bucket in the path, not in the host's name; on where there is an `endpoint`, here or in `AWS_ENDPOINT_URL` |
/// | `ca=file` | PEM of the authorities to be trusted, instead of the system's |
/// | `checksum=off` | CRC32C neither sent nor asked for, for stores that don't know it |
/// | `uploads=8` | requests under way that send data |
/// | `timeout=30` | seconds until a request without data counts as lost; data has more, by its size |
/// | `create=on` | makes the bucket where it is missing: for demos |
///
/// `s3://key@bucket` takes the access key's secret from the endpoint's password.
///
/// Credentials need `s3:ListBucket` on the bucket, `s3:GetObject` and `s3:PutObject` on `prefix/*` and, for parts of long
/// objects, `s3:AbortMultipartUpload`; `s3:DeleteObject` where something but tables is kept (snapshots of recalls). What
/// is under `prefix/_millstream/` is written once and never removed: a policy may forbid it.
#[derive(Clone)]
pub struct S3Store(Arc<Inner>);

struct Inner {
    options: Options,
    connection: Connection,
    uploads: Semaphore,
    fenced: OnceCell<()>,
}

impl S3Store {
    /// Checks the URL; nothing is asked before the first use.
    pub fn new(endpoint: Endpoint) -> Result<Self, SinkError> {
        let options = Options::read(endpoint)?;
        let (connection, uploads) = (Connection::new(&options), Semaphore::new(options.uploads));
        Ok(Self(Arc::new(Inner { options, connection, uploads, fenced: OnceCell::new() })))
    }

    /// The object's key in the bucket.
    fn key(&self, path: &str) -> String {
        match self.0.options.prefix.as_str() {
            "" => path.to_owned(),
            prefix => format!("{prefix}/{path}"),
        }
    }

    fn doing<'a>(&'a self, verb: &'static str, path: &'a str, action: &'static str) -> Doing<'a> {
        Doing { verb, path, action, options: &self.0.options }
    }

    /// Writes, again where others were at the same object.
    async fn put_source(&self, path: &str, source: Source, how: Put) -> Result<Stored, SinkError> {
        check_path(path)?;
        if how == Put::IfAbsent {
            self.0.fenced.get_or_try_init(|| fence::check(self)).await?;
        }
        let mut tries = 0;
        loop {
            match self.upload(path, &source, how).await {
                Ok(stored) => return Ok(stored),
                // The caller tells whether it was a lost reply of ours: it knows what it would have written.
                Err(Fault::Exists) if how == Put::IfAbsent => return Ok(Stored::Exists),
                Err(Fault::Conflict(_) | Fault::Broken(_)) if tries + 1 < TRIES => {}
                Err(fault) => {
                    return Err(fault.into_error(&self.doing("write", path, "s3:PutObject")));
                }
            }
            pause(tries).await;
            tries += 1;
        }
    }
}

#[async_trait]
impl Store for S3Store {
    async fn put(&self, path: &str, bytes: Bytes, how: Put) -> Result<Stored, SinkError> {
        self.put_source(path, Source::Memory(bytes), how).await
    }

    async fn get(&self, path: &str) -> Result<Option<Bytes>, SinkError> {
        self.read(path, None).await
    }

    async fn list(
        &self,
        prefix: &str,
        start_after: Option<&str>,
        max: usize,
    ) -> Result<Vec<Listed>, SinkError> {
        check_path(prefix.trim_end_matches('/'))?;
        self.list_after(prefix, start_after.unwrap_or_default(), max).await
    }

    async fn get_range(&self, path: &str, range: Range<u64>) -> Result<Option<Bytes>, SinkError> {
        self.read(path, Some(range)).await
    }

    async fn put_file(&self, path: &str, file: File, how: Put) -> Result<Stored, SinkError> {
        let source = Source::rest_of(file).await;
        let source = source.map_err(|error| {
            SinkError::unavailable(format!("read the file that becomes {path}"), error)
        })?;
        self.put_source(path, source, how).await
    }

    async fn open(&self, path: &str) -> Result<Option<File>, SinkError> {
        self.read_to_file(path).await
    }

    async fn remove(&self, path: &str) -> Result<(), SinkError> {
        check_path(path)?;
        let doing = self.doing("remove", path, "s3:DeleteObject");
        let client = self.0.connection.client().await?;
        let (bucket, key) = (&self.0.options.bucket, self.key(path));
        match client.delete_object().bucket(bucket).key(key).send().await {
            Ok(_) => Ok(()),
            Err(error) => match self.0.connection.fault(error, &doing).await {
                Fault::Absent => Ok(()),
                fault => Err(fault.into_error(&doing)),
            },
        }
    }

    async fn examine(&self) -> Vec<Finding> {
        self.look().await
    }

    fn place(&self) -> String {
        self.0.options.place()
    }
}

impl fmt::Debug for S3Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "S3Store({})", self.place())
    }
}

/// Waits for a random part of a time that doubles with each try: those who met once don't meet again.
async fn pause(tries: u32) {
    let longest = FIRST_PAUSE.saturating_mul(1 << tries.min(8));
    tokio::time::sleep(longest.mul_f64(rand::random_range(0.2..=1.0))).await;
}
