use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use integration_tests::stack::{Certificates, Server, wanted_kafka};
use millstream_config::Secret;
use millstream_topic::{Backend, Outgoing, Topic, TopicError, TopicPartition};

use crate::following::{Following, INSIDE, append, tool};

const SASL_TLS: u16 = 9094;
const TLS: u16 = 9095;
const SASL: u16 = 9096;
const OUTSIDE: u16 = 9092;

/// A broker that asks who comes, and what clients need to get in.
pub struct Locked {
    pub server: Server,
    pub files: tempfile::TempDir,
}

impl Locked {
    pub async fn start() -> Self {
        let certificates = Certificates::new();
        let broker = certificates.of(&["localhost"]);
        let client = certificates.of(&["worker.example"]);
        let files = tempfile::tempdir().expect("make a directory");
        let write = |name: &str, text: &str| {
            std::fs::write(files.path().join(name), text).expect("write a file");
        };
        write("ca.pem", &certificates.ca());
        write("other.pem", &Certificates::new().ca());
        write("client.pem", &client.certificate);
        write("client.key", &client.key);
        let chain = format!("{}\n{}\n{}", broker.key, broker.certificate, certificates.ca());
        let mut wanted = wanted_kafka("kafka-locked", 1, 1);
        wanted.ports.extend([SASL_TLS, TLS, SASL]);
        let ports = wanted.choose_ports();
        let listeners = [("OUTSIDE", OUTSIDE), ("SAFE", SASL_TLS), ("MUTUAL", TLS), ("OPEN", SASL)];
        let listening = listeners.map(|(name, port)| format!("{name}://:{port}")).join(",");
        let advertised =
            listeners.map(|(name, port)| format!("{name}://localhost:{}", ports[&port])).join(",");
        let scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;";
        let environment = [
            ("LISTENERS", format!("{listening},INSIDE://:19092,CONTROLLER://:9093")),
            ("ADVERTISED_LISTENERS", format!("{advertised},INSIDE://localhost:19092")),
            (
                "LISTENER_SECURITY_PROTOCOL_MAP",
                "OUTSIDE:PLAINTEXT,INSIDE:PLAINTEXT,CONTROLLER:PLAINTEXT,SAFE:SASL_SSL,MUTUAL:SSL,OPEN:SASL_PLAINTEXT"
                    .to_owned(),
            ),
            ("SASL_ENABLED_MECHANISMS", "SCRAM-SHA-512,SCRAM-SHA-256".to_owned()),
            ("LISTENER_NAME_SAFE_SCRAM___SHA___512_SASL_JAAS_CONFIG", scram.to_owned()),
            ("LISTENER_NAME_SAFE_SCRAM___SHA___256_SASL_JAAS_CONFIG", scram.to_owned()),
            ("LISTENER_NAME_OPEN_SCRAM___SHA___512_SASL_JAAS_CONFIG", scram.to_owned()),
            ("LISTENER_NAME_OPEN_SCRAM___SHA___256_SASL_JAAS_CONFIG", scram.to_owned()),
            ("LISTENER_NAME_MUTUAL_SSL_CLIENT_AUTH", "required".to_owned()),
            ("SSL_KEYSTORE_TYPE", "PEM".to_owned()),
            ("SSL_KEYSTORE_LOCATION", "/etc/kafka/secrets/broker.pem".to_owned()),
            ("SSL_TRUSTSTORE_TYPE", "PEM".to_owned()),
            ("SSL_TRUSTSTORE_LOCATION", "/etc/kafka/secrets/ca.pem".to_owned()),
            (
                "AUTHORIZER_CLASS_NAME",
                "org.apache.kafka.metadata.authorizer.StandardAuthorizer".to_owned(),
            ),
            // Those inside the container, who have no name.
            ("SUPER_USERS", "User:ANONYMOUS".to_owned()),
        ];
        for (name, value) in environment {
            wanted = wanted.env(&format!("KAFKA_{name}"), &value);
        }
        let wanted = wanted
            .env("SCRAM_USERS", "app:app-secret,nobody:nobody-secret")
            .file("/etc/kafka/secrets/broker.pem", chain)
            .file("/etc/kafka/secrets/ca.pem", certificates.ca());
        Self { server: wanted.start_at(ports).await, files }
    }

    /// Topics through a listener; `{ca}` and the like in the options are files.
    pub fn open(
        &self,
        user: &str,
        port: u16,
        password: &str,
        options: &str,
    ) -> Result<Arc<dyn Backend>, TopicError> {
        self.open_at(user, "localhost", port, password, options)
    }

