use std::path::PathBuf;
use std::sync::OnceLock;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use serde_json::{Value, json};

use super::{Browser, Own};
use crate::binaries::root;

/// A way to look at a page.
struct Look {
    name: &'static str,
    width: u32,
    height: u32,
    dark: bool,
}

const LOOKS: [Look; 4] = [
    Look { name: "desktop", width: DESKTOP, height: 900, dark: false },
    Look { name: "desktop-dark", width: DESKTOP, height: 900, dark: true },
    Look { name: "phone", width: PHONE, height: 844, dark: false },
    Look { name: "phone-dark", width: PHONE, height: 844, dark: true },
];
const DESKTOP: u32 = 1280;
const PHONE: u32 = 390;

/// How often to look at most while the machine's network changes.
const TIMES: usize = 5;

/// Pictures are cut here: more of a page than that nobody looks at.
const HEIGHT_MAX: f64 = 6000.0;

const AXE: &str = "const done = arguments[arguments.length - 1];
axe.run(document, { resultTypes: ['violations'] }).then(
  found => done(found.violations.map(rule => rule.id + ': ' + rule.help + rule.nodes.slice(0, 5).map(
    node => '\\n    ' + node.target.join(' ') + ': ' + (node.failureSummary ?? '').replace(/\\s+/g, ' ')).join(''))),
  error => done(['axe failed: ' + error]));";

/// What lies across the right edge, if the page can be scrolled sideways.
const TOO_WIDE: &str = "const width = document.documentElement.clientWidth;
if (document.documentElement.scrollWidth <= width) return [];
const wide = [...document.body.querySelectorAll('*')].filter(e => e.getBoundingClientRect().right > width + 1);
return ['the page is ' + document.documentElement.scrollWidth + ' px wide, of ' + width,
  ...wide.slice(0, 5).map(e => '    ' + e.tagName + '.' + e.className)];";

impl Browser {
    /// Looks at the page that is open: wide and narrow, light and dark, loaded anew at each width. Keeps a picture of
    /// each look, and panics with everything that is wrong: what axe finds, what can be scrolled sideways, what was
    /// logged.
    #[track_caller]
    pub fn assert_sound(&self, name: &str) {
        self.assert_nothing(&self.wrong(name));
    }

    /// See [`Browser::assert_sound`]; without loading it anew, for what somebody has done to the page.
    #[track_caller]
    pub fn assert_sound_as_it_is(&self, name: &str) {
        self.assert_nothing(&self.judged(name, false));
    }

    /// See [`Browser::assert_sound`].
    pub fn wrong(&self, name: &str) -> Vec<String> {
        self.judged(name, true)
    }

    #[track_caller]
    fn assert_nothing(&self, wrong: &[String]) {
        assert!(wrong.is_empty(), "{}\n{}", self.url(), wrong.join("\n"));
    }

    fn judged(&self, name: &str, anew: bool) -> Vec<String> {
        let (mut wrong, mut logged) = (Vec::new(), Vec::new());
        for _ in 0..TIMES {
            wrong = self.looked_at(name, anew);
            let (cut_off, lines): (Vec<_>, Vec<_>) =
                self.log().into_iter().partition(|line| is_cut_off(line));
            logged.extend(lines);
            if cut_off.is_empty() || !anew {
                break;
            }
            self.told("load the page anew", self.client.refresh());
        }
        wrong.extend(logged.iter().map(|line| format!("{name}: logged: {line}")));
        wrong
    }

