//! What the servers' errors call for: another try, patience, or somebody.

use std::time::Duration;

use millstream_engine::SinkError;
use mysql_async::{DriverError, Error, IoError};

/// What went wrong inside a piece of work on a server, before it is said what the work was.
#[derive(Debug)]
pub(super) enum Fault {
    Store(Error),
    /// The server gave no answer within this time.
    Late(Duration),
    /// Says it all already.
    Told(SinkError),
}

/// Whom messages are about.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// Without secrets.
    pub server: String,
    /// The setting that names it.
    pub key: String,
    pub password_key: String,
    pub user: String,
    /// Empty: none.
    pub database: String,
    pub encrypted: bool,
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

impl From<SinkError> for Fault {
    fn from(error: SinkError) -> Self {
        Self::Told(error)
    }
}

impl Fault {
    /// The server's number of the error.
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Store(Error::Server(error)) => Some(error.code),
            _ => None,
        }
    }

    /// Another transaction was in the way: the same one may pass the next time.
    pub fn is_conflict(&self) -> bool {
        // Lock wait timeout; deadlock; record has changed since last read; the table's definition has changed; a
        // statement needs to be prepared again.
        matches!(self.code(), Some(1205 | 1213 | 1020 | 1412 | 1615))
    }

    /// Nobody can say where the conversation stood: the connection is of no more use.
    pub fn loses_connection(&self) -> bool {
        match self {
            Self::Store(Error::Server(error)) => gone(error.code),
            Self::Store(_) | Self::Late(_) => true,
            Self::Told(_) => false,
        }
    }

    /// `doing`: a verb with its object, such as "commit range 3 of words-0".
    pub fn told(self, doing: &str, place: &Place) -> SinkError {
        let doing = format!("{doing} in {}", place.server);
        match self {
            Self::Told(error) => error,
            Self::Late(limit) => {
                SinkError::unavailable(doing, format!("no answer within {limit:?}"))
            }
            Self::Store(Error::Server(error)) => {
                let why = without_data(error.code, &error.to_string());
                // Of a value that was sent in pieces it is said by no number of its own.
                let large = error.message.contains("max_allowed_packet");
                match remedy(if large { 1153 } else { error.code }, place) {
                    None => SinkError::unavailable(doing, why),
                    Some(remedy) => SinkError::refused(doing, why, remedy),
                }
            }
            Self::Store(error) => unserved(doing, error, place),
        }
    }
}

/// The server has ended, or ends, this connection.
fn gone(code: u16) -> bool {
    matches!(code, 1053 | 1077..=1080 | 1152 | 1153 | 1158..=1161 | 1184 | 1927 | 2006 | 2013 | 3169 | 4031)
}

/// What somebody has to do; `None`: it passes.
fn remedy(code: u16, place: &Place) -> Option<String> {
    let Place { key, password_key, user, database, .. } = place;
    Some(match code {
        // Shut down, killed, or out of something: memory, disk, connections, locks, time.
        code if gone(code) && code != 1153 => return None,
        1015 | 1020 | 1021 | 1026 | 1030 | 1037 | 1038 | 1040 | 1041 | 1114 | 1135 | 1180 | 1181 => return None,
        1203 | 1205 | 1206 | 1213 | 1226 | 1317 | 1412 | 1615 | 1637 | 1969 | 3024 | 3572 => return None,
        // Read-only: another server is about to take over, or to be named. Offline mode.
        1290 | 1792 | 1836 | 3032 | 3100 | 3101 | 1047 => return None,
        1045 | 1698 => {
            // Some servers that want TLS say no more than this to whom comes without.
            let tls = if place.encrypted { "" } else { "; or add tls=on, if the server insists on it" };
            format!(
                "set {password_key}, best by the environment, to the password of user {user:?}, or make the user: \
                 CREATE USER '{user}'@'%' IDENTIFIED BY '…'; {}{tls}",
                grant(place)
            )
        }
        1044 | 1142 | 1143 | 1227 | 1370 => format!("grant what is missing: {}", grant(place)),
        1820 | 1862 => format!("give user {user:?} a new password, and set {password_key}"),
        1129 => "run `mysqladmin flush-hosts` on the server, and see why connections from here were cut off".to_owned(),
        1130 => format!("let user {user:?} come from this machine: {}", grant(place)),
        1251 | 2059 => format!("give user {user:?} the plugin caching_sha2_password or mysql_native_password"),
        1049 => format!(
            "create it: CREATE DATABASE `{database}` CHARACTER SET utf8mb4; or allow that by create=on in {key}"
        ),
        1153 => "raise max_allowed_packet on the server: a row must fit into it".to_owned(),
        1118 | 1071 | 1070 | 1117 => "give the pipeline's SQL fewer columns, or its table a shorter key".to_owned(),
        1665 => "set binlog_format=ROW on the server".to_owned(),
        3159 => format!("add tls=on to {key}: the server takes encrypted connections only"),
        _ => "undo what was changed in the database by hand, or name a new table".to_owned(),
    })
}