    fn open_at(
        &self,
        user: &str,
        host: &str,
        port: u16,
        password: &str,
        options: &str,
    ) -> Result<Arc<dyn Backend>, TopicError> {
        let files = self.files.path().display().to_string();
        let url = format!("kafka://{user}{host}:{}?{options}", self.server.port_of(port));
        let url = url.replace("{}", &files);
        millstream_topic::open(&url, Secret::new(password), &[], Path::new("."))
    }

    /// Through TLS, as a user.
    pub fn app(&self, options: &str) -> Arc<dyn Backend> {
        let options = format!("ca={{}}/ca.pem&{options}");
        self.open("app@", SASL_TLS, "app-secret", &options).expect("open topics")
    }
}

#[tokio::test]
async fn a_locked_broker_lets_in_who_may_and_tells_the_others_why_not() {
    let locked = Locked::start().await;
    nobody_else_gets_in(&locked).await;
    what_is_missing_is_granted_as_said(&locked).await;
    users_and_certificates_open_it(&locked).await;
    crate::examined::a_locked_broker(&locked).await;
    who_is_locked_out_is_told(&locked).await;
}

/// Why `open` and a first look fail.
async fn refusal(kafka: Result<Arc<dyn Backend>, TopicError>) -> TopicError {
    match kafka {
        Ok(kafka) => kafka.info("t").await.expect_err("look through a wrong door"),
        Err(error) => error,
    }
}

async fn nobody_else_gets_in(locked: &Locked) {
    let ca = "ca={}/ca.pem";
    // User, host, port, password, options; whether it is sure; what is said.
    let cases = [
        ("app@", "localhost", SASL_TLS, "wrong", ca, true, "no user app with this password"),
        ("none@", "localhost", SASL_TLS, "none", ca, true, "no user none with this password"),
        (
            "app@",
            "localhost",
            SASL_TLS,
            "app-secret",
            "ca={}/ca.pem&sasl=plain",
            true,
            "SCRAM-SHA-512",
        ),
        ("app@", "localhost", SASL_TLS, "app-secret", "ca={}/other.pem", true, "isn't trusted"),
        ("app@", "localhost", SASL_TLS, "app-secret", "tls=on", true, "isn't trusted"),
        (
            "app@",
            "127.0.0.1",
            SASL_TLS,
            "app-secret",
            ca,
            true,
            "is for localhost, not for 127.0.0.1",
        ),
        ("", "localhost", TLS, "", ca, true, "wants a certificate"),
        ("app@", "localhost", OUTSIDE, "app-secret", "", true, "takes no users"),
        ("", "localhost", OUTSIDE, "", "tls=on", false, "closes TLS connections"),
        ("", "localhost", TLS, "", "", false, "tls=on"),
        ("app@", "localhost", SASL_TLS, "app-secret", "", false, "tls=on"),
        ("", "localhost", SASL, "", "", false, "a user (user@host)"),
    ];
    for (user, host, port, password, options, sure, said) in cases {
        let started = Instant::now();
        let error = refusal(locked.open_at(user, host, port, password, options)).await;
        let source = std::error::Error::source(&error).map(ToString::to_string);
        let text = format!("{error}: {}", source.unwrap_or_default());
        let what = format!("{user}{host}:{port}?{options} after {:?}: {text}", started.elapsed());
        eprintln!("{what}");
        assert!(text.contains(said), "{said:?} isn't in {what}");
        assert_eq!(error.is_retryable(), !sure, "{what}");
        assert!(!text.contains("app-secret"), "{what}");
        assert!(started.elapsed() < Duration::from_secs(20), "{what}");
    }
}

/// Runs the command that an error names, inside the container.
async fn grant(locked: &Locked, error: &TopicError) {
    let text = error.to_string();
    let (_, command) =
        text.split_once("kafka-acls.sh ").unwrap_or_else(|| panic!("no command in {text}"));
    let (_, command) = command.split_once("--add ").expect("what to add");
    let command = format!("kafka-acls.sh --bootstrap-server {INSIDE} --add {command}");
    locked.server.exec(&["sh", "-c", &command]).await;
}

