use std::error::Error;

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use millstream_engine::SinkError;

use super::options::Options;

/// What is being done to which object, and the permission it needs.
#[derive(Clone, Copy)]
pub(super) struct Doing<'a> {
    pub verb: &'static str,
    /// Empty: the bucket itself.
    pub path: &'a str,
    /// As policies call it.
    pub action: &'static str,
    pub options: &'a Options,
}

impl Doing<'_> {
    fn told(&self) -> String {
        let slash = if self.path.is_empty() { "" } else { "/" };
        format!("{} {}{slash}{}", self.verb, self.options.place(), self.path)
    }

    fn unavailable(&self, why: impl Into<Box<dyn Error + Send + Sync>>) -> SinkError {
        SinkError::unavailable(self.told(), why)
    }

    fn refused(&self, why: &str, remedy: String) -> SinkError {
        SinkError::refused(self.told(), why, remedy)
    }
}

/// Why something didn't work, told by what is to be done about it.
#[derive(Debug)]
pub(super) enum Fault {
    /// There is no such object.
    Absent,
    NoBucket(SinkError),
    /// There is one, and `If-None-Match` said it must not.
    Exists,
    /// The range begins where the object ends.
    BeyondEnd,
    /// Others are at the object this very moment.
    Conflict(SinkError),
    /// An answer broke off.
    Broken(SinkError),
    /// The credentials are no good, or no longer: the next ones may be.
    Credentials(SinkError),
    /// Whatever else; the error says whether waiting helps.
    Other(SinkError),
}

impl Fault {
    pub fn of<E>(error: SdkError<E>, doing: &Doing<'_>) -> Self
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        let SdkError::ServiceError(answer) = &error else { return unanswered(error, doing) };
        let region = answer.raw().headers().get("x-amz-bucket-region").unwrap_or_default();
        Answer {
            status: answer.raw().status().as_u16(),
            code: answer.err().code().unwrap_or_default(),
            message: answer.err().message().unwrap_or_default(),
            region,
        }
        .meaning(doing)
    }

    /// A body that broke off, or whose checksum is another one.
    pub fn broken(error: impl Error + Send + Sync + 'static, doing: &Doing<'_>) -> Self {
        Self::Broken(doing.unavailable(error))
    }

    pub fn into_error(self, doing: &Doing<'_>) -> SinkError {
        match self {
            Self::NoBucket(error)
            | Self::Conflict(error)
            | Self::Broken(error)
            | Self::Credentials(error)
            | Self::Other(error) => error,
            Self::Absent | Self::Exists | Self::BeyondEnd => {
                doing.unavailable("the object changed meanwhile")
            }
        }
    }
}

/// An error that S3 answered.
struct Answer<'a> {
    status: u16,
    /// Empty where the answer had no body.
    code: &'a str,
    message: &'a str,
    /// Where the bucket is, if the answer says so; else empty.
    region: &'a str,
}

