use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use testcontainers::core::{ContainerPort, Healthcheck, WaitFor};
use testcontainers::runners::AsyncRunner;
use testcontainers::{GenericImage, ImageExt, ReuseDirective};

use super::{Server, images, runtime, witness};

/// When a server counts as started.
#[derive(Clone, Debug)]
pub enum Ready {
    /// Its first port takes connections.
    Listens,
    /// Its first port takes connections and greets.
    Greets,
    /// Its first port answers this path over HTTP with a success.
    Answers(&'static str),
    /// The image's own health check says so.
    Healthy,
}

/// A server to be.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// "kafka": for messages, and for sharing.
    pub name: String,
    /// In `infra/images/images.env`: "KAFKA".
    pub component: &'static str,
    /// Inside the container. Each gets a fixed port of this machine, so that it keeps it when it is stopped and started.
    pub ports: Vec<u16>,
    pub environment: Vec<(String, String)>,
    /// Path inside the container, and content.
    pub files: Vec<(String, Vec<u8>)>,
    /// In place of the image's own command.
    pub command: Vec<String>,
    pub network: Option<String>,
    /// Megabytes it gets at most.
    pub memory_mb: i64,
    pub ready: Ready,
}

impl Wanted {
    pub fn new(name: &str, component: &'static str, ports: &[u16]) -> Self {
        Self {
            name: name.to_owned(),
            component,
            ports: ports.to_vec(),
            environment: Vec::new(),
            files: Vec::new(),
            command: Vec::new(),
            network: None,
            memory_mb: 1024,
            ready: Ready::Listens,
        }
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn file(mut self, path: &str, content: impl Into<Vec<u8>>) -> Self {
        self.files.push((path.to_owned(), content.into()));
        self
    }

    pub fn command(mut self, command: &[&str]) -> Self {
        self.command = command.iter().map(|&part| part.to_owned()).collect();
        self
    }

    pub fn memory_mb(mut self, memory_mb: i64) -> Self {
        self.memory_mb = memory_mb;
        self
    }

    pub fn ready(mut self, ready: Ready) -> Self {
        self.ready = ready;
        self
    }

    /// Ports of this machine, one for each of `ports`: for servers that have to be told how they are reached.
    pub fn choose_ports(&self) -> BTreeMap<u16, u16> {
        self.ports.iter().map(|&inside| (inside, free_port())).collect()
    }

    /// Starts it for the caller alone: dropped, it is removed.
    pub async fn start(self) -> Server {
        let ports = self.choose_ports();
        self.start_at(ports).await
    }

    /// As [`Wanted::start`], at ports of this machine that were chosen before.
    pub async fn start_at(self, ports: BTreeMap<u16, u16>) -> Server {
        runtime::there(self.start_here(ports, None)).await
    }

    /// Starts it for everybody, or finds it started. `finish` gets the ports of this machine.
    pub(super) async fn share(
        self,
        finish: impl FnOnce(Self, &BTreeMap<u16, u16>) -> Self + Send + 'static,
    ) -> Server {
        runtime::there(async move {
            let lock = lock(&self.name);
            let image = images::made(self.component);
            let id = images::id(&image).replace("sha256:", "");
            let container = format!("millstream-test-{}-{:.12}", self.name, id);
            images::remove_useless(&self.name, &container);
            let ports = self.choose_ports();
            let wanted = finish(self, &ports);
            let server = wanted.start_here(ports, Some(container)).await;
            drop(lock);
            server
        })
        .await
    }

    async fn start_here(self, ports: BTreeMap<u16, u16>, shared: Option<String>) -> Server {
        let image = images::made(self.component);
        let (name, tag) = image.split_once(':').expect("an image has a tag");
        let mut request = GenericImage::new(name, tag)
            .with_wait_for(WaitFor::seconds(0))
            // Checks of every server, each three seconds, take their share of a small machine: they are asked at the
            // start only, see `Server::until_ready`.
            .with_health_check(Healthcheck::none())
            .with_startup_timeout(Duration::from_secs(180));
        for (&inside, &outside) in &ports {
            request = request.with_mapped_port(outside, ContainerPort::Tcp(inside));
        }
        for (name, value) in &self.environment {
            request = request.with_env_var(name, value);
        }
        for (path, content) in &self.files {
            request = request.with_copy_to(path, content.clone());
        }
        if !self.command.is_empty() {
            request = request.with_cmd(self.command.clone());
        }
        if let Some(network) = &self.network {
            request = request.with_network(network).with_container_name(&self.name);
        }
        let memory = self.memory_mb << 20;
        request = request.with_host_config_modifier(move |host| {
            host.memory = Some(memory);
            // A JVM that is swapped out is as good as dead.
            host.memory_swap = Some(memory);
            // Nobody but this machine has business with servers whose passwords stand in the sources.
            let bindings = host.port_bindings.iter_mut().flat_map(|ports| ports.values_mut());
            for binding in bindings.flatten().flatten() {
                binding.host_ip = Some("127.0.0.1".to_owned());
            }
        });
        if let Some(container) = &shared {
            request = request
                .with_container_name(container)
                .with_label("millstream.shared", &self.name)
                .with_reuse(ReuseDirective::Always);
        }
        let started = request.start().await;
        let container =
            started.unwrap_or_else(|error| panic!("start {} ({image}): {error}", self.name));
        let server = Server::new(self.name, image, container, self.ports, self.ready).await;
        witness::saw(&server);
        server.until_ready().await;
        server
    }
}

/// A port of this machine that nobody listens on. It is none of those that the system gives to connections: one of them
/// would take it while its server is stopped.
pub fn free_port() -> u16 {
    let given = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range");
    let lowest = given.ok().and_then(|given| given.split_whitespace().next()?.parse().ok());
    let ours = 10_000..lowest.unwrap_or(32_768_u16).max(11_000);
    let mut ports = (0..1000).map(|_| rand::random_range(ours.clone()));
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    ports.find(is_free).expect("one port of a thousand is free")
}

/// Held by one process at a time: two shall not start the same server.
fn lock(name: &str) -> std::fs::File {
    let path = std::env::temp_dir().join(format!("millstream-test-{name}.lock"));
    let file = std::fs::File::create(&path).expect("make a lock file");
    file.lock().expect("lock it");
    file
}
