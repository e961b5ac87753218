use tokio::sync::OnceCell;

use super::{Ready, Server, Wanted};

/// One node without passwords, on loopback. Drivers are told the port they come by.
pub async fn cassandra() -> &'static Server {
    static SHARED: OnceCell<Server> = OnceCell::const_new();
    // All tests' keyspaces stay in it, each with tables of its own in memory.
    let roomy = || wanted("cassandra").env("MAX_HEAP_SIZE", "768M").memory_mb(1900);
    SHARED.get_or_init(|| roomy().share(|wanted, _| wanted)).await
}

/// Such a node, called `name`.
pub fn wanted(name: &str) -> Wanted {
    let wanted = Wanted::new(name, "CASSANDRA", &[9042]).memory_mb(1400).ready(Ready::Healthy);
    wanted.env("CASSANDRA_BROADCAST_RPC_ADDRESS", "127.0.0.1")
}
