use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, SchemaRef};
use millstream_config::{Endpoint, EndpointError, Tls};
use millstream_engine::{Limits, LookupError};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error, Opts, OptsBuilder, Row, SslOpts, Value};

use super::texts::{Texts, to_texts};
use super::{create, insert, quoted, select};

pub(super) const PORT: u16 = 3306;

/// A MySQL or MariaDB server, and a database on it. Each reading has a connection of its own: minutes lie between two.
#[derive(Clone, Debug)]
pub(super) struct Mysql {
    pub(super) endpoint: Endpoint,
    tls: Tls,
}

impl Mysql {
    pub(super) fn new(mut endpoint: Endpoint) -> Result<Self, EndpointError> {
        let tls = endpoint.tls()?;
        endpoint.all_taken()?;
        if endpoint.path.is_empty() || endpoint.path.contains('/') {
            return Err(endpoint.refused(
                "its path is not the name of a database",
                "write it as mysql://user@host/database",
            ));
        }
        Ok(Self { endpoint, tls })
    }

    pub(super) async fn read(
        &self,
        doing: String,
        table: &str,
        columns: &SchemaRef,
        limits: Limits,
    ) -> Result<RecordBatch, LookupError> {
        let told = |error| self.told(&doing, error);
        let mut texts = Texts::new(doing.clone(), columns, limits);
        let mut connection = self.connect().await.map_err(told)?;
        let mut rows = connection.query_iter(select(table, columns)).await.map_err(told)?;
        // Row by row: a table that is over the limits is left before it fills the memory.
        while let Some(row) = rows.next().await.map_err(told)? {
            let values = text_of(row).ok_or_else(|| self.no_text(&doing))?;
            texts.push(values.iter().map(Option::as_deref))?;
        }
        drop(rows);
        let rows = texts.finish(columns);
        // What was read was read: a connection that can't be closed well is of no interest.
        let _ = connection.disconnect().await;
        rows
    }

    pub(super) async fn fill(
        &self,
        table: &str,
        key: &str,
        rows: &RecordBatch,
    ) -> Result<bool, LookupError> {
        let doing = format!("make table {table} in {}", self.endpoint);
        let told = |error| self.told(&doing, error);
        let mut connection = self.connect().await.map_err(told)?;
        let sql = "SELECT count(*) FROM information_schema.tables \
                   WHERE table_schema = DATABASE() AND table_name = ?";
        let there: Option<u64> = connection.exec_first(sql, (table,)).await.map_err(told)?;
        if there.unwrap_or_default() > 0 {
            return Ok(false);
        }
        // A table comes with its rows by being renamed: making one ends a transaction.
        let draft = format!("{table}_draft_{}", std::process::id());
        let kind = |field: &Field| kind(field.data_type(), field.name() == key);
        let columns = rows.schema();
        let clean = format!("DROP TABLE IF EXISTS {}", quoted(&draft));
        connection.query_drop(&clean).await.map_err(told)?;
        connection.query_drop(create(&draft, key, &columns, kind)).await.map_err(told)?;
        connection.exec_batch(insert(&draft, &columns), to_texts(rows)?).await.map_err(told)?;
        let rename = format!("RENAME TABLE {} TO {}", quoted(&draft), quoted(table));
        let filled = match connection.query_drop(rename).await {
            Ok(()) => true,
            // Somebody else was faster.
            Err(Error::Server(error)) if error.code == 1050 => {
                connection.query_drop(&clean).await.map_err(told)?;
                false
            }
            Err(error) => return Err(told(error)),
        };
        let _ = connection.disconnect().await;
        Ok(filled)
    }

    /// To the first of the hosts that answers.
    async fn connect(&self) -> Result<Conn, Error> {
        let mut failed = None;
        for (host, port) in &self.endpoint.hosts {
            match Conn::new(self.options(host, *port)).await {
                Ok(connection) => return Ok(connection),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        Err(failed.unwrap_or_else(|| Error::from(std::io::Error::other("no host is named"))))
    }

    fn options(&self, host: &str, port: u16) -> Opts {
        let tls = match &self.tls {
            Tls::Off => None,
            Tls::On { ca: None } => Some(SslOpts::default()),
            Tls::On { ca: Some(file) } => Some(
                SslOpts::default()
                    .with_root_certs(vec![file.clone().into()])
                    .with_disable_built_in_roots(true),
            ),
        };
        let Endpoint { user, password, path, .. } = &self.endpoint;
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        OptsBuilder::default()
            .ip_or_hostname(host.trim_matches(['[', ']']))
            .tcp_port(port)
            .user(given(user))
            .pass(given(password.expose()))
            .db_name(Some(path))
            .prefer_socket(false)
            .ssl_opts(tls)
            .into()
    }

    fn no_text(&self, doing: &str) -> LookupError {
        LookupError::refused(
            doing,
            "a value is no text",
            "declare columns of numbers, texts and dates only",
        )
    }

    /// A table that isn't there may come; what is denied, or named wrongly, is for somebody to correct.
    fn told(&self, doing: &str, error: Error) -> LookupError {
        let Error::Server(server) = &error else {
            return LookupError::unavailable(doing, innermost(&error));
        };
        let why = server.message.clone();
        let user = if self.endpoint.user.is_empty() { "the user" } else { &self.endpoint.user };
        match server.code {
            1045 => {
                let key = self.endpoint.password_key();
                LookupError::refused(
                    doing,
                    why,
                    format!("correct {key} or the user in {}", self.endpoint.key),
                )
            }
            1044 | 1142 | 1143 => {
                let remedy = format!("GRANT SELECT on the table to {user}");
                LookupError::refused(doing, why, remedy)
            }
            1054 => {
                let remedy = "add the column, or correct those that the pipeline declares";
                LookupError::refused(doing, why, remedy)
            }
            1264 | 1292 | 1366 | 1406 => {
                LookupError::refused(doing, "a value doesn't fit its column", "correct the rows")
            }
            1062 => LookupError::refused(doing, "a key stands twice", "correct the rows"),
            _ => LookupError::unavailable(doing, why),
        }
    }
}

/// The driver wraps a fault of the network several times, each time with the same words.
fn innermost(error: &Error) -> String {
    let causes = std::iter::successors(Some(error as &dyn std::error::Error), |one| one.source());
    causes.last().map(ToString::to_string).unwrap_or_default()
}

/// Without parameters a server sends every value as a text.
fn text_of(row: Row) -> Option<Vec<Option<String>>> {
    let values = row.unwrap_raw().into_iter().map(|value| match value {
        None | Some(Value::NULL) => Some(None),
        Some(Value::Bytes(bytes)) => String::from_utf8(bytes).ok().map(Some),
        Some(_) => None,
    });
    values.collect()
}

fn kind(kind: &DataType, is_key: bool) -> &'static str {
    match kind {
        DataType::Boolean => "BOOLEAN",
        kind if kind.is_integer() => "BIGINT",
        kind if kind.is_floating() => "DOUBLE",
        DataType::Date32 => "DATE",
        // Texts that differ are different keys.
        _ if is_key => "VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
        _ => "TEXT CHARACTER SET utf8mb4",
    }
}
