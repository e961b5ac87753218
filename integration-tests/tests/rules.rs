//! Rules that matter, checked on the sources: who may know whom, what is named how, how much is in one place.

#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use integration_tests::binaries::{APPS, root};
use integration_tests::tree::{self, code, without_tests};
use regex::Regex;

/// Lines an app's own code may have. `recalls` is more than a poll and a pipeline: it compares a feed with its
/// topic, keeps snapshots, takes turns with other processes and tells how far it is.
fn lines_of(app: &str) -> usize {
    if app == "recalls" { 1_450 } else { 200 }
}
/// An app's pages for people, if it has any: as long as they have to be.
const PAGES: &str = "/src/serve/";
/// An app's stand-ins for the outside: not its own thinking.
const STAND_INS: [&str; 3] = ["simulator.rs", "simulation.rs", "stand_in.rs"];

/// Who of our own packages may know whom; the apps may know what `app` lists. Who isn't here may know none.
const MAY_KNOW: [(&str, &[&str]); 11] = [
    ("millstream-sources", &["millstream-topic"]),
    ("millstream-engine", &["millstream-topic"]),
    // For servers' URLs.
    ("millstream-topic", &["millstream-config"]),
    // For a catalog's URL, and findings.
    ("millstream-aws", &["millstream-config"]),
    // For the `Sink` trait and what its arguments are made of.
    ("millstream-sinks", &["millstream-config", "millstream-engine", "millstream-topic"]),
    ("millstream-console", &["millstream-engine", "millstream-topic", "millstream-web"]),
    ("millstream-app", INFRA),
    ("app", INFRA),
    ("millstream-cli", &["every one but the tests and the measurements"]),
    // For the suites that every backend passes, here on real servers; what users have is tested from outside.
    (
        "integration-tests",
        &[
            "millstream-aws",
            "millstream-config",
            "millstream-engine",
            "millstream-sinks",
            "millstream-topic",
        ],
    ),
    ("millstream-bench", &["millstream-engine", "millstream-sinks", "millstream-topic"]),
];

const INFRA: &[&str] = &[
    "millstream-app",
    "millstream-config",
    "millstream-console",
    "millstream-engine",
    "millstream-sinks",
    "millstream-sources",
    "millstream-telemetry",
    "millstream-topic",
    "millstream-web",
];

#[test]
fn nobody_knows_whom_he_must_not_know() {
    let rules: BTreeMap<_, _> = MAY_KNOW.into_iter().collect();
    for package in tree::packages().values() {
        let role =
            if package.directory.starts_with("apps") { "app" } else { package.name.as_str() };
        let allowed = rules.get(role).copied().unwrap_or_default();
        for known in &package.knows {
            // Who joins the lake's catalog to Glue.
            let to_aws = role == "millstream-app" && known == "millstream-aws";
            let from_cli = role == "millstream-cli"
                && (APPS.contains(&known.as_str())
                    || INFRA.contains(&known.as_str())
                    || known == "millstream-aws");
            assert!(
                from_cli || to_aws || allowed.contains(&known.as_str()),
                "{} may not know {known}: see \"Who may know whom\" in docs/architecture.md",
                package.name
            );
        }
    }
}

#[test]
fn every_crate_has_its_place() {
    let packages = tree::packages();
    for app in APPS {
        assert_eq!(packages[app].directory, Path::new("apps").join(app));
    }
    let apps = packages.values().filter(|package| package.directory.starts_with("apps")).count();
    assert_eq!(apps, APPS.len(), "a new app belongs into integration_tests::binaries::APPS, too");
    for package in packages.values().filter(|package| package.directory.starts_with("infra")) {
        let name = package.directory.file_name().unwrap().to_str().unwrap();
        assert_eq!(package.name, format!("millstream-{name}"));
    }
}

