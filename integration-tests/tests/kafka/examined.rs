use std::time::Duration;

use integration_tests::stack::{kafka, unique};
use millstream_config::{Finding, Health};
use millstream_topic::{Topic, TopicPartition, Wanted};

use crate::following::{self, INSIDE, append, tool};
use crate::locks::Locked;

fn of<'a>(findings: &'a [Finding], what: &str) -> Vec<&'a Finding> {
    findings.iter().filter(|finding| finding.what == what).collect()
}

#[tokio::test]
async fn a_cluster_is_seen_as_it_is() {
    let server = kafka().await;
    let kafka = following::kafka(server, "");
    let (good, short, absent) = (unique("good"), unique("short"), unique("absent"));
    following::topic(&*kafka, &good, 2).await;
    following::topic(&*kafka, &short, 2).await;
    append(&*kafka, &TopicPartition::new(good.clone(), 0), 0..3).await;
    let settings = "retention.ms=60000,cleanup.policy=[delete,compact],max.message.bytes=1000";
    tool(server, "kafka-configs.sh", &["--alter", "--topic", &short, "--add-config", settings])
        .await;

    let topics = [&good, &short, &absent].map(Topic::named);
    let groups = [unique("group")];
    let roll = Duration::from_secs(60);
    let findings = kafka.examine(&Wanted { topics: &topics, groups: &groups, roll }).await;
    for finding in &findings {
        eprintln!("{finding:?}");
    }
    let cluster = of(&findings, "topics.url")[0];
    assert_eq!(cluster.state, Health::Good);
    for told in [
        "1 broker (127.0.0.1:",
        "MkU3OEVBNTcwNTJENDM2Qg",
        "Kafka 4.1 or newer",
        "User:ANONYMOUS, without TLS",
    ] {
        assert!(cluster.told.contains(told), "{told:?} isn't in {cluster:?}");
    }
    let good = of(&findings, &format!("topic {good}"));
    assert!(good.len() == 1 && good[0].state == Health::Good, "{good:?}");
    assert!(good[0].told.contains("7 days"), "{good:?}");
    let short = of(&findings, &format!("topic {short}"));
    for (state, told, remedy) in [
        (Health::Bad, "cleanup.policy", "cleanup.policy=delete"),
        (Health::Warning, "keeps records for 60 seconds", "retention.ms="),
        (Health::Warning, "1000 bytes", "max.message.bytes="),
    ] {
        let found = short.iter().find(|finding| finding.told.contains(told));
        let found = found.unwrap_or_else(|| panic!("{told:?} isn't in {short:?}"));
        assert_eq!(found.state, state, "{found:?}");
        assert!(found.remedy.as_ref().is_some_and(|it| it.contains(remedy)), "{found:?}");
    }
    let absent = of(&findings, &format!("topic {absent}"));
    assert!(
        absent[0].state == Health::Good && absent[0].told.contains("isn't there"),
        "{absent:?}"
    );
    assert_eq!(of(&findings, &format!("group {}", groups[0]))[0].state, Health::Good);
    assert_eq!(of(&findings, "clock")[0].state, Health::Good);
}

#[tokio::test]
async fn a_cluster_that_is_not_there_is_one_finding() {
    let port = integration_tests::stack::free_port();
    let kafka = following::open(&format!("kafka://127.0.0.1:{port}"), &[]).expect("open topics");
    let topics = [Topic::named("t")];
    let findings = kafka.examine(&Wanted { topics: &topics, ..Wanted::default() }).await;
    assert!(findings.len() == 1 && findings[0].state == Health::Bad, "{findings:?}");
    assert!(findings[0].told.contains("Connection refused"), "{findings:?}");
}

/// Part of the test of `locks`, whose broker it needs.
pub async fn a_locked_broker(locked: &Locked) {
    let (topics, groups) =
        ([Topic::named("t-classic"), Topic::named("secret")], ["mine".to_owned()]);
    let wanted = Wanted { topics: &topics, groups: &groups, roll: Duration::from_secs(1) };
    let findings = locked.app("").examine(&wanted).await;
    for finding in &findings {
        eprintln!("{finding:?}");
    }
    assert!(of(&findings, "topics.url")[0].told.contains("User:app by SCRAM-SHA-512, with TLS"));
    assert_eq!(of(&findings, "topic t-classic")[0].state, Health::Good, "{findings:?}");
    for what in ["topic secret", "group mine"] {
        let found = of(&findings, what)[0];
        assert_ne!(found.state, Health::Good, "{found:?}");
        let remedy = found.remedy.clone().unwrap_or_default();
        assert!(
            remedy.contains("kafka-acls.sh") || remedy.contains("kafka-topics.sh"),
            "{found:?}"
        );
    }
    // What is said to help does.
    let remedy = of(&findings, "group mine")[0].remedy.clone().unwrap_or_default();
    let (_, command) = remedy.split_once("--add ").expect("a command");
    let command = format!("kafka-acls.sh --bootstrap-server {INSIDE} --add {command}");
    locked.server.exec(&["sh", "-c", &command]).await;
    let findings = locked.app("").examine(&wanted).await;
    assert_eq!(of(&findings, "group mine")[0].state, Health::Good, "{findings:?}");

    let wrong = locked.open("app@", 9094, "wrong", "ca={}/ca.pem").expect("open topics");
    let findings = wrong.examine(&wanted).await;
    assert!(findings.len() == 1 && findings[0].state == Health::Bad, "{findings:?}");
}
