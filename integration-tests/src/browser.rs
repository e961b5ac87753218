//! Chromium without a window, driven through chromedriver as a person would: clicks and keys, and reading what is shown.
//!
//! # Layout
//! - [`Browser`]: start, visit, type, click, wait; ends both processes whatever happens.
//! - `page`: what a page is held to in every look: axe, no error, no sideways scrolling, a picture.

mod page;

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::Future;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use fantoccini::error::CmdError;
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reqwest::{Method, Url};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::time::timeout;

use crate::{Running, stack, wait};

pub use fantoccini::key::Key;

/// For one command of the browser.
const COMMAND: Duration = Duration::from_secs(120);
/// For something to appear on a page.
const APPEARS: Duration = Duration::from_secs(120);
/// Between two looks at a page: each of them takes the browser's time.
const STEP: Duration = Duration::from_millis(20);
/// The number of the browser's own process, among what chromedriver says of a session.
const PROCESS: &str = "goog:processID";

/// A browser with a profile of its own. All its methods panic when the browser fails or a wait ends in vain.
pub struct Browser {
    client: Client,
    /// Ends when it is dropped, after the client's session.
    driver: Running,
    process: Option<Pid>,
    /// What was logged and nobody has asked for yet.
    logged: RefCell<Vec<String>>,
    runtime: Runtime,
    _profile: TempDir,
}

impl Browser {
    #[allow(clippy::new_without_default, reason = "starts two processes")]
    pub fn new() -> Self {
        let profile = TempDir::new().expect("make a directory");
        let runtime = runtime();
        let mut driver = Running::start(driver(&profile));
        let port = driver.told_after("was started successfully on port ");
        let address = format!("http://127.0.0.1:{}", port.trim_end_matches('.'));
        let mut builder = ClientBuilder::new(HttpConnector::new());
        builder.capabilities(capabilities(&profile));
        let connected =
            runtime.block_on(async { timeout(COMMAND, builder.connect(&address)).await });
        let client = match connected {
            Ok(Ok(client)) => client,
            failed => panic!("start chromium: {failed:?}\n{driver:?}"),
        };
        let told = client.capabilities().and_then(|all| all.get(PROCESS)).and_then(Value::as_i64);
        let process = told.and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
        Self { client, driver, process, logged: RefCell::default(), runtime, _profile: profile }
    }

    /// The processes of the browser and of its driver.
    pub fn processes(&self) -> Vec<Pid> {
        let driver = Pid::from_raw(i32::try_from(self.driver.id()).unwrap());
        self.process.into_iter().chain([driver]).collect()
    }

    /// Opens a page and waits until it has loaded.
    #[track_caller]
    pub fn goto(&self, url: &str) {
        loop {
            let opened = self.told(&format!("open {url}"), async {
                match self.client.goto(url).await {
                    Err(error) if page::is_cut_off(&error.to_string()) => Ok(false),
                    done => done.map(|()| true),
                }
            });
            // A script or picture that was cut off leaves the page standing without it.
            if opened && self.is_whole() {
                return;
            }
        }
    }

    pub fn back(&self) {
        self.told("go back", self.client.back());
    }

    pub fn url(&self) -> String {
        self.told("ask for the address", self.client.current_url()).to_string()
    }

    /// Waits until the page's address holds `part`.
    #[track_caller]
    pub fn wait_for_url(&self, part: &str) {
        self.wait_until(&format!("the address has {part:?}"), || {
            let url = self.url();
            if url.contains(part) { Ok(()) } else { Err(url) }
        });
    }

    /// Waits until something that `css` names is on the page; its text as it is shown.
    #[track_caller]
    pub fn wait_for(&self, css: &str) -> String {
        self.wait_for_text(css, |_| true)
    }

    /// Waits until the text of what `css` names is as wanted.
    #[track_caller]
    pub fn wait_for_text(&self, css: &str, wanted: impl Fn(&str) -> bool) -> String {
        self.wait_until(&format!("{css} is as it should be"), || match self.text(css) {
            Some(text) if wanted(&text) => Ok(text),
            Some(text) => Err(text),
            None => Err(format!("nothing there; the page: {}", self.page())),
        })
    }

    #[track_caller]
    pub fn wait_until<T>(&self, what: &str, mut ask: impl FnMut() -> Result<T, String>) -> T {
        wait::until(what, APPEARS, || ask().inspect_err(|_| wait::pause(STEP)))
    }

    /// The text of the first element, as it is shown.
    pub fn text(&self, css: &str) -> Option<String> {
        self.texts(css).into_iter().next()
    }

    pub fn texts(&self, css: &str) -> Vec<String> {
        let script = "return [...document.querySelectorAll(arguments[0])].map(e => (e.innerText ?? e.textContent).trim())";
        serde_json::from_value(self.script(script, vec![json!(css)])).expect("texts")
    }

    pub fn count(&self, css: &str) -> usize {
        self.texts(css).len()
    }

    /// Whether the first element is to be seen.
    pub fn shows(&self, css: &str) -> bool {
        let script = "return document.querySelector(arguments[0])?.checkVisibility() ?? false";
        self.script(script, vec![json!(css)]) == true
    }

    /// An attribute of the first element.
    pub fn attribute(&self, css: &str, name: &str) -> Option<String> {
        let script = "return document.querySelector(arguments[0])?.getAttribute(arguments[1])";
        self.script(script, vec![json!(css), json!(name)]).as_str().map(str::to_owned)
    }

    /// Everything the page shows.
    pub fn page(&self) -> String {
        let script = "return location.href + '\\n' + (document.body?.innerText ?? '')";
        self.script(script, Vec::new()).as_str().unwrap_or_default().to_owned()
    }

