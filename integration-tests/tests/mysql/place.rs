use integration_tests::stack::{self, APP_PASSWORD, Ready, Server, Wanted};
use millstream_config::{Endpoint, Secret};
use millstream_sinks::mysql::{Mysql, MysqlTable};

/// Who may do everything.
pub const ROOT: &str = "root";
/// The setting that servers are named by here.
pub const KEY: &str = "stores.tables";

/// A database that no other test has, and its server.
pub struct Place<'a> {
    pub server: &'a Server,
    /// The server's own client.
    client: &'static str,
    pub database: String,
}

impl Place<'static> {
    pub async fn mysql(name: &str) -> Self {
        Place::on(stack::mysql().await, "mysql", name)
    }

    pub async fn mariadb(name: &str) -> Self {
        Place::on(stack::mariadb().await, "mariadb", name)
    }
}

impl<'a> Place<'a> {
    pub fn on(server: &'a Server, client: &'static str, name: &str) -> Self {
        // Names of databases have at most 64 characters.
        let name: String = name.chars().take(40).collect();
        Self { server, client, database: stack::unique(&name) }
    }

    pub fn is_maria(&self) -> bool {
        self.client == "mariadb"
    }

    pub fn mysql_server(&self) -> Mysql {
        self.through(&self.server.address())
    }

    /// The server by way of `address`, a proxy's say.
    pub fn through(&self, address: &str) -> Mysql {
        server(address, ROOT, APP_PASSWORD, "").unwrap()
    }

    pub fn upsert(&self, table: &str) -> MysqlTable {
        MysqlTable::upsert(self.mysql_server(), &self.database, table, &["id"])
    }

    pub fn count(&self, table: &str) -> MysqlTable {
        MysqlTable::count(self.mysql_server(), &self.database, table, &["id"], "n")
    }

    /// As somebody with the server's own client would ask, in no database: rows of tab-separated values.
    pub async fn ask(&self, statements: &str) -> String {
        let asked = self.try_ask(statements).await;
        asked.unwrap_or_else(|why| panic!("{statements}: {why}"))
    }

    /// As [`Place::ask`], for what may fail; then what the client says.
    pub async fn try_ask(&self, statements: &str) -> Result<String, String> {
        let password = format!("MYSQL_PWD={APP_PASSWORD}");
        let user = format!("--user={ROOT}");
        let client = [
            "env",
            &password,
            self.client,
            &user,
            "--default-character-set=utf8mb4",
            "--batch",
            "--skip-column-names",
            "--execute",
            statements,
        ];
        let ran = self.server.try_exec(&client).await;
        if ran.code == 0 { Ok(ran.stdout) } else { Err(ran.stderr) }
    }

    /// In this place's database.
    pub async fn sql(&self, statements: &str) -> String {
        self.ask(&format!("USE `{}`; {statements}", self.database)).await
    }

    /// As [`Place::sql`], for what may fail.
    pub async fn try_sql(&self, statements: &str) -> Result<String, String> {
        self.try_ask(&format!("USE `{}`; {statements}", self.database)).await
    }

    /// The lines of [`Place::sql`].
    pub async fn lines(&self, statements: &str) -> Vec<String> {
        self.sql(statements).await.lines().map(str::to_owned).collect()
    }

    /// Makes a user with these rights on this place's database; its name.
    pub async fn user(&self, rights: &str) -> String {
        let user = stack::unique("u");
        let mut statements = format!("CREATE USER '{user}'@'%' IDENTIFIED BY '{APP_PASSWORD}';");
        if !rights.is_empty() {
            statements += &format!("GRANT {rights} ON `{}`.* TO '{user}'@'%';", self.database);
        }
        self.ask(&statements).await;
        user
    }
}

/// `address`: host:port. `options`: "create=off".
pub fn server(
    address: &str,
    user: &str,
    password: &str,
    options: &str,
) -> Result<Mysql, millstream_engine::SinkError> {
    let url = format!("mysql://{user}@{address}?{options}");
    Mysql::new(Endpoint::parse(KEY, &url, Secret::new(password), 3306).expect("a URL"))
}

/// A server of the test's own, to be stopped, or with other settings. `component`: "MYSQL" or "MARIADB".
pub fn own(component: &'static str) -> Wanted {
    Wanted::new("own", component, &[3306])
        .env("MYSQL_ROOT_PASSWORD", APP_PASSWORD)
        .memory_mb(700)
        .ready(Ready::Healthy)
}

/// The client of its image.
pub fn client(component: &str) -> &'static str {
    if component == "MARIADB" { "mariadb" } else { "mysql" }
}
