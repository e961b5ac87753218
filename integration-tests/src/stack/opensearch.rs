use tokio::sync::OnceCell;

use super::{Ready, Server, Wanted};

/// One node without TLS and passwords, on loopback.
pub async fn opensearch() -> &'static Server {
    static SHARED: OnceCell<Server> = OnceCell::const_new();
    SHARED
        .get_or_init(|| {
            let wanted = Wanted::new("opensearch", "OPENSEARCH", &[9200]);
            let wanted = wanted
                .env("discovery.type", "single-node")
                .env("DISABLE_SECURITY_PLUGIN", "true")
                .env("DISABLE_INSTALL_DEMO_CONFIG", "true")
                .env("OPENSEARCH_JAVA_OPTS", "-Xms512m -Xmx512m");
            wanted.memory_mb(1200).ready(Ready::Answers("/")).share(|wanted, _| wanted)
        })
        .await
}
