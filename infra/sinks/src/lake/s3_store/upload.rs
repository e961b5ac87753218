use std::fs::File;
use std::io::{self, Seek};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::operation::complete_multipart_upload::builders::CompleteMultipartUploadFluentBuilder;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart};
use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};
use millstream_engine::SinkError;
use tokio::sync::SemaphorePermit;

use super::faults::{Doing, Fault};
use super::{S3Store, pause};
use crate::lake::store::{Put, Stored};

/// Bytes of an object that goes in one request.
const WHOLE: u64 = 64 << 20;
/// Bytes of the parts of longer ones: so many are in memory per upload under way.
const PART: u64 = 16 << 20;
/// Bytes a second that the slowest line gives each upload.
const SLOWEST: u64 = 256 << 10;
const ABSENT: &str = "*";
/// Of one upload; S3 answers the last one that there is none.
const ABORTS: u32 = 4;

/// What is to be written.
pub(super) enum Source {
    Memory(Bytes),
    /// From `start` on.
    File {
        file: Arc<File>,
        start: u64,
        len: u64,
    },
}

impl Source {
    /// From where it stands.
    pub async fn rest_of(mut file: File) -> io::Result<Self> {
        let measured = tokio::task::spawn_blocking(move || {
            let start = file.stream_position()?;
            let len = file.metadata()?.len().saturating_sub(start);
            Ok(Self::File { file: Arc::new(file), start, len })
        });
        measured.await.map_err(io::Error::other)?
    }

    fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File { len, .. } => *len,
        }
    }

    async fn part(&self, at: u64, len: u64) -> io::Result<Bytes> {
        match self {
            Self::Memory(bytes) => Ok(bytes.slice(at as usize..(at + len) as usize)),
            Self::File { file, start, .. } => {
                let (file, from) = (file.clone(), start + at);
                let read = tokio::task::spawn_blocking(move || {
                    let mut bytes = vec![0; len as usize];
                    file.read_exact_at(&mut bytes, from)?;
                    Ok(bytes.into())
                });
                read.await.map_err(io::Error::other)?
            }
        }
    }
}

impl S3Store {
    /// Writes once.
    pub(super) async fn upload(
        &self,
        path: &str,
        source: &Source,
        how: Put,
    ) -> Result<Stored, Fault> {
        let client = self.0.connection.client().await.map_err(Fault::Other)?;
        match source.len() {
            ..=WHOLE => self.upload_whole(&client, path, source, how).await,
            _ => self.upload_parts(&client, path, source, how).await,
        }
    }

    async fn upload_whole(
        &self,
        client: &Client,
        path: &str,
        source: &Source,
        how: Put,
    ) -> Result<Stored, Fault> {
        let doing = self.doing("write", path, "s3:PutObject");
        let _permit = self.permit(&doing).await?;
        let bytes = source.part(0, source.len()).await.map_err(|error| unread(error, &doing))?;
        let config = self.patience(bytes.len() as u64);
        let sent = client
            .put_object()
            .bucket(&self.0.options.bucket)
            .key(self.key(path))
            .set_if_none_match((how == Put::IfAbsent).then(|| ABSENT.to_owned()))
            .set_checksum_algorithm(self.checksum())
            .body(ByteStream::from(bytes))
            .customize()
            .config_override(config)
            .send();
        match sent.await {
            Ok(_) => Ok(Stored::Created),
            Err(error) => Err(self.0.connection.fault(error, &doing).await),
        }
    }

    /// Nothing is seen of it before it is complete; `If-None-Match` is asked then.
    async fn upload_parts(
        &self,
        client: &Client,
        path: &str,
        source: &Source,
        how: Put,
    ) -> Result<Stored, Fault> {
        if how == Put::IfAbsent && self.is_there(client, path).await? {
            return Err(Fault::Exists);
        }
        let mut upload = self.begin(client, path).await?;
        let begins = (0..source.len()).step_by(PART as usize);
        let sent = (1..).zip(begins).map(|(number, at)| {
            let len = PART.min(source.len() - at);
            self.upload_part(&upload, path, source, number, at, len)
        });
        // Each waits for its turn before it reads its bytes.
        let sent: Vec<_> = sent.collect();
        let parts = stream::iter(sent).buffered(self.0.options.uploads);
        let parts: Vec<CompletedPart> = parts.try_collect().await?;
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let doing = self.doing("complete", path, "s3:PutObject");
        let completing = upload
            .complete()
            .set_if_none_match((how == Put::IfAbsent).then(|| ABSENT.to_owned()))
            .multipart_upload(parts)
            .customize()
            // S3 puts the parts together before it answers.
            .config_override(self.patience(source.len()));
        match completing.send().await {
            Ok(_) => {
                upload.is_done = true;
                Ok(Stored::Created)
            }
            Err(error) => Err(self.0.connection.fault(error, &doing).await),
        }
    }

