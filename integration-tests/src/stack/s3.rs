use tokio::sync::OnceCell;

use super::{Ready, Server, Wanted};

pub const S3_KEY: &str = "test";
pub const S3_SECRET: &str = "for-tests-only";

/// A gateway that speaks S3, with its buckets on its own disk.
pub async fn s3() -> &'static Server {
    static SHARED: OnceCell<Server> = OnceCell::const_new();
    SHARED
        .get_or_init(|| {
            let wanted = Wanted::new("s3", "S3", &[7070]);
            let wanted = wanted.env("ROOT_ACCESS_KEY", S3_KEY).env("ROOT_SECRET_KEY", S3_SECRET);
            wanted.memory_mb(256).ready(Ready::Listens).share(|wanted, _| wanted)
        })
        .await
}