impl Answer<'_> {
    fn meaning(&self, doing: &Doing<'_>) -> Fault {
        let why = self.told();
        let Doing { action, options, .. } = doing;
        let setting = &options.access.setting;
        let refused = |remedy: String| Fault::Other(doing.refused(&why, remedy));
        match (self.status, self.code) {
            (_, "NoSuchBucket") => {
                Fault::NoBucket(doing.refused(&why, self.bucket_remedy(options)))
            }
            (_, "BucketAlreadyExists" | "InvalidBucketName") => {
                refused(format!("name another bucket in {setting}"))
            }
            (_, "NoSuchUpload") | (409, _) => Fault::Conflict(doing.unavailable(why)),
            (404, _) => Fault::Absent,
            (412, _) => Fault::Exists,
            (416, _) => Fault::BeyondEnd,
            (
                _,
                "ExpiredToken"
                | "ExpiredTokenException"
                | "TokenRefreshRequired"
                | "InvalidToken"
                | "RequestExpired"
                | "InvalidAccessKeyId"
                | "SignatureDoesNotMatch",
            ) => {
                let remedy = "renew the credentials: they are read again, and it goes on by itself";
                Fault::Credentials(doing.unavailable(format!("{why}; {remedy}")))
            }
            (_, "RequestTimeTooSkewed") => {
                let remedy = "set this machine's clock (NTP), it goes on by itself";
                Fault::Other(doing.unavailable(format!("{why}; {remedy}")))
            }
            (301, _)
            | (
                _,
                "PermanentRedirect"
                | "AuthorizationHeaderMalformed"
                | "IllegalLocationConstraintException",
            ) => refused(format!("set region={} in {setting}", self.region_or_dots())),
            (_, "XMinioStorageFull" | "QuotaExceeded") | (507, _) => Fault::Other(
                doing.unavailable(format!("{why}; free some space, it is tried again")),
            ),
            (
                _,
                "BadDigest"
                | "InvalidDigest"
                | "XAmzContentChecksumMismatch"
                | "XAmzContentSHA256Mismatch"
                | "IncompleteBody",
            ) => Fault::Broken(doing.unavailable(why)),
            (_, "RequestTimeout" | "SlowDown") | (307 | 408 | 429 | 500 | 502..=599, _) => {
                Fault::Other(doing.unavailable(why))
            }
            (501, _) => refused(format!(
                "use a store that knows this request, or try checksum=off in {setting}"
            )),
            (401 | 403, _) => refused(self.permission_remedy(action, doing)),
            (_, "KeyTooLongError") => refused(
                "partition by a column with shorter values: a key has at most 1024 bytes".into(),
            ),
            (_, "InvalidObjectState") => refused(
                "restore the object from its archive, and keep the lake out of archiving".into(),
            ),
            _ if self.is_about_checksums() => refused(format!("set checksum=off in {setting}")),
            _ => refused(format!("correct {setting} or the bucket's configuration")),
        }
    }

    /// "503 SlowDown: Please reduce your request rate".
    fn told(&self) -> String {
        let (code, message) = (self.code, self.message.trim_end_matches('.'));
        let space = if code.is_empty() { "" } else { " " };
        let colon = if message.is_empty() { "" } else { ": " };
        format!("S3 answered {}{space}{code}{colon}{message}", self.status)
    }

    fn bucket_remedy(&self, options: &Options) -> String {
        let bucket = &options.bucket;
        format!(
            "create it by Terraform or by `aws s3 mb s3://{bucket}`, or, for a demo, add create=on to {}",
            options.access.setting
        )
    }

    fn permission_remedy(&self, action: &str, doing: &Doing<'_>) -> String {
        let resource = match action {
            "s3:ListBucket" => doing.options.resource(""),
            _ => doing.options.resource(doing.path),
        };
        // Without that permission S3 doesn't say whether there is an object.
        let also = match action {
            "s3:GetObject" => {
                format!(", and s3:ListBucket on {}", doing.options.resource(""))
            }
            _ => String::new(),
        };
        format!(
            "allow {action} on {resource}{also} in the policies of these credentials and of the bucket"
        )
    }

    fn region_or_dots(&self) -> &str {
        if self.region.is_empty() { "…" } else { self.region }
    }

    fn is_about_checksums(&self) -> bool {
        let message = self.message.to_lowercase();
        ["checksum", "x-amz-sdk", "trailer", "aws-chunked"]
            .iter()
            .any(|part| message.contains(part))
    }
}

