use std::fs::File;
use std::ops::Range;

use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use aws_sdk_s3::types::ChecksumMode;
use bytes::{Bytes, BytesMut};
use millstream_engine::SinkError;
use tokio::io::{AsyncSeekExt, AsyncWriteExt};

use super::faults::{Doing, Fault};
use super::{S3Store, TRIES, pause};
use crate::lake::store::{Listed, check_path};

/// Bytes that are set aside because a server says so.
const LARGEST: i64 = 1 << 30;
/// S3 lists no more at once.
const PAGE: usize = 1000;

impl S3Store {
    /// The object, or what it has of a range; again where the answer broke off.
    pub(super) async fn read(
        &self,
        path: &str,
        range: Option<Range<u64>>,
    ) -> Result<Option<Bytes>, SinkError> {
        check_path(path)?;
        let doing = self.doing("read", path, "s3:GetObject");
        // There is no way to ask for none: for one more, that is.
        let header = range
            .as_ref()
            .map(|Range { start, end }| format!("bytes={start}-{}", end.max(&(start + 1)) - 1));
        let none_wanted = range.is_some_and(|range| range.is_empty());
        let mut tries = 0;
        loop {
            let fault = match self.read_once(&doing, header.clone()).await {
                Ok(_) | Err(Fault::BeyondEnd) if none_wanted => return Ok(Some(Bytes::new())),
                Ok(bytes) => return Ok(Some(bytes)),
                Err(Fault::Absent) => return Ok(None),
                Err(Fault::BeyondEnd) => return Ok(Some(Bytes::new())),
                Err(fault) => fault,
            };
            again(fault, tries, &doing).await?;
            tries += 1;
        }
    }

    async fn read_once(&self, doing: &Doing<'_>, range: Option<String>) -> Result<Bytes, Fault> {
        let answer = self.get_object(doing, range).await?;
        // In one piece from the beginning: putting pieces together takes the memory twice.
        let expected = answer.content_length.unwrap_or_default().clamp(0, LARGEST) as usize;
        let (mut body, mut bytes) = (answer.body, BytesMut::with_capacity(expected));
        while let Some(piece) = body.next().await {
            bytes.extend_from_slice(&piece.map_err(|error| Fault::broken(error, doing))?);
        }
        Ok(bytes.freeze())
    }

    /// The object in a temporary file.
    pub(super) async fn read_to_file(&self, path: &str) -> Result<Option<File>, SinkError> {
        check_path(path)?;
        let doing = self.doing("read", path, "s3:GetObject");
        let mut tries = 0;
        loop {
            let fault = match self.read_to_file_once(&doing).await {
                Ok(file) => return Ok(Some(file)),
                Err(Fault::Absent) => return Ok(None),
                Err(fault) => fault,
            };
            again(fault, tries, &doing).await?;
            tries += 1;
        }
    }

    async fn read_to_file_once(&self, doing: &Doing<'_>) -> Result<File, Fault> {
        let unwritten = |error: std::io::Error| {
            let doing = format!("keep {} in a temporary file", doing.path);
            Fault::Other(SinkError::unavailable(doing, error))
        };
        let mut body = self.get_object(doing, None).await?.body;
        let file = tokio::task::spawn_blocking(tempfile::tempfile).await;
        let file = file.map_err(std::io::Error::other).and_then(|file| file).map_err(unwritten)?;
        let mut file = tokio::fs::File::from_std(file);
        while let Some(bytes) = body.next().await {
            let bytes = bytes.map_err(|error| Fault::broken(error, doing))?;
            file.write_all(&bytes).await.map_err(unwritten)?;
        }
        file.flush().await.map_err(unwritten)?;
        file.rewind().await.map_err(unwritten)?;
        Ok(file.into_std().await)
    }

    async fn get_object(
        &self,
        doing: &Doing<'_>,
        range: Option<String>,
    ) -> Result<GetObjectOutput, Fault> {
        let client = self.0.connection.client().await.map_err(Fault::Other)?;
        let asked = client
            .get_object()
            .bucket(&self.0.options.bucket)
            .key(self.key(doing.path))
            .set_range(range)
            .set_checksum_mode(self.0.options.checksum.then_some(ChecksumMode::Enabled));
        match asked.send().await {
            Ok(answer) => Ok(answer),
            Err(error) => Err(self.0.connection.fault(error, doing).await),
        }
    }

    pub(super) async fn list_after(
        &self,
        prefix: &str,
        start_after: &str,
        max: usize,
    ) -> Result<Vec<Listed>, SinkError> {
        let doing = self.doing("list", prefix, "s3:ListBucket");
        // What all paths of this lake's keys come after.
        let root = self.key("");
        let (mut found, mut token) = (Vec::new(), None);
        while found.len() < max {
            let page = self.page(&doing, start_after, max - found.len(), token).await?;
            for object in page.contents.unwrap_or_default() {
                let key = object.key.unwrap_or_default();
                let Some(path) = key.strip_prefix(&root) else { continue };
                // Directories that other tools make, and their hidden files.
                if check_path(path).is_ok() {
                    let size = object.size.unwrap_or_default().unsigned_abs();
                    found.push(Listed { path: path.to_owned(), size });
                }
            }
            token = page.next_continuation_token;
            if page.is_truncated != Some(true) || token.is_none() {
                break;
            }
        }
        match found.is_sorted_by(|a, b| a.path < b.path) {
            true => Ok(found),
            false => Err(SinkError::refused(
                format!("list {prefix} of {}", self.0.options.place()),
                "this store doesn't list in byte order",
                format!("name another one in {}", self.0.options.access.setting),
            )),
        }
    }

    async fn page(
        &self,
        doing: &Doing<'_>,
        start_after: &str,
        max: usize,
        token: Option<String>,
    ) -> Result<ListObjectsV2Output, SinkError> {
        let mut tries = 0;
        loop {
            let client = self.0.connection.client().await?;
            let asked = client
                .list_objects_v2()
                .bucket(&self.0.options.bucket)
                .prefix(self.key(doing.path))
                .set_start_after((!start_after.is_empty()).then(|| self.key(start_after)))
                .max_keys(max.min(PAGE) as i32)
                .set_continuation_token(token.clone());
            match asked.send().await {
                Ok(page) => return Ok(page),
                Err(error) => {
                    let fault = self.0.connection.fault(error, doing).await;
                    again(fault, tries, doing).await?;
                }
            }
            tries += 1;
        }
    }
}

/// Waits before another try where an answer broke off, and gives up otherwise.
async fn again(fault: Fault, tries: u32, doing: &Doing<'_>) -> Result<(), SinkError> {
    match fault {
        Fault::Broken(_) if tries + 1 < TRIES => {
            pause(tries).await;
            Ok(())
        }
        fault => Err(fault.into_error(doing)),
    }
}
