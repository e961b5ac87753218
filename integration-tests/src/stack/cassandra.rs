use tokio::sync::OnceCell;

use super::{Ready, Server, Wanted};

/// One node without passwords, on loopback. Drivers are told the port they come by.
pub async fn cassandra() -> &'static Server {
    static SHARED: OnceCell<Server> = OnceCell::const_new();
    SHARED
        .get_or_init(|| {
            let wanted = Wanted::new("cassandra", "CASSANDRA", &[9042]);
            let wanted = wanted.env("CASSANDRA_BROADCAST_RPC_ADDRESS", "127.0.0.1").memory_mb(1400);
            wanted.ready(Ready::Listens).share(|wanted, _| wanted)
        })
        .await
}
