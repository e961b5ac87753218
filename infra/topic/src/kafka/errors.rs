use std::sync::Arc;
use std::time::Duration;

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use super::access::Rights;
use super::asker::Asker;
use super::trouble::Trouble;
use crate::TopicError;

/// What is being done, by whom, and the rights it takes: all that an error says besides its cause.
#[derive(Clone, Debug)]
pub(super) struct Doing {
    what: String,
    asker: Arc<Asker>,
    rights: Rights,
    /// Whether a broker has just listed the topic.
    listed: bool,
}

impl Doing {
    /// `what` is a verb: "append to topic weather".
    pub(super) fn new(what: impl Into<String>, asker: &Arc<Asker>, rights: Rights) -> Self {
        Self { what: what.into(), asker: asker.clone(), rights, listed: false }
    }

    /// A broker has just listed the topic: another one that doesn't know it hasn't heard of it yet, or of its end.
    pub(super) fn listed(self) -> Self {
        Self { listed: true, ..self }
    }

    /// Our error for one of rdkafka's.
    pub(super) fn failed(&self, error: KafkaError) -> TopicError {
        let Some(code) = code(&error) else { return told(&self.what, error) };
        if let Some((why, remedy)) = self.rights.missing(code, &self.asker) {
            return TopicError::refused(&self.what, why, remedy);
        }
        if self.listed && is_unknown(code) {
            let why = "one broker lists it, and another one doesn't know it";
            return TopicError::unavailable(&self.what, why);
        }
        match self.asker.trouble(Duration::ZERO) {
            Some(trouble) if is_silence(code) => self.stopped_by(&trouble, error),
            _ => told(&self.what, error),
        }
    }

    /// Our error for a trouble that was heard of while something timed out.
    pub(super) fn stopped_by(&self, trouble: &Trouble, error: KafkaError) -> TopicError {
        let (why, remedy) = trouble.told();
        match trouble.is_certain() {
            true => TopicError::refused(&self.what, why, remedy),
            false => TopicError::unavailable(&self.what, format!("{error}: {why}")),
        }
    }
}

/// Whether an error with this code says that there is no such topic.
pub(super) fn is_unknown(code: Code) -> bool {
    matches!(code, Code::UnknownTopic | Code::UnknownTopicOrPartition)
}

/// Whether an error with this code says no more than that no broker answered.
pub(super) fn is_silence(code: Code) -> bool {
    matches!(
        code,
        Code::BrokerTransportFailure
            | Code::AllBrokersDown
            | Code::MessageTimedOut
            | Code::OperationTimedOut
            | Code::RequestTimedOut
            | Code::TimedOutQueue
            | Code::Resolve
            | Code::WaitingForCoordinator
            | Code::Authentication
            | Code::SSL
    )
}

/// Our error for one of rdkafka's: whether it passes by itself is decided by its code.
pub(super) fn told(doing: impl Into<String>, error: KafkaError) -> TopicError {
    let Some(code) = code(&error) else {
        return without_code(doing.into(), error);
    };
    match remedy(code) {
        Some(remedy) => TopicError::refused(doing, code.to_string(), remedy),
        None if matches!(error, KafkaError::MessageConsumptionFatal(_)) => {
            TopicError::refused(doing, code.to_string(), "restart the worker")
        }
        None => TopicError::unavailable(doing, error),
    }
}

/// The error's code. rdkafka 0.39 keeps back that of admin operations.
pub(super) fn code(error: &KafkaError) -> Option<Code> {
    match error {
        KafkaError::AdminOp(code) => Some(*code),
        other => other.rdkafka_error_code(),
    }
}

