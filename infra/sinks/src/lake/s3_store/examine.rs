//! The bucket, looked at for `millstream doctor`.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use aws_sdk_s3::primitives::{DateTime, DateTimeFormat};
use aws_sdk_s3::types::BucketVersioningStatus;
use millstream_config::Finding;
use millstream_engine::SinkError;

use super::faults::chain;
use super::upload::Source;
use super::{S3Store, fence};
use crate::lake::keys::LEDGERS;
use crate::lake::store::{Put, Store};

const WHAT: &str = "lake";
/// S3 refuses signatures that are further off than five minutes.
const SKEW: Duration = Duration::from_secs(300);
/// Worth a word.
const SOME_SKEW: Duration = Duration::from_secs(30);
/// Of parts of an upload, before they count as left behind.
const STALE: Duration = Duration::from_secs(24 * 3600);

impl S3Store {
    /// One thing after the other, as far as it makes sense.
    pub(super) async fn look(&self) -> Vec<Finding> {
        let client = match self.0.connection.client().await {
            Ok(client) => client,
            Err(error) => return vec![bad(&error)],
        };
        let mut findings = Vec::new();
        if !self.reach(&client, &mut findings).await {
            return findings;
        }
        match self.list(&format!("{LEDGERS}/"), None, 1).await {
            Ok(found) if found.is_empty() => {
                findings.push(Finding::good(WHAT, "there is no table yet"));
            }
            Ok(_) => findings.push(Finding::good(WHAT, "there are tables")),
            Err(error) => findings.push(bad(&error)),
        }
        self.write_probe(&mut findings).await;
        findings.push(self.versioning(&client).await);
        findings.extend(self.left_uploads(&client).await);
        findings.extend(self.unencrypted());
        findings
    }

    /// Whether it answers, with the time it has.
    async fn reach(&self, client: &Client, findings: &mut Vec<Finding>) -> bool {
        let (dates, bucket) = (Dates::default(), &self.0.options.bucket);
        // A HEAD's answer doesn't say what is wrong.
        let asked = client.list_objects_v2().bucket(bucket).max_keys(1);
        let answered = asked.customize().interceptor(dates.clone()).send().await;
        findings.extend(dates.skew());
        let doing = self.doing("find", "", "s3:ListBucket");
        match answered {
            Ok(_) => {
                let region = client.config().region().map_or("", |region| region.as_ref());
                let told = format!("{} is there, in region {region}", self.place());
                findings.push(Finding::good(WHAT, told));
                true
            }
            Err(error) => {
                let fault = self.0.connection.fault(error, &doing).await;
                findings.push(bad(&fault.into_error(&doing)));
                false
            }
        }
    }

    /// Writes, reads and removes an object, and has several writers go for one.
    async fn write_probe(&self, findings: &mut Vec<Finding>) {
        let (path, text) = (fence::probe(), "written by millstream doctor");
        let doing = self.doing("write", &path, "s3:PutObject");
        // Policies may forbid other writes there.
        let written = self.upload(&path, &Source::Memory(text.into()), Put::IfAbsent).await;
        let written = written.map_err(|fault| fault.into_error(&doing));
        let read = match written {
            Ok(_) => self.get(&path).await,
            Err(error) => return findings.push(bad(&error)),
        };
        match read {
            Ok(Some(read)) if read == text => {
                findings.push(Finding::good(WHAT, "objects are written and read as they were"));
            }
            Ok(_) => findings.push(Finding::bad(
                WHAT,
                "an object that was written is not what is read",
                "name a store that shows at once what was written, in full",
            )),
            Err(error) => findings.push(bad(&error)),
        }
        findings.push(match fence::races(self).await {
            Ok(()) => Finding::good(WHAT, "of several writers one creates (If-None-Match)"),
            Err(error) => bad(&error),
        });
        findings.push(match self.remove(&path).await {
            Ok(()) => Finding::good(WHAT, "these credentials may remove objects"),
            Err(SinkError::Refused { .. }) => Finding::good(
                WHAT,
                "these credentials may not remove objects: tables need no more, old snapshots stay",
            ),
            Err(error) => bad(&error),
        });
    }

