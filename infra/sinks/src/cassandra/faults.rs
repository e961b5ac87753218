//! What Cassandra's errors call for: patience, or somebody.

use std::error::Error;

use millstream_config::Endpoint;
use millstream_engine::SinkError;
use scylla::errors::{
    BadQuery, ConnectionError, ConnectionPoolError, ConnectionSetupRequestErrorKind, DbError,
    ExecutionError, MetadataError, MetadataFetchErrorKind, NewSessionError, NextPageError,
    NextRowError, PagerExecutionError, PrepareError, RequestAttemptError, RequestError,
};

/// How Cassandra says that there is no such keyspace or table.
const MISSING: [&str; 3] = ["unconfigured table", "does not exist", "doesn't exist"];

/// What went wrong inside a piece of work, before it is said what the work was.
#[derive(Debug)]
pub(super) enum Fault {
    Execution(ExecutionError),
    Prepare(PrepareError),
    Paging(PagerExecutionError),
    Row(NextRowError),
    Session(NewSessionError),
    /// An answer that is none to what was asked.
    Answer(Box<dyn Error + Send + Sync>),
    /// The server lists a table or a column, and has not heard of it.
    Early(Box<Fault>),
    /// Says it all already.
    Told(SinkError),
}

macro_rules! from {
    ($($error:ty => $variant:ident),*) => {
        $(impl From<$error> for Fault {
            fn from(error: $error) -> Self {
                Self::$variant(error)
            }
        })*
    };
}

from!(
    ExecutionError => Execution,
    PrepareError => Prepare,
    PagerExecutionError => Paging,
    NextRowError => Row,
    NewSessionError => Session,
    SinkError => Told
);

/// What is at an error's bottom.
enum Cause<'a> {
    /// The server said this.
    Said(&'a DbError, &'a str),
    /// The server wants to know who we are.
    NoLogin,
    /// The connection came to nothing.
    Connection(&'a std::io::Error),
    /// The value can't be sent.
    Value(String),
    /// No answer in time, no connection.
    Silence,
}

impl Fault {
    pub fn answer(error: impl Error + Send + Sync + 'static) -> Self {
        Self::Answer(Box::new(error))
    }

    /// `doing`: a verb with its object, such as "commit range 3 of words-0".
    pub fn told(self, doing: &str, endpoint: &Endpoint) -> SinkError {
        let doing = match &self {
            Self::Told(_) | Self::Session(_) => doing.to_owned(),
            _ => format!("{doing} in {endpoint}"),
        };
        let error = match self {
            Self::Told(error) => return error,
            Self::Answer(error) => {
                let why = error.to_string();
                return SinkError::refused(
                    doing,
                    why,
                    "undo what was changed in the tables by hand",
                );
            }
            other => other,
        };
        match error.cause() {
            Cause::Said(said, text) => match verdict(said, text, endpoint) {
                Verdict::Wait => SinkError::unavailable(doing, error.boxed()),
                Verdict::Act(remedy) => SinkError::refused(doing, text, remedy),
            },
            Cause::NoLogin => {
                let remedy = format!(
                    "name a user in {} (scheme://user@host) and set {}",
                    endpoint.key,
                    endpoint.password_key()
                );
                SinkError::refused(doing, "the server wants a user and a password", remedy)
            }
            Cause::Connection(io) if io.to_string().contains("certificate") => {
                let remedy = "set option ca to the authority that signed the nodes' certificates, and let these name \
                              the nodes' IP addresses";
                SinkError::refused(doing, io.to_string(), remedy)
            }
            Cause::Value(why) => {
                let remedy = "leave such rows out in the pipeline's SQL, or pass the records with `millstream position skip`";
                SinkError::refused(doing, why, remedy)
            }
            Cause::Connection(_) | Cause::Silence => SinkError::unavailable(doing, error.boxed()),
        }
    }

    /// Whether what was asked for may have happened all the same, or happen yet.
    pub fn is_uncertain(&self) -> bool {
        match self.cause() {
            Cause::Said(said, _) => matches!(
                said,
                DbError::WriteTimeout { .. }
                    | DbError::WriteFailure { .. }
                    | DbError::ServerError
                    | DbError::Overloaded
                    | DbError::Other(_)
            ),
            Cause::Connection(_) | Cause::Silence => true,
            Cause::NoLogin | Cause::Value(_) => false,
        }
    }

