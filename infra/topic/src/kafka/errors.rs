use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use crate::TopicError;

/// Our error for one of rdkafka's: whether it passes by itself is decided by its code.
pub(super) fn told(doing: impl Into<String>, error: KafkaError) -> TopicError {
    if let KafkaError::MessageConsumptionFatal(code) = &error {
        return TopicError::refused(doing, code.to_string(), "restart the worker");
    }
    let Some(code) = code(&error) else {
        return without_code(doing.into(), error);
    };
    match remedy(code) {
        Some(remedy) => TopicError::refused(doing, code.to_string(), remedy),
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
        | Code::IllegalSASLState => "correct the user, the password and sasl.mechanism",
        Code::SSL => "correct the TLS settings (ssl.*)",
        Code::UnknownTopic | Code::UnknownTopicOrPartition => {
            "create the topic first, or correct the name"
        }
        Code::UnknownPartition => "name a partition that the topic has",
        Code::InvalidTopic => "choose another name",
        Code::InvalidPartitions => "choose another number of partitions",
        Code::InvalidReplicationFactor => "set replication.factor to at most the number of brokers",
        Code::InvalidConfig | Code::PolicyViolation => "ask the cluster's owner what it allows",
        Code::InvalidArgument => "correct the settings of the Kafka cluster",
        Code::InvalidGroupId | Code::InconsistentGroupProtocol => {
            "choose another group, or restart all its members with the same settings"
        }
        Code::InvalidSessionTimeout => "choose a session.timeout.ms that the brokers allow",
        Code::InvalidRecord => {
            "give every record of a compacted topic a key, and a timestamp the brokers take"
        }
        Code::InvalidTimestamp => "correct the record's timestamp",
        Code::UnsupportedFeature
        | Code::UnsupportedVersion
        | Code::UnsupportedForMessageFormat
        | Code::NotImplemented => "use brokers of Apache Kafka 2.4 or newer",
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
    use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

    use super::told;

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
}