    /// Clicks on the first element as a person does: it has to be in sight, with nothing above it.
    #[track_caller]
    pub fn click(&self, css: &str) {
        self.told(&format!("click on {css}"), self.clicked(css));
    }

    /// A page that renews itself may replace an element after it was found: then the new one is meant.
    async fn clicked(&self, css: &str) -> Result<(), CmdError> {
        loop {
            match self.client.find(Locator::Css(css)).await?.click().await {
                Err(error) if error.is_stale_element_reference() => {}
                clicked => return clicked,
            }
        }
    }

    /// Clicks on a link until the address has `part`: no click comes of one that is renewed between press and release.
    #[track_caller]
    pub fn follow(&self, link: &str, part: &str) {
        self.wait_until(&format!("{link} leads to {part}"), || {
            self.click(link);
            let url = self.url();
            if url.contains(part) { Ok(()) } else { Err(url) }
        });
    }

    /// Clicks into the first element and types.
    #[track_caller]
    pub fn type_into(&self, css: &str, text: &str) {
        self.click(css);
        let typed = async { self.client.find(Locator::Css(css)).await?.send_keys(text).await };
        self.told(&format!("type into {css}"), typed);
    }

    /// Presses a key where the focus is.
    #[track_caller]
    pub fn press(&self, key: Key) {
        let text = char::from(key).to_string();
        let pressed = async { self.client.active_element().await?.send_keys(&text).await };
        self.told(&format!("press {key:?}"), pressed);
    }

    /// The value of a script of the test's own: the pages' policy holds for what they bring along.
    #[track_caller]
    pub fn script(&self, script: &str, arguments: Vec<Value>) -> Value {
        self.told(script, self.client.execute(script, arguments))
    }

    /// With `off`, pages that are opened from now on do without their scripts.
    pub fn switch_scripts(&self, off: bool) {
        self.devtools("Emulation.setScriptExecutionDisabled", json!({ "value": off }));
    }

    fn devtools(&self, command: &str, parameters: Value) -> Value {
        let body = json!({ "cmd": command, "params": parameters });
        self.told(command, self.client.issue_cmd(Own { path: "goog/cdp/execute", body }))
    }

    #[track_caller]
    fn told<T>(&self, what: &str, command: impl Future<Output = Result<T, CmdError>>) -> T {
        match self.runtime.block_on(async { timeout(COMMAND, command).await }) {
            Ok(Ok(value)) => value,
            Ok(Err(error)) => panic!("{what:.200}: {error}"),
            Err(_) => panic!("{what:.200}: the browser takes more than {COMMAND:?}"),
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let client = self.client.clone();
        let closed = self.runtime.block_on(async { timeout(COMMAND, client.close()).await });
        if !matches!(closed, Ok(Ok(()))) {
            // The driver would have ended it; it is on its own now.
            self.process.map(|id| kill(id, Signal::SIGKILL));
        }
    }
}

/// A command that only Chromium knows.
#[derive(Debug)]
struct Own {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Own {
    fn endpoint(
        &self,
        base: &Url,
        session: Option<&str>,
    ) -> Result<Url, <Url as std::str::FromStr>::Err> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.body.to_string()))
    }
}

/// One thread beside the test's own, which asks and waits.
fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(1).enable_all().build().expect("start a runtime")
}

fn driver(profile: &TempDir) -> Command {
    let mut command = Command::new(installed("chromedriver"));
    // No word to anybody's desktop or accessibility service, and files only where they go with the test.
    command.env_remove("DISPLAY").env_remove("DBUS_SESSION_BUS_ADDRESS");
    command.env("TMPDIR", profile.path()).env("HOME", profile.path());
    // With a port of its choice it may find the same one taken in the other version of IP, and ends.
    command.arg(format!("--port={}", stack::free_port()));
    command
}

fn capabilities(profile: &TempDir) -> serde_json::Map<String, Value> {
    let mut arguments = vec![
        format!("--user-data-dir={}", profile.path().join("profile").display()),
        "--headless=new".to_owned(),
        "--window-size=1280,900".to_owned(),
        "--no-proxy-server".to_owned(),
        "--no-first-run".to_owned(),
        "--disable-gpu".to_owned(),
        // Containers give /dev/shm 64 MB.
        "--disable-dev-shm-usage".to_owned(),
        "--disable-background-networking".to_owned(),
        "--disable-component-update".to_owned(),
        "--disable-sync".to_owned(),
        "--force-color-profile=srgb".to_owned(),
    ];
    let owner = profile.path().metadata().expect("look at the profile's directory").uid();
    if owner == 0 {
        // With its sandbox Chromium refuses to run as root.
        arguments.push("--no-sandbox".to_owned());
    }
    let capabilities = HashMap::from([
        ("goog:chromeOptions", json!({ "binary": installed("chromium"), "args": arguments })),
        ("goog:loggingPrefs", json!({ "browser": "ALL" })),
        // A dialogue that a hostile record opens fails the next command.
        ("unhandledPromptBehavior", json!("ignore")),
        ("timeouts", json!({ "script": COMMAND.as_millis() })),
    ]);
    capabilities.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The program's path.
fn installed(program: &str) -> PathBuf {
    let directories = std::env::var_os("PATH").unwrap_or_default();
    let mut paths = std::env::split_paths(&directories).map(|directory| directory.join(program));
    paths.find(|path| path.is_file()).unwrap_or_else(|| {
        panic!("there is no {program}, which this test drives; run `scripts/setup browser`")
    })
}
