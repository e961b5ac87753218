//! A connection, set up as every one of ours is, with a deadline on each answer.

use std::fmt;
use std::future::Future;
use std::time::{Duration, Instant};

use mysql_async::prelude::{FromValue, Queryable};
use mysql_async::{Conn, Error, IoError, Opts, Params, Row, Value};

use super::dialect::Dialect;
use super::faults::Fault;
use super::server::Mysql;

/// How long a server may take to let us in. Well below the ten seconds in which a worker must have drained.
const CONNECT: Duration = Duration::from_secs(5);
/// How long it may take for an answer. A lock is waited for 5 s at most.
const ANSWER: Duration = Duration::from_secs(30);
/// How long a table may take to be made or to grow.
const CHANGE: Duration = Duration::from_secs(300);
/// After so long without a word the server may have closed the connection, as `wait_timeout` says.
const IDLE: Duration = Duration::from_secs(30);

/// READ COMMITTED is enough: what a transaction decides by, the position's row and the owner's, it locks; the rows it
/// compares versions with are locked by the very statement that writes them. The default, REPEATABLE READ, would lock the
/// gaps between keys, too, and workers of two partitions would wait for each other without need.
///
/// `wait_timeout`: the transaction of a worker that lost its network is rolled back after a minute, and its locks go.
const SETUP: [&str; 3] = [
    "SET NAMES utf8mb4",
    "SET SESSION autocommit = 1, time_zone = '+00:00', sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', \
     innodb_lock_wait_timeout = 5, lock_wait_timeout = 5, wait_timeout = 60, net_write_timeout = 600",
    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
];

pub(super) struct Session {
    conn: Conn,
    pub dialect: Dialect,
    /// What the server takes at once, in bytes.
    pub packet: usize,
    used: Instant,
    lost: bool,
}

impl Session {
    /// With the first of the server's hosts that lets us in.
    pub async fn open(server: &Mysql, database: Option<&str>) -> Result<Self, Fault> {
        let mut last = None;
        for options in server.options(database, &SETUP) {
            match Self::with(options).await {
                Ok(session) => return Ok(session),
                Err(fault) => last = Some(fault),
            }
        }
        let none = std::io::Error::from(std::io::ErrorKind::NotFound);
        Err(last.unwrap_or(Fault::Store(Error::Io(IoError::Io(none)))))
    }

    async fn with(options: Opts) -> Result<Self, Fault> {
        let conn = within(CONNECT, Conn::new(options)).await?;
        let dialect = Dialect::of("");
        let mut session = Self { conn, dialect, packet: 0, used: Instant::now(), lost: false };
        let facts = session.row("SELECT VERSION(), @@max_allowed_packet", vec![]).await?;
        if let Some(facts) = facts {
            session.dialect = Dialect::of(&value::<String>(&facts, 0).unwrap_or_default());
            session.packet = value(&facts, 1).unwrap_or(usize::MAX);
        }
        Ok(session)
    }

    /// Whether it may be spoken through again.
    pub fn is_usable(&self) -> bool {
        !self.lost && self.used.elapsed() < IDLE
    }

    /// Tells how many rows it changed.
    pub async fn run(&mut self, statement: &str, values: Vec<Value>) -> Result<u64, Fault> {
        let ran = within(ANSWER, self.conn.exec_drop(statement, params(values))).await;
        self.noted(ran)?;
        Ok(self.conn.affected_rows())
    }

    /// A statement that can't be prepared, or isn't used again.
    pub async fn say(&mut self, statement: &str) -> Result<(), Fault> {
        let said = within(ANSWER, self.conn.query_drop(statement)).await;
        self.noted(said)
    }

    /// As [`Session::say`], for what may have to go through a whole table.
    pub async fn change(&mut self, statement: &str) -> Result<(), Fault> {
        let changed = within(CHANGE, self.conn.query_drop(statement)).await;
        self.noted(changed)
    }

    pub async fn rows(&mut self, query: &str, values: Vec<Value>) -> Result<Vec<Row>, Fault> {
        let rows = within(ANSWER, self.conn.exec::<Row, _, _>(query, params(values))).await;
        self.noted(rows)
    }

    pub async fn row(&mut self, query: &str, values: Vec<Value>) -> Result<Option<Row>, Fault> {
        let row = within(ANSWER, self.conn.exec_first::<Row, _, _>(query, params(values))).await;
        self.noted(row)
    }

    /// Shows the rows one by one, as they come, until `visit` fails.
    pub async fn each(
        &mut self,
        query: &str,
        visit: &mut (dyn FnMut(&Row) -> Result<(), Fault> + Send),
    ) -> Result<(), Fault> {
        let started = within(CHANGE, self.conn.exec_iter(query, Params::Empty)).await;
        // What is left unread makes the connection useless.
        self.lost = true;
        let mut rows = started?;
        while let Some(row) = within(ANSWER, rows.next()).await? {
            visit(&row)?;
        }
        drop(rows);
        self.lost = false;
        self.used = Instant::now();
        Ok(())
    }

    /// Ends what was begun, if anybody still listens. A lost connection's transaction is the server's to roll back.
    pub async fn roll_back(&mut self) {
        if !self.lost && self.say("ROLLBACK").await.is_err() {
            self.lost = true;
        }
    }

    /// Takes leave, so that the server needn't log an aborted connection.
    pub async fn close(self) {
        if !self.lost {
            // It goes either way.
            let _ = tokio::time::timeout(CONNECT, self.conn.disconnect()).await;
        }
    }

    fn noted<T>(&mut self, done: Result<T, Fault>) -> Result<T, Fault> {
        self.used = Instant::now();
        self.lost |= done.as_ref().is_err_and(Fault::loses_connection);
        done
    }
}

/// Without the connection: it shows its options, and with them the password.
impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "connection {} to {}", self.conn.id(), self.dialect.name())
    }
}

/// The value of a column; `None`: it is null, or none of that type.
pub(super) fn value<T: FromValue>(row: &Row, index: usize) -> Option<T> {
    row.get_opt(index)?.ok()
}

async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Fault> {
    match tokio::time::timeout(limit, work).await {
        Ok(done) => Ok(done?),
        Err(_) => Err(Fault::Late(limit)),
    }
}

fn params(values: Vec<Value>) -> Params {
    if values.is_empty() { Params::Empty } else { Params::Positional(values) }
}