#[test]
fn the_engine_names_no_sink_and_no_kafka_type() {
    let names = Regex::new(r"(?i)kafka|sqlite|parquet|cassandra|scylla|mysql|opensearch|tantivy|aws|\bs3\b|millstream_sinks").unwrap();
    for path in sources("infra/engine/src") {
        let text = tree::text(&path);
        for line in code(&text) {
            assert!(!names.is_match(line), "{}: {}", path, line.trim());
        }
    }
}

#[test]
fn the_clock_of_the_system_is_asked_in_one_place_of_the_engine() {
    for path in sources("infra/engine/src").iter().filter(|path| !path.ends_with("/world.rs")) {
        for line in code(&tree::text(path.as_str())) {
            let asks = line.contains("Utc::now") || line.contains("SystemTime");
            assert!(!asks, "{path}: {}; take the clock as an argument", line.trim());
        }
    }
}

#[test]
fn nothing_is_called_after_a_drawer() {
    let drawers = ["util", "utils", "common", "helper", "helpers", "manager", "managers", "misc"];
    for path in tree::files() {
        // Ansible's word for what every host has, whatever else it becomes.
        if path.starts_with("ansible")
            && path.iter().any(|part| part == "common" || part == "common.yml")
        {
            continue;
        }
        let mut parts =
            path.iter().map(|part| Path::new(part).file_stem().unwrap().to_str().unwrap());
        let bad = parts.find(|part| drawers.contains(part));
        assert_eq!(bad, None, "{}: say what is in it", path.display());
        if path.extension().is_some_and(|ending| ending == "rs") {
            for line in code(&tree::text(&path)) {
                let module = line.trim().trim_start_matches("pub ").strip_prefix("mod ");
                let name = module.map(|rest| rest.trim_end_matches([';', '{', ' ']));
                assert!(
                    !name.is_some_and(|name| drawers.contains(&name)),
                    "{}: {line}",
                    path.display()
                );
            }
        }
    }
}

#[test]
fn there_is_one_copy_of_arrow_parquet_and_datafusion() {
    let lock = tree::text("Cargo.lock");
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut lines = lock.lines();
    while let Some(line) = lines.next() {
        let Some(name) = line.strip_prefix("name = ") else { continue };
        versions.entry(name.trim_matches('"')).or_default().insert(lines.next().unwrap());
    }
    for name in ["arrow", "arrow-schema", "datafusion", "parquet"] {
        assert!(versions.contains_key(name), "{name} is in Cargo.lock");
    }
    let of_one_family = |name: &str| {
        ["arrow", "datafusion", "parquet"]
            .iter()
            .any(|family| name == *family || name.starts_with(&format!("{family}-")))
    };
    let several = versions.iter().filter(|(name, found)| of_one_family(name) && found.len() > 1);
    assert_eq!(several.collect::<Vec<_>>(), []);
}

#[test]
fn knowing_one_app_is_knowing_all() {
    for app in APPS {
        let at = root().join("apps").join(app);
        for name in [
            "README.md",
            "Cargo.toml",
            "src/main.rs",
            "src/lib.rs",
            "src/pipeline.rs",
            "src/event.rs",
        ] {
            assert!(at.join(name).is_file(), "apps/{app}/{name} is missing");
        }
        assert!(at.join(format!("{app}.toml")).is_file(), "apps/{app}/{app}.toml is missing");
        let queries = tree::files_ending("sql");
        let own = queries.iter().filter(|path| path.starts_with(format!("apps/{app}/queries")));
        assert!(own.count() > 0, "apps/{app}/queries/*.sql is missing");
        let cases: Vec<_> = std::fs::read_dir(at.join("tests/golden"))
            .unwrap()
            .map(|case| case.unwrap().path())
            .collect();
        assert!(!cases.is_empty(), "apps/{app}/tests/golden has no case");
        for case in cases {
            for name in ["input.jsonl", "expected.jsonl"] {
                assert!(case.join(name).is_file(), "{} has no {name}", case.display());
            }
        }
    }
}

