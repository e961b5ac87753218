//! AWS's answers, told by what is to be done about them.

use std::error::Error;
use std::fmt;

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use crate::AwsError;
use crate::account::Account;

/// What is being done, and the permission it needs.
#[derive(Clone, Debug)]
pub(crate) struct Doing<'a> {
    /// "create table lake.users".
    pub told: String,
    /// As policies call it: "glue:CreateTable".
    pub action: &'static str,
    /// As policies call it.
    pub resource: String,
    /// What to do when it isn't there.
    pub missing: String,
    pub account: &'a Account,
}

impl Doing<'_> {
    /// What an error means. Credentials that were no good are forgotten.
    pub async fn fault<E>(&self, error: SdkError<E>) -> AwsError
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        let SdkError::ServiceError(answer) = &error else { return self.unanswered(&error).await };
        let status = answer.raw().status().as_u16();
        let code = answer.err().code().unwrap_or_default().to_owned();
        let message = answer.err().message().unwrap_or_default().to_owned();
        if is_credentials(&code) {
            self.account.forget().await;
        }
        self.meaning(status, &code, &message)
    }

    /// A request or an answer that lacks what belongs there: ours to see to.
    pub fn built(&self, error: impl fmt::Display) -> AwsError {
        AwsError::refused(&self.told, error.to_string(), "report this as a fault of Millstream")
    }

    fn meaning(&self, status: u16, code: &str, message: &str) -> AwsError {
        let why = told(status, code, message);
        let refused = |remedy: String| AwsError::refused(&self.told, &why, remedy);
        match (status, code) {
            _ if is_credentials(code) => {
                let remedy = "renew the credentials: they are read again";
                AwsError::unavailable(&self.told, format!("{why}; {remedy}"))
            }
            (_, "RequestTimeTooSkewed" | "RequestExpired") => {
                let remedy = "set this machine's clock (NTP)";
                AwsError::unavailable(&self.told, format!("{why}; {remedy}"))
            }
            (
                _,
                "ThrottlingException"
                | "TooManyRequestsException"
                | "ConcurrentModificationException"
                | "OperationTimeoutException"
                | "InternalServiceException"
                | "InternalServerException"
                | "FederationSourceRetryableException",
            )
            | (429 | 500..=599, _) => AwsError::unavailable(&self.told, why),
            (_, "GlueEncryptionException") => refused(
                "allow kms:Decrypt and kms:GenerateDataKey on the catalog's key to these credentials".into(),
            ),
            (_, "ResourceNumberLimitExceededException") => {
                refused("ask AWS for a higher quota of Glue, or remove what isn't needed".into())
            }
            (_, "AccessDeniedException" | "AccessDenied") | (401 | 403, _) => {
                refused(self.permission(message))
            }
            (_, "EntityNotFoundException" | "ResourceNotFoundException") | (404, _) => {
                refused(self.missing.clone())
            }
            _ if message.contains("not found") || message.contains("does not exist") => {
                refused(self.missing.clone())
            }
            _ => refused(format!("correct {} or what AWS names here", self.account.setting())),
        }
    }

    /// Lake Formation answers by the same code, in words of its own.
    fn permission(&self, message: &str) -> String {
        if message.contains("Lake Formation") {
            return "grant these credentials SELECT and DESCRIBE on the table in Lake Formation, or IAMAllowedPrincipals".into();
        }
        let (action, resource) = named(message).unwrap_or((self.action, &self.resource));
        format!("allow {action} on {resource} in the policies of these credentials")
    }

    /// No answer: nobody knows whether it was done.
    async fn unanswered<E>(&self, error: &SdkError<E>) -> AwsError
    where
        E: Error + Send + Sync + 'static,
    {
        let told = chain(error);
        if matches!(error, SdkError::TimeoutError(_)) {
            return AwsError::unavailable(&self.told, format!("no answer in time ({told})"));
        }
        if told.to_lowercase().contains("credential") {
            self.account.forget().await;
            let remedy = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile or a role";
            return AwsError::unavailable(
                &self.told,
                format!("no AWS credentials ({told}); {remedy}"),
            );
        }
        let setting = self.account.setting();
        let remedy = format!(
            "see that endpoint and region of {setting} are right and this machine may reach it"
        );
        AwsError::unavailable(&self.told, format!("{told}; {remedy}"))
    }
}

