use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use testcontainers::core::ContainerPort;
use testcontainers::{ContainerAsync, GenericImage};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::runtime;
use super::wanted::Ready;

/// How long a server may take to start; machines that run tests are slow at times.
const START: Duration = Duration::from_secs(180);
/// Between two looks whether it has: each may cost a process.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// A server at work in a container.
pub struct Server {
    pub name: String,
    pub image: String,
    ports: BTreeMap<u16, u16>,
    first: u16,
    ready: Ready,
    /// Taken when dropped.
    container: Option<std::sync::Arc<ContainerAsync<GenericImage>>>,
}

/// How a command inside a container ended.
#[derive(Clone, Debug)]
pub struct Exec {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Server {
    pub(super) async fn new(
        name: String,
        image: String,
        container: ContainerAsync<GenericImage>,
        inside: Vec<u16>,
        ready: Ready,
    ) -> Self {
        let first = inside[0];
        let mut ports = BTreeMap::new();
        for inside in inside {
            let outside = container.get_host_port_ipv4(ContainerPort::Tcp(inside)).await;
            let outside =
                outside.unwrap_or_else(|error| panic!("find port {inside} of {name}: {error}"));
            ports.insert(inside, outside);
        }
        Self { name, image, ports, first, ready, container: Some(std::sync::Arc::new(container)) }
    }

    /// The port of this machine that leads to its first one.
    pub fn port(&self) -> u16 {
        self.port_of(self.first)
    }

    /// The port of this machine that leads to `inside`.
    pub fn port_of(&self, inside: u16) -> u16 {
        self.ports[&inside]
    }

    /// `127.0.0.1:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port())
    }

    /// The container's id.
    pub fn id(&self) -> String {
        self.container().id().to_owned()
    }

    /// Runs a command inside the container; panics unless it succeeds. Its standard output.
    pub async fn exec(&self, command: &[&str]) -> String {
        let ran = self.try_exec(command).await;
        assert_eq!(ran.code, 0, "{command:?} in {}: {ran:?}", self.name);
        ran.stdout
    }

    /// Runs a command inside the container.
    pub async fn try_exec(&self, command: &[&str]) -> Exec {
        let mut docker = tokio::process::Command::new("docker");
        let ran = docker.args(["exec", &self.id()]).args(command).kill_on_drop(true).output().await;
        let ran = ran.unwrap_or_else(|error| panic!("run {command:?} in {}: {error}", self.name));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let code = ran.status.code().unwrap_or(-1);
        Exec { code, stdout: text(&ran.stdout), stderr: text(&ran.stderr) }
    }

    /// Stops it as an operator would: it gets 30 s to end.
    pub async fn stop(&self) {
        self.stop_within(30).await;
    }

    /// Stops it without giving it time.
    pub async fn kill(&self) {
        self.stop_within(0).await;
    }

    async fn stop_within(&self, seconds: i32) {
        let container = self.container();
        let stopped =
            runtime::there(async move { container.stop_with_timeout(Some(seconds)).await });
        stopped.await.unwrap_or_else(|error| panic!("stop {}: {error}", self.name));
    }

    /// Starts it again, with its data and at its ports, and waits until it works.
    pub async fn start(&self) {
        self.start_only().await;
        self.until_ready().await;
    }

    /// Starts it again without waiting until it works.
    pub async fn start_only(&self) {
        let container = self.container();
        let started = runtime::there(async move { container.start().await }).await;
        started.unwrap_or_else(|error| panic!("start {} again: {error}", self.name));
    }

    /// Stops its processes where they are, until [`Server::unpause`].
    pub async fn pause(&self) {
        let mut tries = 0;
        loop {
            let container = self.container();
            let paused = runtime::there(async move { container.pause().await }).await;
            let Err(error) = paused else { return };
            tries += 1;
            // runc can't freeze a container whose health check starts at that moment.
            let passes = error.to_string().contains("unable to freeze") && tries < 10;
            assert!(passes, "pause {}: {error}", self.name);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    pub async fn unpause(&self) {
        let container = self.container();
        let unpaused = runtime::there(async move { container.unpause().await }).await;
        unpaused.unwrap_or_else(|error| panic!("unpause {}: {error}", self.name));
    }

    /// Waits until it works; panics with its log if that takes too long, or if it has ended.
    pub async fn until_ready(&self) {
        let started = Instant::now();
        loop {
            let seen = match self.is_ready().await {
                Ok(()) => return,
                Err(seen) => seen,
            };
            let container = self.container();
            let running = runtime::there(async move { container.is_running().await }).await;
            if !running.unwrap_or(true) || started.elapsed() > START {
                let waited = started.elapsed();
                panic!(
                    "{} is not ready after {waited:?}: {seen}\n{}",
                    self.name,
                    self.logs(80).await
                );
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn is_ready(&self) -> Result<(), String> {
        let told = |error: std::io::Error| format!("{}: {error}", self.address());
        let limit = Duration::from_secs(5);
        let probe = async {
            match self.ready {
                Ready::Healthy => return self.is_healthy().await,
                Ready::Answers(path) => return self.answers(path).await,
                Ready::Listens | Ready::Greets => {}
            }
            let mut connection = TcpStream::connect(self.address()).await.map_err(told)?;
            if matches!(self.ready, Ready::Greets) {
                let mut greeting = [0; 1];
                connection.read_exact(&mut greeting).await.map_err(told)?;
            }
            Ok(())
        };
        tokio::time::timeout(limit, probe).await.map_err(|_| format!("silent for {limit:?}"))?
    }

    async fn answers(&self, path: &str) -> Result<(), String> {
        let told = |error: std::io::Error| format!("{}: {error}", self.address());
        let mut connection = TcpStream::connect(self.address()).await.map_err(told)?;
        let request = format!("GET {path} HTTP/1.0\r\nHost: {}\r\n\r\n", self.address());
        connection.write_all(request.as_bytes()).await.map_err(told)?;
        let mut answer = [0; 12];
        connection.read_exact(&mut answer).await.map_err(told)?;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        if answer.ends_with(" 200") { Ok(()) } else { Err(answer) }
    }

    /// By its image's own health check, which the engine itself doesn't run (see `Wanted`).
    async fn is_healthy(&self) -> Result<(), String> {
        let command = super::images::health_check(&self.image);
        let command: Vec<&str> = command.iter().map(String::as_str).collect();
        let told = self.try_exec(&command).await;
        if told.code == 0 { Ok(()) } else { Err(format!("{told:?}")) }
    }

    /// The last lines of its log, both outputs.
    pub async fn logs(&self, lines: usize) -> String {
        tail(&self.id(), &self.name, lines).await
    }

    fn container(&self) -> std::sync::Arc<ContainerAsync<GenericImage>> {
        self.container.clone().expect("it is there until it is dropped")
    }
}

/// The last lines of a container's log.
pub(super) async fn tail(id: &str, name: &str, lines: usize) -> String {
    let arguments = ["logs", "--tail", &lines.to_string(), id].map(str::to_owned);
    match tokio::process::Command::new("docker").args(arguments).output().await {
        Ok(said) => {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            format!("log of {name}:\n{}{}", text(&said.stdout), text(&said.stderr))
        }
        Err(error) => format!("log of {name}: {error}"),
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It removes itself on the stack's runtime, unless it is shared.
        let Some(container) = self.container.take() else { return };
        let dropping =
            std::thread::spawn(move || runtime::block_on(async move { drop(container) }));
        // A test that ends takes its servers with it; one that can't has told so on its output.
        let _ = dropping.join();
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}) at {}", self.name, self.image, self.address())
    }
}