    /// The server said that what is to be made is there already.
    pub fn is_there_already(&self) -> bool {
        match self.cause() {
            Cause::Said(DbError::AlreadyExists { .. }, _) => true,
            Cause::Said(DbError::Invalid, text) => {
                text.contains("already exist") || text.contains("conflicts with an existing")
            }
            _ => false,
        }
    }

    /// The server knows no such table or column: yet, or any more.
    pub fn is_unheard_of(&self) -> bool {
        match self.cause() {
            Cause::Said(DbError::Invalid, text) => {
                let known = [MISSING.as_slice(), &["Undefined column", "Unknown identifier"]];
                known.concat().iter().any(|words| text.contains(words))
            }
            _ => false,
        }
    }

    /// Of what is listed: to be waited for.
    pub fn early(self) -> Self {
        if self.is_unheard_of() { Self::Early(Box::new(self)) } else { self }
    }

    fn cause(&self) -> Cause<'_> {
        match self {
            Self::Execution(error) => of_execution(error),
            Self::Prepare(error) => of_prepare(error),
            Self::Paging(PagerExecutionError::PrepareError(error)) => of_prepare(error),
            Self::Paging(PagerExecutionError::NextPageError(error))
            | Self::Row(NextRowError::NextPageError(error)) => of_page(error),
            Self::Paging(PagerExecutionError::SerializationError(error)) => {
                Cause::Value(error.to_string())
            }
            Self::Row(NextRowError::RowDeserializationError(error)) => {
                Cause::Value(error.to_string())
            }
            Self::Session(NewSessionError::MetadataError(error)) => of_metadata(error),
            _ => Cause::Silence,
        }
    }

    fn boxed(self) -> Box<dyn Error + Send + Sync> {
        match self {
            Self::Execution(error) => error.into(),
            Self::Prepare(error) => error.into(),
            Self::Paging(error) => error.into(),
            Self::Row(error) => error.into(),
            Self::Session(error) => error.into(),
            Self::Answer(error) => error,
            Self::Early(fault) => {
                format!("the node takes no statements yet for what it lists ({})", fault.boxed())
                    .into()
            }
            Self::Told(error) => error.into(),
        }
    }
}

fn of_execution(error: &ExecutionError) -> Cause<'_> {
    match error {
        ExecutionError::LastAttemptError(error) => of_attempt(error),
        ExecutionError::PrepareError(error) => of_prepare(error),
        ExecutionError::ConnectionPoolError(error) => of_pool(error),
        ExecutionError::MetadataError(error) => of_metadata(error),
        ExecutionError::BadQuery(BadQuery::ValuesTooLongForKey(length, most)) => {
            Cause::Value(format!("a key has {length} bytes, and Cassandra's have at most {most}"))
        }
        ExecutionError::BadQuery(error) => Cause::Value(error.to_string()),
        _ => Cause::Silence,
    }
}

fn of_prepare(error: &PrepareError) -> Cause<'_> {
    match error {
        PrepareError::ConnectionPoolError(error) => of_pool(error),
        PrepareError::AllAttemptsFailed { first_attempt } => of_attempt(first_attempt),
        _ => Cause::Silence,
    }
}

fn of_page(error: &NextPageError) -> Cause<'_> {
    match error {
        NextPageError::RequestFailure(RequestError::LastAttemptError(error)) => of_attempt(error),
        NextPageError::RequestFailure(RequestError::ConnectionPoolError(error)) => of_pool(error),
        _ => Cause::Silence,
    }
}

fn of_attempt(error: &RequestAttemptError) -> Cause<'_> {
    match error {
        RequestAttemptError::DbError(error, text) => Cause::Said(error, text),
        RequestAttemptError::SerializationError(error) => Cause::Value(error.to_string()),
        RequestAttemptError::CqlRequestSerialization(error) => Cause::Value(error.to_string()),
        _ => Cause::Silence,
    }
}