/// The code of an answer that is an error; empty where there is none.
pub(crate) fn code<E: ProvideErrorMetadata>(error: &SdkError<E>) -> &str {
    match error {
        SdkError::ServiceError(answer) => answer.err().code().unwrap_or_default(),
        _ => "",
    }
}

/// Action and resource, where the message names them: "… is not authorized to perform: glue:GetTable on resource: arn:…".
pub(crate) fn named(message: &str) -> Option<(&str, &str)> {
    let (_, rest) = message.split_once("authorized to perform")?;
    let mut words = rest.trim_start_matches([':', ' ']).split_whitespace();
    let action = words.next()?.trim_end_matches(['.', ',']);
    let resource = words.find(|word| word.starts_with("arn:"))?;
    Some((action, resource.trim_end_matches(['.', ',', ')'])))
}

fn is_credentials(code: &str) -> bool {
    [
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidToken",
        "InvalidClientTokenId",
        "InvalidAccessKeyId",
        "InvalidSignatureException",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
        "IncompleteSignature",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
    ]
    .contains(&code)
}

/// "400 EntityNotFoundException: Table users not found".
fn told(status: u16, code: &str, message: &str) -> String {
    let (space, message) = (if code.is_empty() { "" } else { " " }, message.trim_end_matches('.'));
    let colon = if message.is_empty() { "" } else { ": " };
    format!("AWS answered {status}{space}{code}{colon}{message}")
}

/// The causes, each once: the SDK's errors repeat one another.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
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
    use super::*;

    fn meaning(status: u16, code: &str, message: &str) -> AwsError {
        let account = Account::ambient("stores.catalog");
        let doing = Doing {
            told: "create table lake.t".to_owned(),
            action: "glue:CreateTable",
            resource: "arn:aws:glue:*:*:table/lake/t".to_owned(),
            missing: "create it by Terraform".to_owned(),
            account: &account,
        };
        doing.meaning(status, code, message)
    }

    #[test]
    fn what_passes_is_told_apart_from_what_stays() {
        for (status, code) in [
            (400, "ThrottlingException"),
            (400, "TooManyRequestsException"),
            (400, "OperationTimeoutException"),
            (400, "ConcurrentModificationException"),
            (500, "InternalServiceException"),
            (503, ""),
            (400, "ExpiredTokenException"),
            (400, "UnrecognizedClientException"),
            (403, "InvalidSignatureException"),
            (403, "RequestExpired"),
        ] {
            let error = meaning(status, code, "Some words.");
            let expected = format!("create table lake.t: AWS answered {status}");
            assert!(error.is_retryable() && error.to_string().starts_with(&expected), "{error}");
        }
    }

    #[test]
    fn what_stays_says_what_to_do() {
        let not_authorized = "User: arn:aws:iam::1:user/a is not authorized to perform: glue:GetDatabase on resource: \
                              arn:aws:glue:eu-west-1:1:catalog because no identity-based policy allows it";
        for (status, code, message, remedy) in [
            (
                400,
                "AccessDeniedException",
                not_authorized,
                "allow glue:GetDatabase on arn:aws:glue:eu-west-1:1:catalog in",
            ),
            (403, "", "", "allow glue:CreateTable on arn:aws:glue:*:*:table/lake/t in"),
            (
                400,
                "AccessDeniedException",
                "Insufficient Lake Formation permission(s)",
                "in Lake Formation",
            ),
            (400, "EntityNotFoundException", "Database lake not found.", "create it by Terraform"),
            (400, "InvalidRequestException", "WorkGroup x is not found.", "create it by Terraform"),
            (400, "ResourceNumberLimitExceededException", "", "quota"),
            (400, "GlueEncryptionException", "", "kms:Decrypt"),
            (400, "InvalidInputException", "1 validation error", "correct stores.catalog"),
        ] {
            let error = meaning(status, code, message);
            assert!(!error.is_retryable() && error.to_string().contains(remedy), "{error}");
        }
    }
}
