use tokio::sync::OnceCell;

use super::{Ready, Server, Wanted};

/// Who the apps are.
pub const APP_USER: &str = "app";
/// Theirs, and the administrator's ("root").
pub const APP_PASSWORD: &str = "for-tests-only";

pub async fn mysql() -> &'static Server {
    static SHARED: OnceCell<Server> = OnceCell::const_new();
    SHARED.get_or_init(|| server("mysql", "MYSQL").share(|wanted, _| wanted)).await
}

pub async fn mariadb() -> &'static Server {
    static SHARED: OnceCell<Server> = OnceCell::const_new();
    SHARED.get_or_init(|| server("mariadb", "MARIADB").share(|wanted, _| wanted)).await
}

/// A MySQL server with one database, in which [`APP_USER`] may do everything, and nothing elsewhere.
pub fn wanted(name: &str, database: &str) -> Wanted {
    let wanted = server(name, "MYSQL").env("MYSQL_DATABASE", database);
    wanted.env("MYSQL_USER", APP_USER).env("MYSQL_PASSWORD", APP_PASSWORD)
}

fn server(name: &str, component: &'static str) -> Wanted {
    // Healthy only when it listens for good: while it is set up it may listen too.
    Wanted::new(name, component, &[3306])
        .env("MYSQL_ROOT_PASSWORD", APP_PASSWORD)
        .memory_mb(700)
        .ready(Ready::Healthy)
}