    async fn versioning(&self, client: &Client) -> Finding {
        let bucket = &self.0.options.bucket;
        match client.get_bucket_versioning().bucket(bucket).send().await {
            Ok(told) if told.status() == Some(&BucketVersioningStatus::Enabled) => {
                Finding::good(WHAT, "versioning is on")
            }
            Ok(_) => Finding::warning(
                WHAT,
                "versioning is off: what somebody removes or overwrites by mistake is gone",
                format!(
                    "aws s3api put-bucket-versioning --bucket {bucket} --versioning-configuration Status=Enabled"
                ),
            ),
            Err(_) => Finding::good(WHAT, "whether versions are kept is not told"),
        }
    }

    /// Parts that workers left who died. Not every store, nor every policy, tells.
    async fn left_uploads(&self, client: &Client) -> Option<Finding> {
        let bucket = &self.0.options.bucket;
        let asked = client.list_multipart_uploads().bucket(bucket).prefix(self.key(""));
        let limit = DateTime::from(SystemTime::now().checked_sub(STALE)?);
        let uploads = asked.send().await.ok()?.uploads.unwrap_or_default();
        let left = uploads.iter().filter_map(|upload| upload.initiated()).filter(|at| **at < limit);
        let left = left.count();
        (left > 0).then(|| {
            Finding::warning(
                WHAT,
                format!("parts of {left} uploads are left for more than a day; they are paid for"),
                "add a lifecycle rule AbortIncompleteMultipartUpload to the bucket",
            )
        })
    }

    fn unencrypted(&self) -> Option<Finding> {
        let endpoint = self.0.options.access.endpoint.as_deref()?;
        let host = endpoint.strip_prefix("http://")?;
        let here = ["localhost", "127.", "[::1]"].iter().any(|here| host.starts_with(here));
        (!here).then(|| {
            let told = format!("{endpoint} is not encrypted: whoever is on the way reads the data");
            Finding::warning(WHAT, told, "name an https:// endpoint")
        })
    }
}

/// The dates of S3's answers.
#[derive(Clone, Debug, Default)]
struct Dates(Arc<Mutex<Option<(String, SystemTime)>>>);

impl Dates {
    fn skew(&self) -> Option<Finding> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (date, ours) = seen?;
        let theirs = DateTime::from_str(&date, DateTimeFormat::HttpDate).ok()?;
        let theirs = SystemTime::try_from(theirs).ok()?;
        let (ahead, skew) = match ours.duration_since(theirs) {
            Ok(ahead) => ("ahead of", ahead),
            Err(behind) => ("behind", behind.duration()),
        };
        let told = format!("this machine's clock is {} s {ahead} S3's", skew.as_secs());
        Some(match skew {
            skew if skew > SKEW => Finding::bad(WHAT, told, "set it by NTP: S3 refuses requests"),
            skew if skew > SOME_SKEW => Finding::warning(WHAT, told, "set it by NTP"),
            _ => Finding::good(WHAT, told),
        })
    }
}

impl Intercept for Dates {
    fn name(&self) -> &'static str {
        "Dates"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(date) = context.response().headers().get("date") {
            let seen = Some((date.to_owned(), SystemTime::now()));
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = seen;
        }
        Ok(())
    }
}

fn bad(error: &SinkError) -> Finding {
    match error {
        SinkError::Refused { doing, why, remedy } => {
            Finding::bad(WHAT, format!("{doing}: {why}"), remedy)
        }
        SinkError::Unavailable { doing, source } => {
            let told = format!("{doing}: {}", chain(source.as_ref()));
            Finding::bad(WHAT, told, "see that the endpoint is right and this machine may reach it")
        }
    }
}

#[cfg(test)]
mod tests {
    use millstream_config::Health;

    use super::*;

    #[test]
    fn clocks_are_compared() {
        for (seconds, state, told) in [
            (-3600, Health::Bad, "ahead of"),
            (3600, Health::Bad, "behind"),
            (100, Health::Warning, "behind"),
            (0, Health::Good, "this machine's clock"),
        ] {
            let now = SystemTime::now();
            let date = DateTime::from_secs(DateTime::from(now).secs() + seconds);
            let date = date.fmt(DateTimeFormat::HttpDate).unwrap();
            let dates = Dates(Arc::new(Mutex::new(Some((date, now)))));
            let finding = dates.skew().unwrap();
            assert_eq!(finding.state, state, "{finding:?}");
            assert!(finding.told.contains(told), "{finding:?}");
        }
        assert_eq!(Dates::default().skew(), None);
    }
}
