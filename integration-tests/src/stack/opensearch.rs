use tokio::sync::OnceCell;

use super::{Ready, Server, Wanted};

/// One node without TLS and passwords, on loopback.
pub async fn opensearch() -> &'static Server {
    static SHARED: OnceCell<Server> = OnceCell::const_new();
    SHARED.get_or_init(|| wanted("opensearch").share(|wanted, _| wanted)).await
}

/// Such a node, called `name`.
pub fn wanted(name: &str) -> Wanted {
    Wanted::new(name, "OPENSEARCH", &[9200])
        .env("discovery.type", "single-node")
        .env("DISABLE_SECURITY_PLUGIN", "true")
        .env("DISABLE_INSTALL_DEMO_CONFIG", "true")
        .env("OPENSEARCH_JAVA_OPTS", "-Xms512m -Xmx1g")
        .memory_mb(1700)
        .ready(Ready::Answers("/"))
}