#[test]
fn an_apps_own_code_is_small() {
    for app in APPS {
        let lines = |name: &str| tree::text(format!("apps/{app}/src/{name}")).lines().count();
        assert!(lines("main.rs") <= 30, "apps/{app}/src/main.rs has {} lines", lines("main.rs"));
        assert!(
            lines("pipeline.rs") <= 80,
            "apps/{app}/src/pipeline.rs has {} lines",
            lines("pipeline.rs")
        );
        let own = sources(&format!("apps/{app}/src")).into_iter().filter(|path| {
            let name = path.rsplit('/').next().unwrap_or_default();
            !path.contains(PAGES)
                && !STAND_INS.contains(&name)
                && !["lib.rs", "main.rs"].contains(&name)
        });
        let counts: Vec<_> = own
            .map(|path| {
                let n = code(without_tests(&tree::text(&path))).len();
                (path, n)
            })
            .collect();
        let sum: usize = counts.iter().map(|(_, lines)| lines).sum();
        println!("{app}: {sum} lines of its own");
        let most = lines_of(app);
        assert!(sum <= most, "{app} has {sum} lines of its own, of {most}: {counts:?}");
    }
}

#[test]
fn no_source_is_longer_than_400_lines_of_code() {
    for path in tree::files_ending("rs") {
        let lines = code(&tree::text(&path)).len();
        assert!(lines <= 400, "{} has {lines} lines of code", path.display());
    }
}

#[test]
fn the_first_page_of_every_crate_is_a_map() {
    for package in tree::packages().values() {
        let first = |name: &str| root().join(&package.directory).join("src").join(name);
        let page = if first("lib.rs").is_file() { first("lib.rs") } else { first("main.rs") };
        let text = tree::text(&page);
        assert!(text.starts_with("//! "), "{} begins with what it is", page.display());
    }
}

#[test]
fn no_text_knows_the_machine_it_was_written_on() {
    // Put together here, so that this file isn't found itself.
    let words: Vec<String> = [
        ["/", "root/"],
        ["/", "work/"],
        ["/", "Users/"],
        ["artif", "actory"],
        ["jf", "rog"],
        ["index", "-url"],
        ["sparse", "+http"],
    ]
    .iter()
    .map(|parts| parts.concat())
    .collect();
    let home = Regex::new(&["/", r"home/[a-z]"].concat()).unwrap();
    let mut machine: Vec<String> = vec![root().display().to_string()];
    machine.extend(
        std::env::var("HOME").ok().filter(|home| home.len() > 1).map(|home| format!("{home}/")),
    );
    machine.extend(hosts_of_registries());
    for path in tree::files() {
        let text = tree::text(&path);
        // Hosts that tests make have an administrator with a home, too.
        let text = match path.starts_with("ansible/tests") {
            true => text.replace(&["/", "root/"].concat(), ""),
            false => text,
        };
        for (number, line) in text.lines().enumerate() {
            let found = words.iter().chain(&machine).find(|word| line.contains(word.as_str()));
            assert!(
                found.is_none() && !home.is_match(line),
                "{}:{}: {line}",
                path.display(),
                number + 1
            );
        }
    }
}

/// Where this machine's cargo gets crates from, if not from where everybody does.
fn hosts_of_registries() -> Vec<String> {
    let home =
        std::env::var("CARGO_HOME").or_else(|_| std::env::var("HOME").map(|home| home + "/.cargo"));
    let config =
        std::fs::read_to_string(home.unwrap_or_default() + "/config.toml").unwrap_or_default();
    let host = Regex::new(r"://(?:[^/@\s]*@)?([^/:\s]+)").unwrap();
    let hosts = host.captures_iter(&config).map(|found| found[1].to_owned());
    let public = ["github.com", "index.crates.io", "static.crates.io", "crates.io"];
    hosts.filter(|host| !public.contains(&host.as_str())).collect()
}

/// Rust files in a folder and those below it.
fn sources(folder: &str) -> Vec<String> {
    let files = tree::files_ending("rs").into_iter().filter(|path| path.starts_with(folder));
    let files: Vec<_> = files.map(|path| path.display().to_string()).collect();
    assert!(!files.is_empty(), "{folder} has no Rust files");
    files
}
