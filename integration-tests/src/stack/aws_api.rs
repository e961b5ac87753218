use serde_json::Value;
use tokio::sync::OnceCell;

use super::{Ready, Server, Wanted};

const KEY: &str = "test";

/// AWS's API on this machine: S3, Glue, Athena that runs real SQL on Glue's tables, STS, IAM.
pub async fn aws_api() -> &'static Server {
    static SHARED: OnceCell<Server> = OnceCell::const_new();
    SHARED.get_or_init(|| wanted("ministack").share(|wanted, _| wanted)).await
}

/// Such an API, called `name`. With `AUTH=true` in its environment it heeds policies.
pub fn wanted(name: &str) -> Wanted {
    let wanted = Wanted::new(name, "MINISTACK", &[4566]).memory_mb(768);
    wanted.ready(Ready::Answers("/_ministack/health"))
}

/// The variables of the environment by which AWS's clients find `server`, and nothing else.
pub fn aws_environment(server: &Server) -> Vec<(String, String)> {
    [
        ("AWS_ACCESS_KEY_ID", KEY.to_owned()),
        ("AWS_SECRET_ACCESS_KEY", KEY.to_owned()),
        ("AWS_REGION", "us-east-1".to_owned()),
        ("AWS_ENDPOINT_URL", format!("http://{}", server.address())),
        ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec()
}

/// Asks the API as AWS's own Python client does: `call(server, "glue", "get_table", json!({…}))`.
pub async fn aws_call(server: &Server, service: &str, operation: &str, with: Value) -> Value {
    let said = server.exec(&["call", service, operation, &with.to_string()]).await;
    serde_json::from_str(&said)
        .unwrap_or_else(|error| panic!("{service} {operation}: {error}: {said}"))
}