/// No answer: nobody knows whether it was done.
fn unanswered<E>(error: SdkError<E>, doing: &Doing<'_>) -> Fault
where
    E: Error + Send + Sync + 'static,
{
    let told = chain(&error);
    if matches!(error, SdkError::TimeoutError(_)) {
        let why = format!("no answer in time ({told})");
        return Fault::Other(doing.unavailable(why));
    }
    if told.to_lowercase().contains("credential") {
        let remedy = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile or a role: it goes on by itself";
        return Fault::Credentials(
            doing.unavailable(format!("no AWS credentials ({told}); {remedy}")),
        );
    }
    match error {
        SdkError::ResponseError(_) => Fault::Broken(doing.unavailable(told)),
        _ => Fault::Other(doing.unavailable(told)),
    }
}

/// The causes, each once: the SDK's errors repeat one another.
pub(super) fn chain(error: &(dyn Error + 'static)) -> String {
    let (mut told, mut next) = (String::new(), Some(error));
    while let Some(error) = next {
        let text = error.to_string();
        if !told.contains(&text) {
            let colon = if told.is_empty() { "" } else { ": " };
            told = format!("{told}{colon}{text}");
        }
        next = error.source();
    }
    told
}

#[cfg(test)]
mod tests {
    use millstream_config::{Endpoint, Secret};

    use super::*;

    fn fault(action: &'static str, status: u16, code: &str, message: &str) -> Fault {
        let url = Endpoint::parse("stores.lake", "s3://bucket/p", Secret::default(), 443).unwrap();
        let options = Options::read(url).unwrap();
        let doing = Doing { verb: "write", path: "t/x", action, options: &options };
        Answer { status, code, message, region: "eu-central-1" }.meaning(&doing)
    }

    fn told(action: &'static str, status: u16, code: &str, message: &str) -> (bool, String) {
        let error = match fault(action, status, code, message) {
            Fault::NoBucket(error) | Fault::Conflict(error) | Fault::Broken(error) => error,
            Fault::Credentials(error) | Fault::Other(error) => error,
            other => panic!("{code}: {other:?}"),
        };
        (error.is_retryable(), chain(&error))
    }

    #[test]
    fn what_passes_is_tried_again() {
        for (status, code) in [
            (503, "SlowDown"),
            (500, "InternalError"),
            (400, "RequestTimeout"),
            (409, "ConditionalRequestConflict"),
            (404, "NoSuchUpload"),
            (400, "BadDigest"),
            (307, "TemporaryRedirect"),
            (507, "XMinioStorageFull"),
            (429, ""),
            (400, "ExpiredToken"),
            (403, "InvalidAccessKeyId"),
            (403, "SignatureDoesNotMatch"),
            (403, "RequestTimeTooSkewed"),
        ] {
            let (retryable, told) = told("s3:PutObject", status, code, "Some words.");
            assert!(retryable, "{told}");
            let expected = format!("write s3://bucket/p/t/x: S3 answered {status}");
            assert!(told.starts_with(&expected) && told.contains(code), "{told}");
        }
    }

    #[test]
    fn what_stays_is_refused_with_what_to_do() {
        for (action, status, code, message, remedy) in [
            (
                "s3:PutObject",
                403,
                "AccessDenied",
                "",
                "allow s3:PutObject on arn:aws:s3:::bucket/p/t/x in",
            ),
            (
                "s3:GetObject",
                403,
                "AccessDenied",
                "",
                "and s3:ListBucket on arn:aws:s3:::bucket in",
            ),
            ("s3:ListBucket", 403, "", "", "allow s3:ListBucket on arn:aws:s3:::bucket in"),
            ("s3:PutObject", 404, "NoSuchBucket", "", "aws s3 mb s3://bucket"),
            ("s3:PutObject", 301, "PermanentRedirect", "", "region=eu-central-1 in stores.lake"),
            ("s3:PutObject", 400, "AuthorizationHeaderMalformed", "expecting 'x'", "region="),
            ("s3:PutObject", 501, "NotImplemented", "", "checksum=off in stores.lake"),
            ("s3:PutObject", 400, "InvalidRequest", "Unknown Checksum", "checksum=off"),
            ("s3:PutObject", 400, "KeyTooLongError", "", "shorter"),
            ("s3:CreateBucket", 409, "BucketAlreadyExists", "", "name another bucket"),
            ("s3:PutObject", 400, "Strange", "", "correct stores.lake"),
        ] {
            let (retryable, told) = told(action, status, code, message);
            assert!(!retryable && told.contains(remedy), "{told}");
        }
    }

    #[test]
    fn answers_that_are_no_errors_are_told_apart() {
        assert!(matches!(fault("s3:GetObject", 404, "NoSuchKey", ""), Fault::Absent));
        assert!(matches!(fault("s3:GetObject", 404, "", ""), Fault::Absent));
        assert!(matches!(fault("s3:PutObject", 412, "PreconditionFailed", ""), Fault::Exists));
        assert!(matches!(fault("s3:GetObject", 416, "InvalidRange", ""), Fault::BeyondEnd));
        assert!(matches!(fault("s3:PutObject", 403, "ExpiredToken", ""), Fault::Credentials(_)));
    }
}
