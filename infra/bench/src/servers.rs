//! Servers of the bench's own, in containers of the images of `infra/images/images.env`.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::peers::root;
use crate::tree;

const TABLE: &str = include_str!("../../images/images.env");
/// How long a server may take to start.
const START: Duration = Duration::from_secs(180);

/// A server at work; it goes when this is dropped.
pub struct Server {
    container: String,
    port: u16,
    running: Child,
}

impl Server {
    /// A broker without passwords, on loopback.
    pub fn kafka() -> Result<Self> {
        let port = free_port()?;
        let listeners = "OUTSIDE://:9092,INSIDE://:19092,CONTROLLER://:9093";
        let advertised = format!("OUTSIDE://127.0.0.1:{port},INSIDE://localhost:19092");
        let plain = "OUTSIDE:PLAINTEXT,INSIDE:PLAINTEXT,CONTROLLER:PLAINTEXT";
        let environment = [
            ("CLUSTER_ID", "MkU3OEVBNTcwNTJENDM2Qg"),
            ("KAFKA_NODE_ID", "1"),
            ("KAFKA_PROCESS_ROLES", "broker,controller"),
            ("KAFKA_CONTROLLER_QUORUM_VOTERS", "1@localhost:9093"),
            ("KAFKA_CONTROLLER_LISTENER_NAMES", "CONTROLLER"),
            ("KAFKA_LISTENERS", listeners),
            ("KAFKA_ADVERTISED_LISTENERS", &advertised),
            ("KAFKA_LISTENER_SECURITY_PROTOCOL_MAP", plain),
            ("KAFKA_INTER_BROKER_LISTENER_NAME", "INSIDE"),
            ("KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR", "1"),
            ("KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS", "3"),
            ("KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR", "1"),
            ("KAFKA_TRANSACTION_STATE_LOG_MIN_ISR", "1"),
            ("KAFKA_SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR", "1"),
            ("KAFKA_SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR", "1"),
            ("KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS", "0"),
            ("KAFKA_AUTO_CREATE_TOPICS_ENABLE", "false"),
        ];
        Self::start("kafka", (port, 9092), &environment)
    }

    pub fn cassandra() -> Result<Self> {
        let environment =
            [("CASSANDRA_BROADCAST_RPC_ADDRESS", "127.0.0.1"), ("MAX_HEAP_SIZE", "1G")];
        Self::start("cassandra", (free_port()?, 9042), &environment)
    }

    /// `password`: its root's.
    pub fn mysql(password: &str) -> Result<Self> {
        Self::start("mysql", (free_port()?, 3306), &[("MYSQL_ROOT_PASSWORD", password)])
    }

    /// `host:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// CPU seconds it has taken.
    pub fn cpu_seconds(&self) -> f64 {
        let id = docker(&["inspect", "-f", "{{.State.Pid}}", &self.container]);
        let id = id.ok().and_then(|id| id.parse().ok());
        id.map_or(f64::NAN, tree::cpu_seconds)
    }

    fn start(name: &str, ports: (u16, u16), environment: &[(&str, &str)]) -> Result<Self> {
        let image = image(name)?;
        let container = format!("millstream-bench-{name}-{}", std::process::id());
        let mut command = Command::new("docker");
        // In the foreground, so that a signal that ends us ends it, too.
        command.args(["run", "--rm", "--name", &container, "--label", "millstream.bench"]);
        command.args(["--no-healthcheck", "-p", &format!("127.0.0.1:{}:{}", ports.0, ports.1)]);
        for (key, value) in environment {
            // The value by the environment: lists of processes show arguments.
            command.args(["-e", key]).env(key, value);
        }
        command.arg(&image).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let running = command.spawn().context("start docker")?;
        let mut server = Self { container, port: ports.0, running };
        server.until_ready(&health_check(&image)?).with_context(|| format!("start {name}"))?;
        Ok(server)
    }

    fn until_ready(&mut self, check: &[String]) -> Result<()> {
        let started = Instant::now();
        loop {
            let mut asked = vec!["exec", &self.container];
            asked.extend(check.iter().map(String::as_str));
            let Err(seen) = docker(&asked) else { return Ok(()) };
            if let Some(status) = self.running.try_wait()? {
                bail!("its container ended: {status}; {seen:#}");
            }
            ensure!(started.elapsed() < START, "it isn't ready after {START:?}: {seen:#}");
            #[allow(
                clippy::disallowed_methods,
                reason = "no task runs beside this, and nobody tells"
            )]
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = docker(&["rm", "--force", "--volumes", &self.container]) {
            eprintln!("bench: remove {}: {error:#}", self.container);
        }
        // What `rm` ended has nothing more to tell.
        let _ = self.running.wait();
    }
}

/// All versions and images of the table, by key.
pub fn table() -> BTreeMap<&'static str, &'static str> {
    let lines = TABLE.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_once('=')).collect()
}

/// The image's name; it is made if it is missing.
fn image(name: &str) -> Result<String> {
    let table = table();
    let image = table.get(format!("{}_IMAGE", name.to_uppercase()).as_str());
    let image = image.with_context(|| format!("images.env has no {name}"))?;
    let made =
        Command::new(root()?.join("scripts/images")).arg(name).stdout(Stdio::null()).status();
    let made = made.context("start scripts/images")?;
    ensure!(made.success(), "scripts/images {name} failed");
    Ok((*image).to_owned())
}

/// The command by which its container tells whether it works.
fn health_check(image: &str) -> Result<Vec<String>> {
    let told = docker(&["image", "inspect", "-f", "{{json .Config.Healthcheck.Test}}", image])?;
    let mut test: Vec<String> = serde_json::from_str(&told).context("read its health check")?;
    ensure!(!test.is_empty(), "{image} has no health check");
    Ok(match test.remove(0).as_str() {
        "CMD-SHELL" => ["sh", "-c"].map(str::to_owned).into_iter().chain(test).collect(),
        _ => test,
    })
}

fn docker(args: &[&str]) -> Result<String> {
    let ran = Command::new("docker").args(args).output().context("start docker")?;
    let told = String::from_utf8_lossy(&ran.stderr);
    ensure!(ran.status.success(), "docker {}: {}", args.join(" "), told.trim());
    Ok(String::from_utf8_lossy(&ran.stdout).trim().to_owned())
}

/// A port that nobody listens on just now.
fn free_port() -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("look for a free port")?;
    Ok(listener.local_addr()?.port())
}
