//! The sources as text, for tests that check rules on them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::binaries::root;

/// What isn't ignored by git, tracked or about to be; paths from the root.
pub fn files() -> Vec<PathBuf> {
    let mut git = Command::new("git");
    git.current_dir(root()).args(["ls-files", "--cached", "--others", "--exclude-standard"]);
    let listed = git.output().expect("run git");
    assert!(listed.status.success(), "list the files: {listed:?}");
    let listed = String::from_utf8(listed.stdout).expect("paths are UTF-8");
    // One that is deleted and not yet committed is still listed.
    listed.lines().map(PathBuf::from).filter(|path| root().join(path).is_file()).collect()
}

/// Files with that ending.
pub fn files_ending(ending: &str) -> Vec<PathBuf> {
    let ends = |path: &PathBuf| path.extension().is_some_and(|found| found == ending);
    files().into_iter().filter(ends).collect()
}

/// A file's text, or nothing when it isn't text.
pub fn text(path: impl Into<PathBuf>) -> String {
    let path = root().join(path.into());
    let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("read {}: {e}", path.display()));
    String::from_utf8(bytes).unwrap_or_default()
}

/// Lines of Rust that are neither blank nor comment.
pub fn code(text: &str) -> Vec<&str> {
    let is_code = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with("//");
    text.lines().filter(is_code).collect()
}

/// The text up to its unit tests, which come last by habit.
pub fn without_tests(text: &str) -> &str {
    text.split("\n#[cfg(test)]\nmod tests").next().unwrap_or(text)
}

/// A command of a document.
#[derive(Debug)]
pub struct Written {
    /// File and line.
    pub place: String,
    pub command: String,
}

/// The commands of a document's `sh` blocks. One goes on over lines that end with `\` or in the middle of a quote.
pub fn commands(path: &str, text: &str) -> Vec<Written> {
    let mut commands = Vec::new();
    let (mut inside, mut open) = (false, String::new());
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            inside = !inside && ["```sh", "```bash"].contains(&line.trim());
            assert!(open.is_empty(), "{path}:{}: ends in the middle of {open}", number + 1);
        } else if inside && !(open.is_empty() && (line.trim().is_empty() || line.starts_with('#')))
        {
            open.push_str(line);
            let goes_on = line.ends_with('\\') || open.matches('\'').count() % 2 == 1;
            if goes_on {
                open.push('\n');
            } else {
                let place = format!("{path}:{}", number + 1);
                commands.push(Written { place, command: std::mem::take(&mut open) });
            }
        }
    }
    commands
}

/// A package of the workspace.
#[derive(Debug)]
pub struct Package {
    pub name: String,
    /// From the root.
    pub directory: PathBuf,
    /// Names of our own packages that it depends on, also for its tests.
    pub knows: Vec<String>,
}

/// All of the workspace, by cargo's account of it.
pub fn packages() -> BTreeMap<String, Package> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root()).args(["metadata", "--no-deps", "--format-version", "1", "--offline"]);
    let told = cargo.output().expect("run cargo");
    assert!(told.status.success(), "ask cargo: {told:?}");
    let told: Value = serde_json::from_slice(&told.stdout).expect("cargo's answer");
    let packages = told["packages"].as_array().expect("packages");
    packages.iter().map(package).map(|package| (package.name.clone(), package)).collect()
}

fn package(told: &Value) -> Package {
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let manifest = PathBuf::from(text(&told["manifest_path"]));
    let directory = manifest.parent().and_then(|at| at.strip_prefix(root()).ok());
    let dependencies = told["dependencies"].as_array().expect("dependencies");
    let own = dependencies.iter().filter(|dependency| dependency["path"].is_string());
    Package {
        name: text(&told["name"]),
        directory: directory.expect("inside the workspace").to_owned(),
        knows: own.map(|dependency| text(&dependency["name"])).collect(),
    }
}