/// What a user needs.
pub(super) fn grant(place: &Place) -> String {
    let database = if place.database.is_empty() { "…" } else { &place.database };
    format!(
        "GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER ON `{}`.* TO '{}'@'%'",
        database.replace('`', "``").replace('_', "\\_"),
        place.user
    )
}

/// These messages quote the rows' values.
fn without_data(code: u16, told: &str) -> String {
    match code {
        1062 | 1264 | 1265 | 1292 | 1366 | 1406 | 1411 | 1525 => {
            format!("a value doesn't fit its column (error {code})")
        }
        _ => told.to_owned(),
    }
}

fn unserved(doing: String, error: Error, place: &Place) -> SinkError {
    let (key, why) = (&place.key, error.to_string());
    match error {
        Error::Io(IoError::Tls(_)) => SinkError::refused(
            doing,
            why,
            format!(
                "name the authority that signed the server's certificate, ca=file in {key}, and the server as it \
                 stands in the certificate; tls=off for a network that is trusted"
            ),
        ),
        Error::Driver(DriverError::NoClientSslFlagFromServer) => {
            let remedy = format!(
                "set up TLS on the server, or add tls=off to {key} if the network is trusted"
            );
            SinkError::refused(doing, why, remedy)
        }
        Error::Driver(DriverError::PacketTooLarge) => SinkError::refused(
            doing,
            why,
            "raise max_allowed_packet on the server: a row must fit into it",
        ),
        Error::Driver(
            DriverError::UnknownAuthPlugin { .. }
            | DriverError::MysqlOldPasswordDisabled
            | DriverError::CleartextPluginDisabled,
        ) => SinkError::refused(
            doing,
            why,
            format!(
                "give user {:?} the plugin caching_sha2_password or mysql_native_password",
                place.user
            ),
        ),
        error => SinkError::unavailable(doing, error),
    }
}

#[cfg(test)]
mod tests {
    use mysql_async::ServerError;

    use super::*;

    fn place() -> Place {
        Place {
            server: "mysql://app@db:3306".to_owned(),
            key: "stores.tables".to_owned(),
            password_key: "stores.tables_password".to_owned(),
            user: "app".to_owned(),
            database: "my_space".to_owned(),
            encrypted: false,
        }
    }

    fn fault(code: u16) -> Fault {
        let error =
            ServerError { code, message: "said 'secret'".to_owned(), state: "HY000".to_owned() };
        Fault::Store(Error::Server(error))
    }

    #[test]
    fn what_passes_is_tried_again() {
        for code in
            [1040, 1053, 1205, 1213, 1226, 1290, 1317, 1836, 1927, 3024, 3169, 4031, 1114, 1792]
        {
            assert!(fault(code).told("commit range 3", &place()).is_retryable(), "code {code}");
        }
        assert!(Fault::Late(Duration::from_secs(1)).told("x", &place()).is_retryable());
        let io = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        assert!(Fault::Store(Error::Io(IoError::Io(io))).told("x", &place()).is_retryable());
    }

    #[test]
    fn what_stays_names_the_server_and_the_remedy() {
        for (code, remedy) in [
            (1045, "stores.tables_password"),
            (
                1044,
                "GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER ON `my\\_space`.* TO 'app'@'%'",
            ),
            (1142, "GRANT"),
            (1049, "create=on"),
            (1153, "max_allowed_packet"),
            (1665, "binlog_format=ROW"),
            (1146, "new table"),
        ] {
            let error = fault(code).told("commit range 3", &place());
            let text = error.to_string();
            assert!(!error.is_retryable(), "code {code}");
            assert!(
                text.contains("commit range 3 in mysql://app@db:3306") && text.contains(remedy),
                "{text}"
            );
        }
    }

    #[test]
    fn conflicts_are_tried_again_and_keep_the_connection() {
        for code in [1205, 1213] {
            assert!(fault(code).is_conflict() && !fault(code).loses_connection(), "code {code}");
        }
        for code in [1053, 1927, 4031] {
            assert!(!fault(code).is_conflict() && fault(code).loses_connection(), "code {code}");
        }
    }

    #[test]
    fn values_are_in_no_message() {
        for code in [1062, 1292, 1366, 1406] {
            let text = fault(code).told("x", &place()).to_string();
            assert!(!text.contains("secret"), "{text}");
        }
    }
}
