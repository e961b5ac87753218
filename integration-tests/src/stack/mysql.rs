use tokio::sync::OnceCell;

use super::{Ready, Server, Wanted};

/// Who the tests' apps are; may do everything.
pub const APP_USER: &str = "root";
pub const APP_PASSWORD: &str = "for-tests-only";

pub async fn mysql() -> &'static Server {
    static SHARED: OnceCell<Server> = OnceCell::const_new();
    SHARED.get_or_init(|| wanted("mysql", "MYSQL").share(|wanted, _| wanted)).await
}

pub async fn mariadb() -> &'static Server {
    static SHARED: OnceCell<Server> = OnceCell::const_new();
    SHARED.get_or_init(|| wanted("mariadb", "MARIADB").share(|wanted, _| wanted)).await
}

fn wanted(name: &str, component: &'static str) -> Wanted {
    // Healthy only when it listens for good: while it is set up it listens too.
    Wanted::new(name, component, &[3306])
        .env("MYSQL_ROOT_PASSWORD", APP_PASSWORD)
        .memory_mb(700)
        .ready(Ready::Healthy)
}
