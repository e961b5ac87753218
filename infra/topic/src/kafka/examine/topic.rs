use std::collections::HashMap;
use std::time::Duration;

use millstream_config::Finding;
use rdkafka::admin::ResourceSpecifier;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use super::brokers::Cluster;
use super::{Kafka, bad, blocking, may};
use crate::kafka::access::{Rights, grant};
use crate::kafka::asker::Asker;
use crate::kafka::described::{self, May};
use crate::kafka::errors::{Doing, code};
use crate::kafka::topics::{self, policy};
use crate::{Topic, TopicError};

/// The smallest record that a topic should take: larger values are dead letters, with their headers.
const SMALLEST_LIMIT: i64 = 1 << 20;
/// Records should outlive so many rolls, so that a worker may be away for a while.
const ROLLS: u32 = 10;

/// A topic as its brokers keep it.
struct Found {
    partitions: usize,
    replicas: usize,
    /// Without a leader: they can be neither read nor written.
    offline: usize,
    /// With fewer replicas in sync than there are.
    behind: usize,
    may: May,
}

/// Looks at one topic.
pub(super) async fn look(
    kafka: &Kafka,
    cluster: &Cluster,
    topic: &Topic,
    roll: Duration,
) -> Vec<Finding> {
    let what = format!("topic {}", topic.name);
    let found = match found(kafka, topic.name.to_string()).await {
        Ok(Some(found)) => found,
        Ok(None) => return vec![missing(kafka, cluster, topic)],
        Err(error) => return vec![bad(what, &error)],
    };
    let settings = match settings(kafka, &topic.name).await {
        Ok(settings) => settings,
        Err(error) => return vec![bad(what, &error)],
    };
    let seen =
        Seen { topic, what, found: &found, settings: &settings, brokers: cluster.brokers, roll };
    let mut findings = seen.problems();
    findings.extend(seen.rights(kafka.settings.asker()));
    if findings.is_empty() {
        findings.push(Finding::good(seen.what.clone(), seen.summary()));
    }
    findings
}

/// One that isn't there is made when it is first used, if that is allowed.
fn missing(kafka: &Kafka, cluster: &Cluster, topic: &Topic) -> Finding {
    let (what, asker) = (format!("topic {}", topic.name), kafka.settings.asker());
    if may(&cluster.may, "Create") {
        return Finding::good(what, "isn't there yet; it is made when it is first used");
    }
    let command = format!(
        "make it: kafka-topics.sh --bootstrap-server {} --command-config admin.properties --create --topic {} \
         --partitions {} --config cleanup.policy={} --config max.message.bytes={}",
        asker.servers,
        topic.name,
        topic.partitions,
        policy(topic.cleanup),
        crate::kafka::settings::LARGEST_RECORD,
    );
    let who = &asker.principal;
    let why = format!("isn't there, and {who} has no right on the cluster to make it");
    Finding::warning(what, why, command)
}

async fn found(kafka: &Kafka, name: String) -> Result<Option<Found>, TopicError> {
    let looker = kafka.looker()?;
    blocking(move || {
        let Some((_, broker)) = topics::partitions(&looker, &name)? else { return Ok(None) };
        let doing = topics::looking(&looker, &name);
        let metadata =
            looker.ask(&doing, |client, time| client.fetch_metadata(Some(&name), time))?;
        let described = looker
            .describe(&doing, |client, time| described::topic(client, &name, broker, true, time))?;
        let Some(topic) = metadata.topics().first() else { return Ok(None) };
        let partitions = topic.partitions();
        Ok(Some(Found {
            partitions: partitions.len(),
            replicas: partitions.iter().map(|it| it.replicas().len()).min().unwrap_or_default(),
            offline: partitions.iter().filter(|it| it.leader() < 0).count(),
            behind: partitions.iter().filter(|it| it.isr().len() < it.replicas().len()).count(),
            may: described.may,
        }))
    })
    .await
}

/// The topic's settings by name.
async fn settings(kafka: &Kafka, name: &str) -> Result<HashMap<String, String>, TopicError> {
    let doing = format!("look at topic {name}");
    let doing = Doing::new(doing, kafka.settings.asker(), Rights::configs(name));
    let asked = [ResourceSpecifier::Topic(name)];
    let answers = kafka.admin()?.describe_configs(asked.iter(), &topics::options()).await;
    let answer = match answers {
        Ok(answers) => answers.into_iter().next().unwrap_or(Err(Code::BadMessage)),
        Err(error) => Err(code(&error).unwrap_or(Code::Fail)),
    };
    let config = answer.map_err(|code| doing.failed(KafkaError::AdminOp(code)))?;
    let told = config.entries.into_iter();
    Ok(told.filter_map(|entry| Some((entry.name, entry.value?))).collect())
}

/// All that was seen of a topic.
struct Seen<'a> {
    topic: &'a Topic,
    what: String,
    found: &'a Found,
    settings: &'a HashMap<String, String>,
    brokers: usize,
    roll: Duration,
}