    fn looked_at(&self, name: &str, anew: bool) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut width = DESKTOP;
        for look in &LOOKS {
            self.look(look);
            if anew && look.width != width {
                self.told("load the page anew", self.client.refresh());
            }
            width = look.width;
            let found = self.violations().into_iter().chain(self.too_wide());
            wrong.extend(found.map(|what| format!("{} ({}): {what}", name, look.name)));
            self.picture(&format!("{name}-{}", look.name), look);
        }
        self.look(&LOOKS[0]);
        wrong
    }

    /// What keeps people out of the page, by axe.
    pub fn violations(&self) -> Vec<String> {
        self.script(axe(), Vec::new());
        let asked = self.client.execute_async(AXE, Vec::new());
        serde_json::from_value(self.told("ask axe", asked)).expect("texts")
    }

    pub fn too_wide(&self) -> Vec<String> {
        serde_json::from_value(self.script(TOO_WIDE, Vec::new())).expect("texts")
    }

    /// Warnings and errors since the last time: of scripts, of the policy, of what couldn't be loaded.
    pub fn logged(&self) -> Vec<String> {
        self.log().into_iter().filter(|line| !is_cut_off(line)).collect()
    }

    /// Whether nothing was cut off since the last look at the log.
    pub(super) fn is_whole(&self) -> bool {
        let logged = self.log();
        let is_whole = !logged.iter().any(|line| is_cut_off(line));
        self.logged.replace(logged.into_iter().filter(|line| !is_cut_off(line)).collect());
        is_whole
    }

    fn log(&self) -> Vec<String> {
        let log = Own { path: "se/log", body: json!({ "type": "browser" }) };
        let entries = self.told("ask for the log", self.client.issue_cmd(log));
        let entries = entries.as_array().cloned().unwrap_or_default();
        let bad =
            |entry: &&Value| ["SEVERE", "WARNING"].iter().any(|level| entry["level"] == *level);
        let line = |entry: &Value| entry["message"].as_str().unwrap_or_default().to_owned();
        self.logged.take().into_iter().chain(entries.iter().filter(bad).map(line)).collect()
    }

    fn look(&self, look: &Look) {
        let narrow = look.width == PHONE;
        let size = json!({ "width": look.width, "height": look.height, "deviceScaleFactor": 1, "mobile": narrow });
        self.devtools("Emulation.setDeviceMetricsOverride", size);
        let colours = if look.dark { "dark" } else { "light" };
        let features = json!({ "features": [
            { "name": "prefers-color-scheme", "value": colours },
            // So that nothing is caught on its way from one colour to the other.
            { "name": "prefers-reduced-motion", "value": "reduce" },
        ] });
        self.devtools("Emulation.setEmulatedMedia", features);
    }

    fn picture(&self, name: &str, look: &Look) {
        let height = self.script("return document.documentElement.scrollHeight", Vec::new());
        let height = height.as_f64().unwrap_or_default().clamp(f64::from(look.height), HEIGHT_MAX);
        let clip = json!({ "x": 0, "y": 0, "width": look.width, "height": height, "scale": 1 });
        let wanted = json!({ "format": "png", "captureBeyondViewport": true, "clip": clip });
        let taken = self.devtools("Page.captureScreenshot", wanted);
        let file = pictures().join(format!("{name}.png"));
        let picture = BASE64.decode(taken["data"].as_str().expect("a picture"));
        std::fs::write(&file, picture.expect("in base64")).expect("keep it");
    }
}

/// Whether loading broke off because a network interface of the machine came or went, as containers' do: Chromium then
/// ends all that is under way, on loopback too. That says nothing of the page.
pub(super) fn is_cut_off(line: &str) -> bool {
    line.contains("ERR_NETWORK_CHANGED")
}

/// Where pictures are kept: `MILLSTREAM_SCREENSHOTS`, or beside the build's output.
fn pictures() -> PathBuf {
    let set = std::env::var_os("MILLSTREAM_SCREENSHOTS").map(PathBuf::from);
    let directory = set.unwrap_or_else(|| {
        let test = std::env::current_exe().expect("the test's own path");
        test.ancestors().nth(3).expect("<target>/<profile>/deps/<test>").join("screenshots")
    });
    std::fs::create_dir_all(&directory).expect("make the pictures' directory");
    directory
}

fn axe() -> &'static str {
    static AXE: OnceLock<String> = OnceLock::new();
    AXE.get_or_init(|| {
        let path = root().join("integration-tests/browser/node_modules/axe-core/axe.min.js");
        std::fs::read_to_string(&path).unwrap_or_else(|error| {
            panic!("read axe-core: {error}; run `scripts/setup browser`, which gets it")
        })
    })
}