    async fn begin(&self, client: &Client, path: &str) -> Result<Upload, Fault> {
        let doing = self.doing("begin to write", path, "s3:PutObject");
        let (bucket, key) = (self.0.options.bucket.clone(), self.key(path));
        let begun = client
            .create_multipart_upload()
            .bucket(&bucket)
            .key(&key)
            .set_checksum_algorithm(self.checksum())
            .send();
        let begun = match begun.await {
            Ok(begun) => begun,
            Err(error) => return Err(self.0.connection.fault(error, &doing).await),
        };
        let id = begun.upload_id.unwrap_or_default();
        Ok(Upload { client: client.clone(), bucket, key, id, is_done: false })
    }

    async fn upload_part(
        &self,
        upload: &Upload,
        path: &str,
        source: &Source,
        number: i32,
        at: u64,
        len: u64,
    ) -> Result<CompletedPart, Fault> {
        let doing = self.doing("write a part of", path, "s3:PutObject");
        let _permit = self.permit(&doing).await?;
        let bytes = source.part(at, len).await.map_err(|error| unread(error, &doing))?;
        let sent = upload
            .client
            .upload_part()
            .bucket(&upload.bucket)
            .key(&upload.key)
            .upload_id(&upload.id)
            .part_number(number)
            .set_checksum_algorithm(self.checksum())
            .body(ByteStream::from(bytes))
            .customize()
            .config_override(self.patience(len));
        match sent.send().await {
            Ok(sent) => Ok(CompletedPart::builder()
                .part_number(number)
                .set_e_tag(sent.e_tag)
                .set_checksum_crc32_c(sent.checksum_crc32_c)
                .build()),
            Err(error) => Err(self.0.connection.fault(error, &doing).await),
        }
    }

    /// Asks for a byte: a HEAD's answer doesn't say what is wrong.
    async fn is_there(&self, client: &Client, path: &str) -> Result<bool, Fault> {
        let doing = self.doing("look at", path, "s3:GetObject");
        let (bucket, key) = (&self.0.options.bucket, self.key(path));
        match client.get_object().bucket(bucket).key(key).range("bytes=0-0").send().await {
            Ok(_) => Ok(true),
            Err(error) => match self.0.connection.fault(error, &doing).await {
                Fault::BeyondEnd => Ok(true),
                Fault::Absent => Ok(false),
                fault => Err(fault),
            },
        }
    }

    /// A turn among the requests that send data.
    async fn permit(&self, doing: &Doing<'_>) -> Result<SemaphorePermit<'_>, Fault> {
        let turn = self.0.uploads.acquire().await;
        turn.map_err(|error| Fault::broken(error, doing))
    }

    fn checksum(&self) -> Option<ChecksumAlgorithm> {
        self.0.options.checksum.then_some(ChecksumAlgorithm::Crc32C)
    }

    /// As long as so much data may take.
    fn patience(&self, bytes: u64) -> aws_sdk_s3::config::Builder {
        let timeout = self.0.options.access.timeout + Duration::from_secs(bytes / SLOWEST);
        let timeouts = TimeoutConfig::builder().operation_attempt_timeout(timeout).build();
        aws_sdk_s3::Config::builder().timeout_config(timeouts)
    }
}

/// Parts on their way. What isn't completed is aborted: it would stay, be paid for, and be seen by nobody.
struct Upload {
    client: Client,
    bucket: String,
    key: String,
    id: String,
    is_done: bool,
}

impl Upload {
    fn complete(&self) -> CompleteMultipartUploadFluentBuilder {
        let Self { client, bucket, key, id, .. } = self;
        client.complete_multipart_upload().bucket(bucket).key(key).upload_id(id)
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if self.is_done {
            return;
        }
        let Self { client, bucket, key, id, .. } = self;
        let abort = client.abort_multipart_upload().bucket(&*bucket).key(&*key).upload_id(&*id);
        runtime.spawn(async move {
            // Parts that were under way may come after the first. What stays is told by `millstream doctor`.
            for tries in 0..ABORTS {
                if abort.clone().send().await.is_err() {
                    break;
                }
                pause(tries).await;
            }
        });
    }
}

fn unread(error: io::Error, doing: &Doing<'_>) -> Fault {
    Fault::Other(SinkError::unavailable(
        format!("read what to {} {}", doing.verb, doing.path),
        error,
    ))
}

#[cfg(test)]
mod tests {
    use std::io::{SeekFrom, Write};

    use super::*;

    #[tokio::test]
    async fn a_file_is_read_from_where_it_stands() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"0123456789").unwrap();
        file.seek(SeekFrom::Start(4)).unwrap();
        let source = Source::rest_of(file).await.unwrap();
        assert_eq!(source.len(), 6);
        assert_eq!(source.part(0, 6).await.unwrap(), "456789");
        assert_eq!(source.part(4, 2).await.unwrap(), "89");
        assert!(source.part(5, 2).await.is_err());
        let memory = Source::Memory(Bytes::from_static(b"abc"));
        assert_eq!(
            (memory.len(), memory.part(1, 2).await.unwrap()),
            (3, Bytes::from_static(b"bc"))
        );
    }
}
