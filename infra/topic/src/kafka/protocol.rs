use std::collections::BTreeMap;

use super::settings::{INSTANCE, PROTOCOL, refused};
use crate::TopicError;

/// What the brokers decide under the new protocol of groups.
const CLASSIC_ONLY: [&str; 4] = [
    "session.timeout.ms",
    "heartbeat.interval.ms",
    "partition.assignment.strategy",
    "group.protocol.type",
];

/// The protocol by which the members of a group share its partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// The members work it out between them.
    Classic,
    /// The brokers do (KIP-848, Kafka 4.0).
    Consumer,
    /// The brokers do if they can.
    Auto,
}

/// With a fixed name the classic protocol is the better one: there, a worker that was killed and comes back is let
/// in at once; by the new one it has to wait until its former self has timed out.
pub(super) fn protocol(
    asked: Option<String>,
    given: &BTreeMap<String, String>,
) -> Result<Protocol, TopicError> {
    let classic = CLASSIC_ONLY.iter().find(|name| given.contains_key(**name));
    match asked.as_deref() {
        Some("classic") => Ok(Protocol::Classic),
        Some("consumer") => match classic {
            None => Ok(Protocol::Consumer),
            Some(name) => Err(refused(
                format!("{name} is for the brokers to decide under protocol=consumer"),
                "remove it, or choose protocol=classic",
            )),
        },
        None | Some("auto") => match classic.is_some() || given.contains_key(INSTANCE) {
            true => Ok(Protocol::Classic),
            false => Ok(Protocol::Auto),
        },
        Some(other) => Err(refused(
            format!("{PROTOCOL} is {other:?}"),
            "choose protocol=classic, consumer or auto",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::super::settings::Settings;

    fn with(name: &str, value: &str) -> Result<Settings, crate::TopicError> {
        Settings::new("one:9092", [(name.to_owned(), value.to_owned())].into())
    }

    #[test]
    fn the_new_protocol_is_for_those_who_leave_it_to_the_brokers() {
        assert!(with("client.id", "me").expect("nothing said").is_new_protocol());
        assert!(with("group.protocol", "consumer").expect("said so").is_new_protocol());
        for (name, value) in [
            ("group.protocol", "classic"),
            ("session.timeout.ms", "6000"),
            ("group.instance.id", "w1"),
        ] {
            assert!(!with(name, value).expect(name).is_new_protocol(), "{name}");
        }
        let both = [("group.protocol", "consumer"), ("session.timeout.ms", "6000")];
        let both = both.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let error = Settings::new("one:9092", both.into()).expect_err("both").to_string();
        assert!(
            error.contains("session.timeout.ms") && error.contains("protocol=classic"),
            "{error}"
        );
        assert!(with("group.protocol", "new").is_err());
        let auto = with("client.id", "me").expect("nothing said");
        assert!(auto.fall_back() && !auto.is_new_protocol());
    }
}
