//! The documents' commands: what a `sh` block of README.md, docs/ or an app's README says is run here, in order, on
//! one data directory. A command that goes on is marked by `# until Ctrl-C`.

#![cfg(test)]

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::time::Duration;

use integration_tests::binaries::{self, root};
use integration_tests::tree::{Written, commands};
use integration_tests::{Data, Running, tree, wait};
use nix::sys::signal::Signal;

/// What isn't run here: it builds, or would run this test again. `make` targets are looked up.
const NOT_RUN: [&str; 3] =
    ["cargo build --bins", "export PATH=\"$PWD/target/debug:$PATH\"", "cargo test -p "];
/// Whose commands `terraform/tests/test_document.py` runs, on an API of AWS's on this machine.
const BY_INFRA_TEST: &str = "docs/deploy.md:";
/// Whose commands `ansible/tests/test_package.py` runs, on hosts in containers.
const BY_PACKAGE_TEST: &str = "docs/install.md:";
/// What `scripts/stack` hands on to compose.
const STACK: [&str; 2] = ["exec", "logs"];
const ENDLESS: &str = "# until Ctrl-C";
/// A good first page, and then the rest.
const FIRST: &str = "README.md";

fn all() -> Vec<Written> {
    let mut documents: Vec<String> = tree::files_ending("md")
        .into_iter()
        .map(|path| path.display().to_string())
        .filter(|path| path != "CHANGELOG.md")
        .collect();
    documents.sort_by_key(|path| (path != FIRST, path.starts_with("apps/"), path.clone()));
    let of = |path: &String| commands(path, &tree::text(path.as_str()));
    documents.iter().flat_map(of).collect()
}

/// What runs the command in place of cargo, which is at work already.
fn without_cargo(command: &str) -> String {
    let Some((_, rest)) = command.split_once("cargo run -p ") else { return command.to_owned() };
    let (package, arguments) = rest.split_once(" -- ").unwrap_or((rest, ""));
    assert!(tree::packages().contains_key(package), "no package {package}: {command}");
    format!("{} {arguments}", package.trim_end_matches("-cli"))
}

fn is_ours(command: &str) -> bool {
    let words = command.split_whitespace().find(|word| !word.contains('='));
    words.is_some_and(|word| word == "millstream" || binaries::APPS.contains(&word))
}

/// A directory in which a reader would type them.
fn place() -> Data {
    let data = Data::new();
    symlink(root().join("apps"), data.root().join("apps")).unwrap();
    data.file("book.txt", "It was the best of times, it was the worst of times.\n");
    data
}

fn shell(data: &Data, command: &str) -> Running {
    let mut shell = Command::new("sh");
    let path = std::env::var("PATH").unwrap_or_default();
    shell.current_dir(data.root()).arg("-c").arg(format!("exec {command}"));
    shell.env("PATH", format!("{}:{path}", binaries::directory().display()));
    shell.env_remove("MILLSTREAM_DATA").env_remove("OPENWEATHER_API_KEY").env("NO_COLOR", "1");
    // The port that the documents speak of may be somebody else's here.
    shell.env("RECALLS_SERVE__LISTEN", "127.0.0.1:0");
    Running::start(shell)
}

#[test]
fn every_command_of_the_documents_works() {
    let data = place();
    let makefile = tree::text("Makefile");
    let mut seen = Vec::new();
    for Written { place, command } in all() {
        let command = without_cargo(&command);
        if seen.contains(&command)
            || NOT_RUN.iter().any(|not_run| command.starts_with(not_run))
            || place.starts_with(BY_PACKAGE_TEST)
        {
            continue;
        }
        println!("{place}: {command}");
        if let Some(target) = command.strip_prefix("make ") {
            let target = target.split_whitespace().next().unwrap();
            assert!(
                makefile.lines().any(|line| line.starts_with(&format!("{target}:"))),
                "{place}: no target {target}"
            );
        } else if let Some(verb) = command.strip_prefix("scripts/stack ") {
            // Run by the test of compose.yaml, which has the containers.
            let verb = verb.split_whitespace().next().unwrap();
            assert!(
                STACK.contains(&verb)
                    || tree::text("scripts/stack").contains(&format!("    {verb})")),
                "{place}: scripts/stack has no verb {verb}"
            );
        } else if command.starts_with("terraform ") || command.starts_with("cp terraform/") {
            assert!(place.starts_with(BY_INFRA_TEST), "{place}: {command} is run by no test");
        } else if is_ours(&command) {
            run(&data, &place, &command);
        } else if command.starts_with("python3 -c ") {
            run_python(&data, &place, &command);
        } else {
            panic!("{place}: {command:?} is none that this test knows");
        }
        seen.push(command);
    }
    assert!(seen.iter().filter(|command| is_ours(command)).count() >= 15, "{seen:?}");
    assert!(fs::metadata(data.root().join(".millstream")).is_ok(), "nothing was written");
}

fn run(data: &Data, place: &str, command: &str) {
    let running = shell(data, command.trim_end_matches(ENDLESS));
    let ran = if command.ends_with(ENDLESS) {
        wait::pause(Duration::from_secs(2));
        running.signal(Signal::SIGINT);
        running.ends_within(Duration::from_secs(10))
    } else {
        running.ends_within(wait::LONG)
    };
    assert_eq!(ran.code, Some(0), "{place}: {ran:?}");
}

/// Only where there is a Python: the same count by other means.
fn run_python(data: &Data, place: &str, command: &str) {
    if Command::new("python3").arg("--version").output().is_err() {
        println!("no python3 here");
        return;
    }
    let ran = shell(data, command).ends_within(wait::LONG);
    assert_eq!(ran.code, Some(0), "{place}: {ran:?}");
    assert!(ran.stdout.contains("4 of") || ran.stdout.contains("2 of"), "{place}: {ran:?}");
}

#[test]
fn an_unknown_command_or_a_broken_block_is_found() {
    let found = commands(
        "x.md",
        "a\n```sh\none \\\n  two\n\nthree 'a\nb'\n```\n```text\nnot this\n```\n```sh\nfour\n```\n",
    );
    let found: Vec<_> =
        found.iter().map(|one| (one.place.as_str(), one.command.as_str())).collect();
    assert_eq!(
        found,
        [("x.md:4", "one \\\n  two"), ("x.md:7", "three 'a\nb'"), ("x.md:13", "four")]
    );
    assert!(is_ours("A=b users plan") && !is_ours("ls users"));
    assert_eq!(without_cargo("cargo run -p millstream-cli -- verify"), "millstream verify");
}