/// What somebody has to do before a call that failed with this code can succeed; `None`: it passes.
pub(super) fn remedy(code: Code) -> Option<&'static str> {
    Some(match code {
        Code::MessageSizeTooLarge | Code::InvalidMessageSize | Code::MessageBatchTooLarge => {
            "send smaller records, or raise max.message.bytes of the topic and message.max.bytes here"
        }
        Code::TopicAuthorizationFailed => "grant this user read and write access to the topic",
        Code::GroupAuthorizationFailed => "grant this user read access to the consumer group",
        Code::ClusterAuthorizationFailed => {
            "grant this user IdempotentWrite and Create on the cluster"
        }
        Code::Authentication
        | Code::SaslAuthenticationFailed
        | Code::UnsupportedSASLMechanism
        | Code::IllegalSASLState => "correct the user in topics.url, topics.password and sasl=",
        Code::SSL => "correct the TLS options of topics.url",
        Code::UnknownTopic | Code::UnknownTopicOrPartition => {
            "create the topic first, or correct the name"
        }
        Code::UnknownPartition => "name a partition that the topic has",
        Code::InvalidTopic => "choose another name",
        Code::InvalidPartitions => "choose another number of partitions",
        Code::InvalidReplicationFactor => {
            "set replication= in topics.url to at most the number of brokers, and start them all"
        }
        Code::InvalidConfig | Code::PolicyViolation => "ask the cluster's owner what it allows",
        Code::InvalidArgument => "correct the settings of the Kafka cluster",
        Code::InvalidGroupId | Code::InconsistentGroupProtocol => {
            "choose another group, or restart all its members with the same settings"
        }
        Code::GroupMaxSizeReached => "start fewer workers, or raise group.max.size at the brokers",
        Code::InvalidSessionTimeout => "choose a session.timeout.ms that the brokers allow",
        Code::InvalidRecord => {
            "give every record of a compacted topic a key, and a timestamp the brokers take"
        }
        Code::InvalidTimestamp => "correct the record's timestamp, or this machine's clock",
        Code::UnsupportedFeature
        | Code::UnsupportedVersion
        | Code::UnsupportedForMessageFormat
        | Code::NotImplemented => "use brokers of Apache Kafka 2.4 or newer",
        Code::FencedInstanceId | Code::UnreleasedInstanceId => {
            "give each worker of the group an instance of its own (worker.instance, or instance= in topics.url)"
        }
        Code::Fatal | Code::Fenced | Code::InvalidRequest => "restart the worker",
        _ => return None,
    })
}

fn without_code(doing: String, error: KafkaError) -> TopicError {
    match error {
        // The value may be a secret, so only the name is shown.
        KafkaError::ClientConfig(_, why, name, _) => {
            TopicError::refused(doing, format!("{name}: {why}"), "correct this setting")
        }
        KafkaError::ClientCreation(why) => {
            TopicError::refused(doing, why, "correct the settings of the Kafka cluster")
        }
        KafkaError::Nul(_) => {
            TopicError::refused(doing, "a name holds a zero byte", "choose another name")
        }
        other => TopicError::unavailable(doing, other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outages_pass_and_mistakes_stay() {
        let passing = [
            Code::BrokerTransportFailure,
            Code::AllBrokersDown,
            Code::MessageTimedOut,
            Code::RequestTimedOut,
            Code::NotEnoughReplicas,
            Code::NotCoordinator,
        ];
        for code in passing {
            assert!(told("append", KafkaError::MessageProduction(code)).is_retryable(), "{code}");
        }
        for code in [Code::MessageSizeTooLarge, Code::TopicAuthorizationFailed, Code::UnknownTopic]
        {
            let error = told("append", KafkaError::MessageProduction(code));
            assert!(!error.is_retryable(), "{code}");
            assert!(error.to_string().starts_with("append: "), "{error}");
        }
        assert!(!told("create", KafkaError::AdminOp(Code::PolicyViolation)).is_retryable());
        assert!(!told("poll", KafkaError::MessageConsumptionFatal(Code::Fail)).is_retryable());
    }

    #[test]
    fn a_topic_that_one_broker_lists_is_waited_for_and_one_that_none_does_is_refused() {
        let asker = Arc::new(Asker::new("User:app".to_owned(), "b:9".to_owned()));
        let doing = Doing::new("look", &asker, Rights::describe("t"));
        let unknown = || KafkaError::AdminOp(Code::UnknownTopicOrPartition);
        assert!(!doing.failed(unknown()).is_retryable());
        let error = doing.listed().failed(unknown());
        assert!(error.is_retryable(), "{error}");
    }

    #[test]
    fn a_time_out_is_explained_by_what_was_heard_and_only_a_time_out() {
        let asker = Arc::new(Asker::new("User:app".to_owned(), "b:9".to_owned()));
        let doing = Doing::new("append", &asker, Rights::write("t"));
        let timed_out = || KafkaError::MessageProduction(Code::MessageTimedOut);
        asker.hear(
            Some(Code::BrokerTransportFailure),
            "b:9/1: Connection refused (after 1ms in state CONNECT)",
        );
        let error = doing.failed(timed_out());
        let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        assert!(error.is_retryable() && source.contains("Connection refused"), "{error}: {source}");

        asker.hear(
            Some(Code::Authentication),
            "b:9/1: SASL authentication error: invalid credentials",
        );
        asker.hear(Some(Code::BrokerTransportFailure), "b:9/1: Disconnected");
        let error = doing.failed(timed_out());
        assert!(!error.is_retryable() && error.to_string().contains("password"), "{error}");
        let few = doing.failed(KafkaError::MessageProduction(Code::NotEnoughReplicas));
        assert!(few.is_retryable(), "the brokers answered: {few}");
        asker.fine();
        assert!(doing.failed(timed_out()).is_retryable());
    }
}
