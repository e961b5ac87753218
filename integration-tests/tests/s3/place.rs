use std::sync::Arc;

use integration_tests::stack::{self, S3_KEY, S3_SECRET, Server};
use millstream_config::{Endpoint, Secret};
use millstream_sinks::lake::{S3Store, Store};

use crate::proxy::{Proxy, REFUSAL};

/// A bucket that no other test has.
pub struct Place {
    /// `127.0.0.1:port` of the server.
    pub server: String,
    pub bucket: String,
}

impl Place {
    /// On the shared server.
    pub async fn new(name: &str) -> Self {
        Self::on(stack::s3().await, name)
    }

    pub fn on(server: &Server, name: &str) -> Self {
        Self { server: server.address(), bucket: stack::unique(name).replace('_', "-") }
    }

    /// The bucket, made if it is missing.
    pub fn store(&self) -> Arc<dyn Store> {
        Arc::new(self.open(&self.server, "", "create=on"))
    }

    /// The bucket by way of `address`, a proxy's say.
    pub fn through(&self, address: &str, options: &str) -> Arc<dyn Store> {
        Arc::new(self.open(address, "", &format!("create=on&{options}")))
    }

    pub async fn proxy(&self) -> Proxy {
        Proxy::to(&self.server, REFUSAL).await
    }

    pub fn open(&self, address: &str, prefix: &str, options: &str) -> S3Store {
        self.open_as(address, prefix, options, S3_SECRET)
    }

    pub fn open_as(&self, address: &str, prefix: &str, options: &str, secret: &str) -> S3Store {
        self.open_by(&format!("http://{address}"), prefix, options, secret)
    }

    pub fn open_by(&self, endpoint: &str, prefix: &str, options: &str, secret: &str) -> S3Store {
        let bucket = &self.bucket;
        let and = if options.is_empty() { "" } else { "&" };
        let url = format!("s3://{S3_KEY}@{bucket}/{prefix}?endpoint={endpoint}{and}{options}");
        let url = Endpoint::parse("stores.lake", &url, Secret::new(secret), 443);
        S3Store::new(url.expect("a URL")).expect("its options")
    }
}
