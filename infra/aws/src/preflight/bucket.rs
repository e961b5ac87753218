use aws_sdk_s3::types::BucketVersioningStatus;
use millstream_config::Finding;
use serde_json::Value;

use super::doing;
use crate::faults::code;
use crate::{AwsError, Catalog};

pub(super) const WHAT: &str = "lake bucket";
const BY_TERRAFORM: &str = "terraform/modules/lake does it";

/// Whether it is kept as a lake's should be.
pub(super) async fn examine(catalog: &Catalog, bucket: &str) -> Result<Vec<Finding>, AwsError> {
    let config = catalog.account.config().await?;
    let elsewhere = catalog.account.is_elsewhere().await?;
    let config = aws_sdk_s3::config::Builder::from(&config).force_path_style(elsewhere).build();
    let client = aws_sdk_s3::Client::from_conf(config);
    let arn = format!("arn:aws:s3:::{bucket}");
    let reading =
        doing(catalog, &format!("read the policy of {bucket}"), "s3:GetBucketPolicy", &arn);
    let policy = match client.get_bucket_policy().bucket(bucket).send().await {
        Ok(told) => told.policy.unwrap_or_default(),
        Err(error) if code(&error) == "NoSuchBucketPolicy" => String::new(),
        // A worker needs no such right; whoever operates has it.
        Err(error) => {
            let error = reading.fault(error).await;
            let told = format!("{error}");
            return Ok(vec![Finding::warning(
                WHAT,
                told,
                "look by credentials that may, for a full answer",
            )]);
        }
    };
    let mut findings = judge(&policy);
    findings.extend(match client.get_bucket_versioning().bucket(bucket).send().await {
        Ok(told) if told.status() == Some(&BucketVersioningStatus::Enabled) => {
            Some(Finding::good(WHAT, "versioning is on"))
        }
        Ok(_) => Some(Finding::warning(WHAT, "versioning is off", BY_TERRAFORM)),
        Err(_) => None,
    });
    findings.push(match client.get_public_access_block().bucket(bucket).send().await {
        Ok(told) => {
            let block = told.public_access_block_configuration;
            let all = block.is_some_and(|block| {
                [
                    block.block_public_acls(),
                    block.block_public_policy(),
                    block.ignore_public_acls(),
                    block.restrict_public_buckets(),
                ]
                .iter()
                .all(|one| *one == Some(true))
            });
            if all {
                Finding::good(WHAT, "nothing in it can be made public")
            } else {
                Finding::warning(WHAT, "parts of it could be made public", BY_TERRAFORM)
            }
        }
        Err(_) => Finding::warning(WHAT, "no block of public access is told of", BY_TERRAFORM),
    });
    Ok(findings)
}

/// A bucket's policy: whether plain HTTP is refused, and the ledger kept from being overwritten.
fn judge(policy: &str) -> Vec<Finding> {
    let policy: Value = serde_json::from_str(policy).unwrap_or_default();
    let statements = each(&policy["Statement"]);
    let is_denial = |one: &&&Value| one["Effect"] == "Deny" && is_everybody(&one["Principal"]);
    let denials: Vec<_> = statements.iter().filter(is_denial).collect();
    let has = |statement: &Value, test: &str, key: &str, value: &str| {
        let Some(of_test) = statement["Condition"][test].as_object() else { return false };
        let found = of_test.iter().find(|(name, _)| name.eq_ignore_ascii_case(key));
        found.is_some_and(|(_, found)| each(found).iter().any(|one| text(one) == value))
    };
    let acts = |statement: &Value, actions: &[&str]| {
        each(&statement["Action"]).iter().any(|one| actions.contains(&text(one).as_str()))
    };
    let plain = denials
        .iter()
        .any(|one| has(one, "Bool", "aws:SecureTransport", "false") && acts(one, &["*", "s3:*"]));
    let ledger = denials.iter().any(|one| {
        has(one, "Null", "s3:if-none-match", "true") && acts(one, &["*", "s3:*", "s3:PutObject"])
    });
    vec![
        if plain {
            Finding::good(WHAT, "its policy refuses what isn't encrypted on the way (TLS)")
        } else {
            let told = "its policy takes plain HTTP: whoever is on the way reads the data";
            Finding::warning(
                WHAT,
                told,
                format!("deny s3:* where aws:SecureTransport is false; {BY_TERRAFORM}"),
            )
        },
        if ledger {
            Finding::good(WHAT, "its policy lets nobody overwrite the ledger")
        } else {
            let told = "its policy would let a client overwrite the lake's ledger (_millstream/)";
            Finding::warning(
                WHAT,
                told,
                format!("deny s3:PutObject there without s3:if-none-match; {BY_TERRAFORM}"),
            )
        },
    ]
}

/// A policy's lists of one may stand without brackets.
fn each(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(values) => values.iter().collect(),
        Value::Null => vec![],
        value => vec![value],
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn is_everybody(principal: &Value) -> bool {
    *principal == "*" || each(&principal["AWS"]).iter().any(|one| **one == "*")
}

#[cfg(test)]
mod tests {
    use millstream_config::Health;
    use serde_json::json;

    use super::*;

    fn states(policy: &Value) -> Vec<Health> {
        judge(&policy.to_string()).iter().map(|finding| finding.state).collect()
    }

    #[test]
    fn a_policy_is_judged_by_what_it_denies_to_everybody() {
        let tls = json!({ "Effect": "Deny", "Principal": "*", "Action": "s3:*",
            "Condition": { "Bool": { "aws:SecureTransport": "false" } } });
        let ledger = json!({ "Effect": "Deny", "Principal": { "AWS": ["*"] }, "Action": ["s3:PutObject"],
            "Condition": { "Null": { "s3:If-None-Match": [true] } } });
        let policy =
            |statements: Value| json!({ "Version": "2012-10-17", "Statement": statements });
        use Health::{Good, Warning};
        assert_eq!(states(&policy(json!([tls, ledger]))), [Good, Good]);
        // A list of one may stand without brackets.
        assert_eq!(states(&policy(tls.clone())), [Good, Warning]);
        let (mut allowed, mut one, mut other) = (tls.clone(), tls.clone(), tls);
        allowed["Effect"] = json!("Allow");
        one["Principal"] = json!({ "AWS": "arn:aws:iam::1:root" });
        other["Condition"]["Bool"]["aws:SecureTransport"] = json!("true");
        for bad in [allowed, one, other] {
            assert_eq!(states(&policy(json!([bad]))), [Warning, Warning], "{bad}");
        }
        assert_eq!(judge("").len(), 2);
    }
}
