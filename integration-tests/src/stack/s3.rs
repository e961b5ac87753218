use tokio::sync::OnceCell;

use super::{Ready, Server, Wanted};

pub const S3_KEY: &str = "test";
pub const S3_SECRET: &str = "for-tests-only";

/// A gateway that speaks S3, with its buckets on its own disk.
pub async fn s3() -> &'static Server {
    static SHARED: OnceCell<Server> = OnceCell::const_new();
    SHARED.get_or_init(|| wanted("s3").share(|wanted, _| wanted)).await
}

/// Such a gateway, called `name`.
pub fn wanted(name: &str) -> Wanted {
    let wanted = Wanted::new(name, "S3", &[7070]).memory_mb(256).ready(Ready::Listens);
    wanted.env("ROOT_ACCESS_KEY", S3_KEY).env("ROOT_SECRET_KEY", S3_SECRET)
}

/// The variables of the environment by which AWS's clients find `server`.
pub fn s3_environment(server: &Server) -> Vec<(String, String)> {
    [
        ("AWS_ACCESS_KEY_ID", S3_KEY.to_owned()),
        ("AWS_SECRET_ACCESS_KEY", S3_SECRET.to_owned()),
        ("AWS_REGION", "us-east-1".to_owned()),
        ("AWS_ENDPOINT_URL", format!("http://{}", server.address())),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec()
}

/// A bucket that nobody else has; its name.
pub async fn bucket(server: &Server) -> String {
    let bucket = super::unique("bucket").replace('_', "-");
    super::parquet::make_bucket(&bucket, &s3_environment(server));
    bucket
}
