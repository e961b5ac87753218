//! Policies that are in the way, on an API of the test's own that heeds them.

use integration_tests::stack::{self, Server};
use millstream_aws::glue::{Format, TableSpec};
use millstream_aws::{AwsError, Catalog, preflight};
use millstream_config::{Health, Secret};
use serde_json::json;
use tokio_util::sync::CancellationToken;

/// Somebody who may read the catalog and nothing else: the key and its secret.
async fn reader(server: &Server) -> (String, String) {
    let call = async |service: &str, operation: &str, with| {
        stack::aws_call(server, service, operation, with).await
    };
    call("glue", "create_database", json!({ "DatabaseInput": { "Name": "lake" } })).await;
    call("iam", "create_user", json!({ "UserName": "reader" })).await;
    let policy = json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow", "Resource": "*",
        "Action": ["glue:GetDatabase", "glue:GetTable", "glue:GetTables", "sts:GetCallerIdentity"] }] });
    let policy = json!({ "UserName": "reader", "PolicyName": "reads", "PolicyDocument": policy.to_string() });
    call("iam", "put_user_policy", policy).await;
    let told = call("iam", "create_access_key", json!({ "UserName": "reader" })).await;
    let key = |name: &str| told["AccessKey"][name].as_str().unwrap().to_owned();
    (key("AccessKeyId"), key("SecretAccessKey"))
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_on_the_network_reaches_the_tests_servers() {
    let server = stack::wanted_aws_api("alone").start().await;
    let ports = std::process::Command::new("docker").args(["port", &server.id()]).output().unwrap();
    let ports = String::from_utf8(ports.stdout).unwrap();
    assert!(ports.lines().count() > 0, "{ports}");
    assert!(ports.lines().all(|line| line.contains("-> 127.0.0.1:")), "{ports}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_permission_that_is_missing_is_named() {
    let server = stack::wanted_aws_api("denied").env("AUTH", "true").start().await;
    let (key, secret) = reader(&server).await;
    let catalog = |secret: &str| {
        let url = format!("glue://{key}@lake?endpoint=http://{}", server.address());
        Catalog::parse("stores.catalog", &url, Secret::new(secret)).unwrap()
    };
    let spec = TableSpec {
        name: "t".to_owned(),
        location: "s3://bucket/t/".to_owned(),
        format: Format::Parquet,
        columns: vec![("id".to_owned(), "bigint".to_owned())],
        partitions: vec![],
    };
    let error = catalog(&secret).glue().ensure_table(&spec).await.unwrap_err();
    assert!(
        !error.is_retryable()
            && error.to_string().contains("allow glue:CreateTable on arn:aws:glue:"),
        "{error}"
    );
    let run = async |catalog: Catalog| -> AwsError {
        catalog.athena().run("SELECT 1", &CancellationToken::new(), &|_| {}).await.unwrap_err()
    };
    let error = run(catalog(&secret)).await;
    assert!(
        !error.is_retryable() && error.to_string().contains("allow athena:StartQueryExecution on"),
        "{error}"
    );
    let error = run(catalog("wrong")).await;
    assert!(error.is_retryable() && error.to_string().contains("renew the credentials"), "{error}");

    let findings = preflight::examine(&catalog(&secret), None).await;
    let told = |what: &str| {
        findings
            .iter()
            .find(|finding| finding.what == what)
            .unwrap_or_else(|| panic!("{findings:#?}"))
    };
    assert_eq!(told("aws").state, Health::Good, "{findings:#?}");
    assert!(told("aws").told.contains("user/reader"), "{findings:#?}");
    let athena = told("athena");
    assert!(
        athena.remedy.as_deref().unwrap_or_default().contains("allow athena:GetWorkGroup"),
        "{findings:#?}"
    );
    let findings = preflight::examine(&catalog("wrong"), None).await;
    assert_eq!((findings.len(), findings[0].state), (1, Health::Bad), "{findings:#?}");
}