impl Seen<'_> {
    fn problems(&self) -> Vec<Finding> {
        let mut problems = Vec::new();
        problems.extend(self.copies());
        problems.extend(self.keeping());
        problems
    }

    /// What is wrong with its replicas.
    fn copies(&self) -> Vec<Finding> {
        let Found { partitions, replicas, offline, behind, .. } = *self.found;
        let needed = self.number("min.insync.replicas").unwrap_or(1);
        let mut problems = Vec::new();
        if offline > 0 {
            let why =
                format!("{offline} of {partitions} partitions have no broker that leads them");
            problems.push(self.bad(why, "start the brokers that hold them"));
        } else if behind > 0 {
            let why = format!("{behind} of {partitions} partitions lack replicas in sync");
            problems.push(
                self.warning(why, "start the brokers that hold them, or wait for them to catch up"),
            );
        }
        if replicas == 1 && self.brokers > 1 {
            let why = format!(
                "has one replica on a cluster of {} brokers: a broker that is lost takes its records with it",
                self.brokers
            );
            let remedy = "add replicas by kafka-reassign-partitions.sh; set replication=3 in topics.url for new topics";
            problems.push(self.warning(why, remedy));
        }
        if replicas >= 3 && needed < 2 {
            let why = format!(
                "has {replicas} replicas, and min.insync.replicas is {needed}: a record counts as written when one broker has it"
            );
            problems.push(self.warning(why, self.alter("min.insync.replicas=2")));
        }
        if replicas > 1 && needed >= replicas as i64 {
            let why = format!(
                "min.insync.replicas is {needed} of {replicas}: nothing can be written while one broker is away"
            );
            problems.push(
                self.warning(why, self.alter(&format!("min.insync.replicas={}", replicas - 1))),
            );
        }
        problems
    }

    /// What is wrong with what it keeps.
    fn keeping(&self) -> Vec<Finding> {
        let mut problems = Vec::new();
        let declared = policy(self.topic.cleanup);
        let is = self.settings.get("cleanup.policy").map_or("delete", String::as_str);
        if is.contains("compact") != (declared == "compact") {
            let why = format!("its cleanup.policy is {is}, and the app needs {declared}");
            problems.push(self.bad(why, self.alter(&format!("cleanup.policy={declared}"))));
        }
        let kept = self.number("retention.ms").filter(|kept| *kept >= 0 && is.contains("delete"));
        let needed = (self.roll * ROLLS).as_millis();
        if let Some(kept) = kept.filter(|kept| (*kept as u128) < needed) {
            let why = format!(
                "keeps records for {}, and a range may stay open for {}: a worker that is away for a while loses some",
                time(kept),
                time(self.roll.as_millis() as i64)
            );
            problems
                .push(self.warning(why, self.alter(&format!("retention.ms={}", 7 * 86_400_000))));
        }
        let limit = self.number("max.message.bytes");
        if let Some(limit) = limit.filter(|limit| *limit < SMALLEST_LIMIT) {
            let why = format!("takes records of {limit} bytes at most");
            let largest = crate::kafka::settings::LARGEST_RECORD;
            problems.push(self.warning(why, self.alter(&format!("max.message.bytes={largest}"))));
        }
        problems
    }

    /// What we may not do with it.
    fn rights(&self, asker: &Asker) -> Option<Finding> {
        let lacking: Vec<&str> =
            ["Read", "Write"].into_iter().filter(|right| !may(&self.found.may, right)).collect();
        let name = [self.topic.name.to_string()];
        let who = &asker.principal;
        match lacking[..] {
            [] => None,
            [one] => {
                let why = format!("{who} lacks the right {one} on it");
                Some(self.warning(why, grant(asker, &lacking, "topic", &name)))
            }
            _ => {
                let why = format!("{who} may neither read nor write it");
                Some(self.bad(why, grant(asker, &lacking, "topic", &name)))
            }
        }
    }

    fn summary(&self) -> String {
        let Found { partitions, replicas, .. } = *self.found;
        let needed = self.number("min.insync.replicas").unwrap_or(1);
        let compacted = policy(self.topic.cleanup) == "compact";
        let kept = match self.number("retention.ms") {
            _ if compacted => "compacted by key".to_owned(),
            Some(kept) if kept >= 0 => format!("records are kept for {}", time(kept)),
            _ => "records are kept".to_owned(),
        };
        format!(
            "partitions: {partitions}, replicas of each: {replicas}, in sync at least: {needed}; {kept}"
        )
    }

    fn number(&self, name: &str) -> Option<i64> {
        self.settings.get(name)?.parse().ok()
    }

    fn alter(&self, setting: &str) -> String {
        format!(
            "change it: kafka-configs.sh --alter --topic {} --add-config {setting}",
            self.topic.name
        )
    }

    fn bad(&self, why: impl Into<String>, remedy: impl Into<String>) -> Finding {
        Finding::bad(self.what.clone(), why, remedy)
    }

    fn warning(&self, why: impl Into<String>, remedy: impl Into<String>) -> Finding {
        Finding::warning(self.what.clone(), why, remedy)
    }
}

/// `604800000` → "7 days".
fn time(ms: i64) -> String {
    let units =
        [(86_400_000, "days"), (3_600_000, "hours"), (60_000, "minutes"), (1_000, "seconds")];
    let unit = units.iter().find(|(length, _)| ms >= 2 * length);
    unit.map_or_else(|| format!("{ms} ms"), |(length, name)| format!("{} {name}", ms / length))
}