/// Tries until it works, granting what each error says; the errors.
async fn granting<T>(
    locked: &Locked,
    what: &str,
    mut work: impl AsyncFnMut() -> Result<T, TopicError>,
) -> (T, usize) {
    let started = Instant::now();
    let (mut granted, mut last) = (Vec::new(), String::new());
    loop {
        match work().await {
            Ok(done) => return (done, granted.len()),
            Err(error) => {
                assert!(started.elapsed() < Duration::from_secs(60), "{what}: {error}");
                assert!(
                    !error.is_retryable() && error.to_string().contains("User:app"),
                    "{what}: {error:?}"
                );
                last.clone_from(&error.to_string());
                if !granted.contains(&last) {
                    eprintln!("{what}: {last}");
                    grant(locked, &error).await;
                    granted.push(last.clone());
                } else {
                    // Clients look for new rights with their metadata, every 10 s.
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
            }
        }
    }
}

async fn what_is_missing_is_granted_as_said(locked: &Locked) {
    for protocol in ["protocol=classic", "protocol=consumer"] {
        let kafka = locked.app(protocol);
        let name = format!("t-{}", &protocol[9..]);
        let topic = Topic::named(&name).partitions(1);
        let (_, granted) = granting(locked, "make", async || kafka.ensure(&topic).await).await;
        assert!(granted >= 1, "it could be made without a right");
        let one = || vec![Outgoing::keyed("k", "v")];
        let (_, granted) =
            granting(locked, "append", async || kafka.append(&name, one()).await).await;
        assert!(granted >= 1, "it could be written without a right");
        let at = TopicPartition::new(name.clone(), 0);
        let (_, granted) = granting(locked, "read", async || kafka.read(&at, 0, 1).await).await;
        assert!(granted >= 1, "it could be read without a right");
        let group = format!("g-{}", &protocol[9..]);
        let (mut member, granted) = granting(locked, "join", async || {
            let mut member = Following::join(&*kafka, &group, &name).await;
            let started = Instant::now();
            while member.ours.is_empty() {
                assert!(started.elapsed() < Duration::from_secs(60), "nothing was assigned");
                member.step().await?;
            }
            Ok(member)
        })
        .await;
        assert!(granted >= 1, "{protocol}: it could be joined without a right");
        append(&*kafka, &at, 1..4).await;
        let end = kafka.info(&name).await.expect("look").expect("it is there").partitions[0].end;
        member.until_end(&at, end).await;
        member.commit(&at, end).await;
    }
}

async fn users_and_certificates_open_it(locked: &Locked) {
    let doors = [
        ("app@", SASL_TLS, "app-secret", "ca={}/ca.pem&sasl=scram-sha-256", "User:app"),
        ("app@", SASL, "app-secret", "", "User:app"),
        (
            "",
            TLS,
            "",
            "ca={}/ca.pem&cert={}/client.pem&key={}/client.key",
            "User:CN=worker.example",
        ),
    ];
    for (user, port, password, options, principal) in doors {
        let kafka = locked.open(user, port, password, options).expect("open topics");
        // Who gets in hasn't got the rights yet: the name that brokers have for him is the one we say.
        let mut granted = Vec::new();
        let started = Instant::now();
        while let Err(error) = kafka.info("t-classic").await {
            let text = error.to_string();
            assert!(started.elapsed() < Duration::from_secs(30), "{error:?}");
            assert!(text.contains(principal), "{error:?}");
            if !granted.contains(&text) {
                grant(locked, &error).await;
                granted.push(text);
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        assert_eq!(granted.is_empty(), !user.is_empty(), "{options}: {granted:?}");
    }
}

/// The password changes while a member is at work, and its connections are gone: it is told why nothing comes.
async fn who_is_locked_out_is_told(locked: &Locked) {
    let kafka = locked.app("protocol=classic");
    let mut member = Following::join(&*kafka, "g-classic", "t-classic").await;
    member.until_ours(1).await;
    let password = "SCRAM-SHA-512=[password=another]";
    let change =
        ["--alter", "--entity-type", "users", "--entity-name", "app", "--add-config", password];
    tool(&locked.server, "kafka-configs.sh", &change).await;
    locked.server.stop().await;
    locked.server.start().await;
    let started = Instant::now();
    let error = loop {
        assert!(started.elapsed() < Duration::from_secs(90), "it goes on trying in silence");
        if let Err(error) = member.step().await {
            break error;
        }
    };
    eprintln!("after {:?}: {error}", started.elapsed());
    assert!(!error.is_retryable() && error.to_string().contains("no user app"), "{error:?}");
}
