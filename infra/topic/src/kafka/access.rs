//! Rights on topics and groups: which ones a call takes, and what is said when they are missing.

use rdkafka::error::RDKafkaErrorCode as Code;

use super::asker::Asker;

/// The rights that something takes.
#[derive(Clone, Debug, Default)]
pub(super) struct Rights {
    pub(super) topics: Vec<String>,
    /// Kafka's operations on them: "Read".
    pub(super) operations: &'static [&'static str],
    pub(super) group: Option<String>,
}

impl Rights {
    pub(super) fn describe(topic: &str) -> Self {
        Self::on([topic.to_owned()], &["Describe"])
    }

    pub(super) fn configs(topic: &str) -> Self {
        Self::on([topic.to_owned()], &["DescribeConfigs"])
    }

    pub(super) fn create(topic: &str) -> Self {
        Self::on([topic.to_owned()], &["Create", "Describe", "DescribeConfigs"])
    }

    pub(super) fn write(topic: &str) -> Self {
        Self::on([topic.to_owned()], &["Describe", "Write"])
    }

    pub(super) fn read(topic: &str) -> Self {
        Self::on([topic.to_owned()], &["Describe", "Read"])
    }

    pub(super) fn member(group: &str, topics: &[String]) -> Self {
        Self { group: Some(group.to_owned()), ..Self::on(topics.to_vec(), &["Describe", "Read"]) }
    }

    fn on(topics: impl Into<Vec<String>>, operations: &'static [&'static str]) -> Self {
        Self { topics: topics.into(), operations, group: None }
    }

    /// Which of them is missing, and what grants it; `None`: `code` isn't about rights.
    pub(super) fn missing(&self, code: Code, asker: &Asker) -> Option<(String, String)> {
        let who = &asker.principal;
        Some(match code {
            Code::TopicAuthorizationFailed => {
                let named = self.topics.join(", ");
                let why = format!(
                    "{who} lacks a right ({}) on topic {named}",
                    self.operations.join(", ")
                );
                (why, grant(asker, self.operations, "topic", &self.topics))
            }
            Code::GroupAuthorizationFailed => {
                let group = self.group.clone().unwrap_or_default();
                let why = format!("{who} lacks the right Read on consumer group {group}");
                (why, grant(asker, &["Read"], "group", &[group]))
            }
            // Brokers since 2.0 look for the right to create at the topic, too.
            Code::ClusterAuthorizationFailed if self.operations.contains(&"Create") => {
                let why =
                    format!("{who} lacks the right Create on topic {}", self.topics.join(", "));
                (why, grant(asker, self.operations, "topic", &self.topics))
            }
            // Brokers before 2.8 look for the right IdempotentWrite on the cluster.
            Code::ClusterAuthorizationFailed => {
                let topics = self.topics.join(", ");
                let why = format!("{who} lacks the right Write on topic {topics}");
                (why, grant(asker, self.operations, "topic", &self.topics))
            }
            _ => return None,
        })
    }
}

/// The command line that grants operations on resources of a kind ("topic", "group").
pub(super) fn grant(asker: &Asker, operations: &[&str], kind: &str, names: &[String]) -> String {
    let operations: String =
        operations.iter().map(|operation| format!(" --operation {operation}")).collect();
    let resources: String = names.iter().map(|name| format!(" --{kind} {name}")).collect();
    format!(
        "let the cluster's owner grant it: kafka-acls.sh --bootstrap-server {} --command-config \
         admin.properties --add --allow-principal '{}'{operations}{resources}",
        asker.servers, asker.principal
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_the_command_that_grants_it() {
        let asker = Asker::new("User:app".to_owned(), "b:9092".to_owned());
        let rights = Rights::member("g", &["t".to_owned(), "t.replay".to_owned()]);
        let (why, command) =
            rights.missing(Code::TopicAuthorizationFailed, &asker).expect("rights");
        assert!(
            why.contains("User:app") && why.contains("Read") && why.contains("t, t.replay"),
            "{why}"
        );
        assert!(
            command.ends_with(
                "kafka-acls.sh --bootstrap-server b:9092 --command-config admin.properties --add \
                 --allow-principal 'User:app' --operation Describe --operation Read --topic t --topic t.replay"
            ),
            "{command}"
        );
        let (_, command) = rights.missing(Code::GroupAuthorizationFailed, &asker).expect("rights");
        assert!(command.ends_with("--operation Read --group g"), "{command}");
        let (_, command) =
            Rights::write("t").missing(Code::ClusterAuthorizationFailed, &asker).expect("rights");
        assert!(command.ends_with("--operation Write --topic t"), "{command}");
        assert_eq!(rights.missing(Code::Fail, &asker), None);
    }
}