fn of_metadata(error: &MetadataError) -> Cause<'_> {
    match error {
        MetadataError::ConnectionPoolError(error) => of_pool(error),
        MetadataError::FetchError(error) => match &error.error {
            MetadataFetchErrorKind::PrepareError(error) => of_attempt(error),
            MetadataFetchErrorKind::NextRowError(NextRowError::NextPageError(error)) => {
                of_page(error)
            }
            _ => Cause::Silence,
        },
        _ => Cause::Silence,
    }
}

fn of_pool(error: &ConnectionPoolError) -> Cause<'_> {
    let ConnectionPoolError::Broken { last_connection_error } = error else {
        return Cause::Silence;
    };
    match last_connection_error {
        ConnectionError::IoError(error) => Cause::Connection(error),
        ConnectionError::ConnectionSetupRequestError(error) => match error.get_error() {
            ConnectionSetupRequestErrorKind::DbError(error, text) => Cause::Said(error, text),
            ConnectionSetupRequestErrorKind::MissingAuthentication => Cause::NoLogin,
            _ => Cause::Silence,
        },
        _ => Cause::Silence,
    }
}

enum Verdict {
    Wait,
    /// This is to be done.
    Act(String),
}

fn verdict(said: &DbError, text: &str, endpoint: &Endpoint) -> Verdict {
    match said {
        // The cluster's own tables of users can't be read: says nothing about ours.
        DbError::AuthenticationError if text.contains("Unable to perform authentication") => {
            Verdict::Wait
        }
        DbError::AuthenticationError => Verdict::Act(format!(
            "check the user in {} and set {} to its password",
            endpoint.key,
            endpoint.password_key()
        )),
        DbError::Unauthorized => Verdict::Act(grant(text).unwrap_or_else(|| {
            "grant the user CREATE, ALTER, SELECT and MODIFY on the keyspace".to_owned()
        })),
        DbError::Invalid if text.contains("Key may not be empty") || text.contains("Key length") => {
            Verdict::Act(
                "leave such rows out in the pipeline's SQL, or pass the records with `millstream position skip`"
                    .to_owned(),
            )
        }
        DbError::Invalid if MISSING.iter().any(|words| text.contains(words)) => {
            Verdict::Act("restore what was dropped from a backup, or name a new table: it is then built from the topic".to_owned())
        }
        DbError::Invalid | DbError::SyntaxError | DbError::ConfigError | DbError::FunctionFailure { .. } => {
            Verdict::Act("undo what was changed in the keyspace by hand, or name a new table".to_owned())
        }
        DbError::ProtocolError => Verdict::Act("use Cassandra 4.0 or later".to_owned()),
        // Everything else is of the moment: timeouts, too few nodes, overload, a node that starts.
        _ => Verdict::Wait,
    }
}

