//! AWS, looked at for `millstream doctor`: credentials, catalog, workgroup, bucket. Nothing is changed, but
//! the database that `create=on` asks for is made.

mod bucket;

use aws_sdk_athena::types::{WorkGroupConfiguration, WorkGroupState};
use millstream_config::Finding;

use crate::faults::Doing;
use crate::{AwsError, Catalog};

const ACCOUNT: &str = "aws";
const CATALOG: &str = "catalog";
const ATHENA: &str = "athena";

/// One thing after the other, as far as it makes sense. `bucket`: the lake's, where it is in S3.
pub async fn examine(catalog: &Catalog, bucket: Option<&str>) -> Vec<Finding> {
    let mut findings = vec![match identity(catalog).await {
        Ok(told) => Finding::good(ACCOUNT, told),
        // Nothing else would work.
        Err(error) => return vec![bad(ACCOUNT, &error)],
    }];
    findings.push(match tables(catalog).await {
        Ok(told) => Finding::good(CATALOG, told),
        Err(error) => bad(CATALOG, &error),
    });
    findings.extend(workgroup(catalog).await.unwrap_or_else(|error| vec![bad(ATHENA, &error)]));
    if let Some(bucket) = bucket {
        let seen = bucket::examine(catalog, bucket).await;
        findings.extend(seen.unwrap_or_else(|error| vec![bad(bucket::WHAT, &error)]));
    }
    findings
}

async fn identity(catalog: &Catalog) -> Result<String, AwsError> {
    let doing = doing(catalog, "ask who we are", "sts:GetCallerIdentity", "*");
    let config = catalog.account.config().await?;
    let region = catalog.account.region().await?;
    match aws_sdk_sts::Client::new(&config).get_caller_identity().send().await {
        Ok(told) => Ok(format!("{} in region {region}", told.arn().unwrap_or("somebody"))),
        Err(error) => Err(doing.fault(error).await),
    }
}

async fn tables(catalog: &Catalog) -> Result<String, AwsError> {
    let glue = catalog.glue();
    glue.ensure_database().await?;
    let names = glue.tables().await?;
    let crawlers = glue.crawlers().await?;
    let tables = if names.is_empty() { "no table yet".to_owned() } else { names.join(", ") };
    Ok(format!("{}: {tables}; {} crawlers", catalog.place(), crawlers.len()))
}

async fn workgroup(catalog: &Catalog) -> Result<Vec<Finding>, AwsError> {
    let name = &catalog.workgroup;
    let resource = format!("arn:aws:athena:*:*:workgroup/{name}");
    let mut doing =
        doing(catalog, &format!("look at workgroup {name}"), "athena:GetWorkGroup", &resource);
    doing.missing = "create it by Terraform, or name another one: workgroup=… in the catalog's URL, or --workgroup".to_owned();
    let client = aws_sdk_athena::Client::new(&catalog.account.config().await?);
    let told = match client.get_work_group().work_group(name).send().await {
        Ok(told) => told.work_group,
        Err(error) => return Err(doing.fault(error).await),
    };
    let Some(told) = told else { return Err(doing.built("Athena told nothing")) };
    if told.state() == Some(&WorkGroupState::Disabled) {
        let remedy = format!("aws athena update-work-group --work-group {name} --state ENABLED");
        return Ok(vec![Finding::bad(ATHENA, format!("workgroup {name} is disabled"), remedy)]);
    }
    let configured = told.configuration();
    let results = configured
        .and_then(|configured| configured.result_configuration())
        .and_then(|results| results.output_location());
    let mut findings = vec![match results {
        Some(results) => {
            Finding::good(ATHENA, format!("workgroup {name} writes results to {results}"))
        }
        None => Finding::bad(
            ATHENA,
            format!("workgroup {name} has no place for results, so every query is refused"),
            "give it one (terraform/modules/query does), or name another workgroup",
        ),
    }];
    let enforced = configured.and_then(WorkGroupConfiguration::enforce_work_group_configuration);
    findings.push(if enforced == Some(true) {
        Finding::good(ATHENA, "its settings are enforced")
    } else {
        let remedy = format!("aws athena update-work-group --work-group {name} --configuration-updates EnforceWorkGroupConfiguration=true");
        Finding::warning(ATHENA, "clients may send results elsewhere and scan without a limit", remedy)
    });
    findings.push(
        match configured.and_then(WorkGroupConfiguration::bytes_scanned_cutoff_per_query) {
            Some(limit) => {
                Finding::good(ATHENA, format!("a query may scan {:.1} GB", limit as f64 / 1e9))
            }
            None => Finding::warning(
                ATHENA,
                "no limit to what a query may scan, and cost",
                "set athena_scan_limit_gb (Terraform), or BytesScannedCutoffPerQuery",
            ),
        },
    );
    Ok(findings)
}

fn doing<'a>(catalog: &'a Catalog, told: &str, action: &'static str, resource: &str) -> Doing<'a> {
    Doing {
        told: told.to_owned(),
        action,
        resource: resource.to_owned(),
        missing: format!("correct {}", catalog.account.setting()),
        account: &catalog.account,
    }
}

fn bad(what: &str, error: &AwsError) -> Finding {
    match error {
        AwsError::Refused { doing, why, remedy } => {
            Finding::bad(what, format!("{doing}: {why}"), remedy)
        }
        // It says itself what to do.
        error => Finding { remedy: None, ..Finding::bad(what, error.to_string(), "") },
    }
}

#[cfg(test)]
mod tests {
    use millstream_config::Health;
    use serde_json::{Value, json};

    use super::*;
    use crate::fake::{Fake, Reply};

    #[tokio::test]
    async fn a_workgroup_is_judged_by_its_settings() {
        let group = |configuration: Value, state: &str| {
            let group = json!({ "WorkGroup": { "Name": "primary", "State": state, "Configuration": configuration } });
            Fake::start(move |_| Reply::Ok(group.clone()))
        };
        let full = json!({ "EnforceWorkGroupConfiguration": true, "BytesScannedCutoffPerQuery": 10_000_000_000_i64,
            "ResultConfiguration": { "OutputLocation": "s3://b/results/" } });
        let worst = |findings: &[Finding]| findings.iter().map(|finding| finding.state).max();
        let fake = group(full, "ENABLED").await;
        assert_eq!(worst(&workgroup(&fake.catalog()).await.unwrap()), Some(Health::Good));
        let fake =
            group(json!({ "ResultConfiguration": { "OutputLocation": "s3://b/r/" } }), "ENABLED")
                .await;
        assert_eq!(worst(&workgroup(&fake.catalog()).await.unwrap()), Some(Health::Warning));
        let fake = group(json!({}), "ENABLED").await;
        assert_eq!(worst(&workgroup(&fake.catalog()).await.unwrap()), Some(Health::Bad));
        let fake = group(json!({}), "DISABLED").await;
        assert_eq!(worst(&workgroup(&fake.catalog()).await.unwrap()), Some(Health::Bad));
    }

    #[tokio::test]
    async fn bad_credentials_are_told_once() {
        let fake = Fake::start(|_| {
            Reply::No(403, "InvalidClientTokenId", "The security token is invalid")
        })
        .await;
        let findings = examine(&fake.catalog(), Some("bucket")).await;
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert_eq!(findings[0].state, Health::Bad);
    }
}
