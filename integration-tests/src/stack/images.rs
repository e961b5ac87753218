//! The images' names and versions, out of `infra/images/images.env`, and how a missing image is made.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use crate::binaries;

/// `KEY=value` lines.
pub fn table() -> BTreeMap<String, String> {
    let path = binaries::root().join("infra/images/images.env");
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("read {}: {error}", path.display()));
    text.lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
        .map(|line| {
            let (key, value) = line.split_once('=').unwrap_or_else(|| panic!("KEY=value: {line}"));
            (key.to_owned(), value.to_owned())
        })
        .collect()
}

/// The image of `component` ("KAFKA"), made if it is missing. MILLSTREAM_BUILT: `scripts/test` has made all.
pub fn made(component: &str) -> String {
    static MADE: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    // Held while it is made: nobody else shall try at the same time.
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    let key = format!("{component}_IMAGE");
    let image = table().remove(&key).unwrap_or_else(|| panic!("{key} is not in images.env"));
    let are_made = std::env::var_os("MILLSTREAM_BUILT").is_some();
    if made.insert(component.to_owned()) && !are_made {
        let name = component.to_lowercase().replace('_', "-");
        run(Command::new(binaries::root().join("scripts/images")).arg(&name));
    }
    image
}

/// The command by which a container of this image tells whether it works.
pub(super) fn health_check(image: &str) -> Vec<String> {
    let format = "{{json .Config.Healthcheck.Test}}";
    let told = run(Command::new("docker").args(["image", "inspect", "--format", format, image]));
    let mut test: Vec<String> = serde_json::from_str(&told).expect("a health check");
    match test.remove(0).as_str() {
        "CMD" => test,
        "CMD-SHELL" => ["sh", "-c"].map(str::to_owned).into_iter().chain(test).collect(),
        other => panic!("{image} has no health check: {other}"),
    }
}

/// What tells this image from another one of the same name.
pub(super) fn id(image: &str) -> String {
    run(Command::new("docker").args(["image", "inspect", "--format", "{{.Id}}", image]))
}

/// Removes the shared containers of `server` that are no use: of an older image than `keep`, or ended.
pub(super) fn remove_useless(server: &str, keep: &str) {
    let filter = format!("label=millstream.shared={server}");
    let list = ["ps", "--all", "--filter", &filter, "--format", "{{.Names}} {{.State}}"];
    let known = run(Command::new("docker").args(list));
    let known = known.lines().filter_map(|line| line.split_once(' '));
    for (name, _) in
        known.filter(|(name, state)| *name != keep || ["exited", "dead"].contains(state))
    {
        run(Command::new("docker").args(["rm", "--force", "--volumes", name]));
    }
}

fn run(command: &mut Command) -> String {
    let ran = command.output().unwrap_or_else(|error| panic!("start {command:?}: {error}"));
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{command:?} ended with {}:\n{said}", ran.status);
    String::from_utf8_lossy(&ran.stdout).trim().to_owned()
}