/// What to grant, from "User app has no MODIFY permission on <table k.t> or any of its parents".
fn grant(text: &str) -> Option<String> {
    let (user, rest) = text.strip_prefix("User ")?.split_once(" has no ")?;
    let (right, rest) = rest.split_once(" permission on <")?;
    let (resource, _) = rest.split_once('>')?;
    let on = match resource.split_once(' ') {
        Some(("table", name)) => {
            let (keyspace, _) = name.split_once('.')?;
            format!("KEYSPACE \"{keyspace}\"")
        }
        Some(("keyspace", name)) => format!("KEYSPACE \"{name}\""),
        Some(("all", rest)) if rest.starts_with("tables in ") => {
            format!("KEYSPACE \"{}\"", &rest["tables in ".len()..])
        }
        _ => resource.to_uppercase(),
    };
    Some(format!("GRANT {right} ON {on} TO \"{user}\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_config::Secret;
    use scylla::errors::WriteType;
    use scylla::statement::Consistency;

    fn said(error: DbError, text: &str) -> Fault {
        let attempt = RequestAttemptError::DbError(error, text.to_owned());
        Fault::from(ExecutionError::LastAttemptError(attempt))
    }

    fn told(fault: Fault) -> SinkError {
        let url = "cassandra://app@db:9042";
        let endpoint = Endpoint::parse("stores.tables", url, Secret::new("hunter2"), 9042).unwrap();
        fault.told("commit range 3", &endpoint)
    }

    fn write_timeout(write_type: WriteType) -> DbError {
        let consistency = Consistency::LocalQuorum;
        DbError::WriteTimeout { consistency, received: 1, required: 2, write_type }
    }

    #[test]
    fn what_passes_is_tried_again() {
        let unavailable =
            DbError::Unavailable { consistency: Consistency::Quorum, required: 2, alive: 1 };
        for error in [
            unavailable,
            DbError::Overloaded,
            DbError::IsBootstrapping,
            DbError::ServerError,
            DbError::Other(0x1700),
            write_timeout(WriteType::Simple),
        ] {
            let text = format!("{error:?}");
            assert!(told(said(error, "x")).is_retryable(), "{text}");
        }
        for error in [
            ExecutionError::EmptyPlan,
            ExecutionError::RequestTimeout(std::time::Duration::ZERO),
            ExecutionError::ConnectionPoolError(ConnectionPoolError::Initializing),
        ] {
            assert!(told(error.into()).is_retryable());
        }
        let text = "Unable to perform authentication: Cannot achieve consistency level";
        assert!(told(said(DbError::AuthenticationError, text)).is_retryable());
    }

    #[test]
    fn what_stays_says_what_to_do() {
        let missing = "User app has no MODIFY permission on <table k.Words> or any of its parents";
        let creating = "User app has no CREATE permission on <all keyspaces> or any of its parents";
        let inside = "User app has no CREATE permission on <all tables in k> or any of its parents";
        for (error, text, remedy) in [
            (DbError::Unauthorized, inside, "GRANT CREATE ON KEYSPACE \"k\" TO \"app\""),
            (DbError::Unauthorized, missing, "GRANT MODIFY ON KEYSPACE \"k\" TO \"app\""),
            (DbError::Unauthorized, creating, "GRANT CREATE ON ALL KEYSPACES TO \"app\""),
            (DbError::Unauthorized, "no", "grant the user"),
            (DbError::AuthenticationError, "wrong", "stores.tables_password"),
            (DbError::Invalid, "Key may not be empty", "position skip"),
            (DbError::Invalid, "unconfigured table t", "name a new table"),
            (DbError::SyntaxError, "line 1", "by hand"),
        ] {
            let error = told(said(error, text));
            assert!(!error.is_retryable(), "{error}");
            let told = error.to_string();
            assert!(told.contains(remedy) && told.contains("app@db:9042"), "{told}");
            assert!(!told.contains("hunter2"));
        }
        let long = ExecutionError::BadQuery(BadQuery::ValuesTooLongForKey(70_000, 65_535));
        let told = told(long.into());
        assert!(!told.is_retryable() && told.to_string().contains("70000 bytes"), "{told}");
    }

    #[test]
    fn a_lost_reply_is_uncertain_and_a_refusal_is_not() {
        assert!(said(write_timeout(WriteType::Cas), "x").is_uncertain());
        assert!(said(DbError::Other(0x1700), "CAS_WRITE_UNKNOWN").is_uncertain());
        assert!(
            Fault::from(ExecutionError::RequestTimeout(std::time::Duration::ZERO)).is_uncertain()
        );
        assert!(!said(DbError::Unauthorized, "x").is_uncertain());
        assert!(!said(DbError::Invalid, "x").is_uncertain());
        assert!(said(DbError::Invalid, "table t does not exist").is_unheard_of());
        assert!(said(DbError::Invalid, "Column x already exists").is_there_already());
    }

    #[test]
    fn what_is_listed_already_is_waited_for() {
        for text in [
            "table t does not exist",
            "keyspace k does not exist",
            "Table 'k.t' doesn't exist",
            "Undefined column name note in table k.t",
        ] {
            let unheard = said(DbError::Invalid, text);
            assert!(!told(said(DbError::Invalid, text)).is_retryable(), "{text}");
            let error = told(unheard.early());
            let source = std::error::Error::source(&error).unwrap().to_string();
            assert!(error.is_retryable() && source.contains(text), "{error}: {source}");
        }
        assert!(!told(said(DbError::Invalid, "Key may not be empty").early()).is_retryable());
    }
}
