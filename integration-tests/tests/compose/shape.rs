//! What can be seen without a container: the table of images, compose.yaml and the sources agree.

use std::collections::BTreeSet;

use integration_tests::stack::images;
use integration_tests::{binaries, tree};
use regex::Regex;

const COMPOSE: &str = "infra/images/compose.yaml";
/// All of it together, in megabytes.
const MOST_MB: u64 = 6 * 1024;
/// Run by hand or once, not beside the others.
const PASSING: [&str; 3] = ["millstream", "s3-bucket", "cassandra-roles"];

/// The lines of each service, by name.
fn services() -> Vec<(String, Vec<String>)> {
    let mut found: Vec<(String, Vec<String>)> = Vec::new();
    let text = tree::text(COMPOSE);
    let lines = text.lines().skip_while(|line| *line != "services:").skip(1);
    for line in lines.take_while(|line| *line != "volumes:") {
        let name = line.strip_prefix("  ").and_then(|line| line.strip_suffix(':'));
        match name {
            Some(name) if !name.starts_with([' ', '#']) => {
                found.push((name.to_owned(), Vec::new()));
            }
            _ => {
                if let Some((_, lines)) = found.last_mut() {
                    lines.push(line.trim().to_owned());
                }
            }
        }
    }
    assert!(found.len() >= 15, "{found:?}");
    found
}

fn value<'a>(lines: &'a [String], key: &str) -> Option<&'a str> {
    lines.iter().find_map(|line| line.strip_prefix(key)?.strip_prefix(": "))
}

#[test]
fn every_image_comes_from_the_table() {
    let table = images::table();
    for (service, lines) in services() {
        let image = value(&lines, "image").unwrap_or_else(|| panic!("{service} has no image"));
        let key = image.strip_prefix("${").and_then(|image| image.strip_suffix('}'));
        let key = key.unwrap_or_else(|| panic!("{service}: {image} is not of the table"));
        assert!(table.contains_key(key), "{service}: the table has no {key}");
    }
}

#[test]
fn the_tables_versions_agree() {
    let table = images::table();
    let workspace = tree::text("Cargo.toml");
    let version = workspace.lines().find_map(|line| line.strip_prefix("version = "));
    assert_eq!(
        version.map(|version| version.trim_matches('"')),
        Some(table["APP_VERSION"].as_str())
    );
    for app in binaries::APPS {
        let image = &table[&format!("{}_IMAGE", app.to_uppercase())];
        assert_eq!(*image, format!("millstream/{app}:{}", table["APP_VERSION"]));
    }
    let digest = Regex::new("@sha256:[0-9a-f]{64}$").unwrap();
    for (key, component_version) in table.iter().filter(|(key, _)| key.ends_with("_VERSION")) {
        let Some(image) = table.get(&key.replace("_VERSION", "_IMAGE")) else { continue };
        assert!(image.ends_with(&format!(":{component_version}")), "{key}: {image}");
        let official = &table[&key.replace("_VERSION", "_OFFICIAL")];
        assert!(!official.contains(":latest"), "{key}: {official}");
        if official.contains('@') {
            assert!(digest.is_match(official), "{key}: {official}");
        }
        let named = digest.replace(official, "");
        assert!(
            named.is_empty() || named.contains(component_version.as_str()),
            "{key}: {official}"
        );
    }
    let wheels = tree::text("infra/images/parquet-reader/requirements.txt");
    assert!(wheels.contains(&format!("pyarrow=={} ", table["PARQUET_READER_VERSION"])), "{wheels}");
    assert!(table["MYSQL_DEBIAN"].starts_with(&format!("{}-", table["MYSQL_VERSION"])));
}

#[test]
fn ansible_installs_the_tables_versions() {
    let table = images::table();
    let known = tree::text("ansible/group_vars/all/versions.yml");
    let other = Regex::new("(?m)^  [a-z]+:$").unwrap();
    for (role, component) in
        [("kafka", "KAFKA"), ("cassandra", "CASSANDRA"), ("search", "OPENSEARCH")]
    {
        let version = &table[&format!("{component}_VERSION")];
        let settings = tree::text(format!("ansible/roles/{role}/defaults/main.yml"));
        let set = format!("{role}_version: \"{version}\"");
        assert!(settings.lines().any(|line| line == set), "{role} has no {set}");
        // Its checksum, below its name.
        let artifact = format!("\n  {}:\n", component.to_lowercase());
        let versions = known.split(&artifact).nth(1).expect(component);
        let versions = other.split(versions).next().unwrap_or_default();
        let listed = format!("    \"{version}\":");
        assert!(versions.lines().any(|line| line == listed), "{component} {version}: {versions}");
    }
}

#[test]
fn memory_is_limited_and_ports_are_on_loopback() {
    let text = tree::text(COMPOSE);
    // What a service takes over from these says its limit there.
    let inherited = |name: &str| {
        let block = text.split(&format!("&{name}\n")).nth(1).expect(name);
        value(&block.lines().map(|line| line.trim().to_owned()).collect::<Vec<_>>(), "mem_limit")
            .map(str::to_owned)
    };
    let mut together = 0;
    for (service, lines) in services() {
        let from = value(&lines, "<<").map(|from| from.trim_start_matches('*').to_owned());
        let limit = value(&lines, "mem_limit").map(str::to_owned);
        let limit = limit.or_else(|| inherited(&from?)).unwrap_or_default();
        let megabytes: u64 = limit
            .strip_suffix('m')
            .and_then(|limit| limit.parse().ok())
            .unwrap_or_else(|| panic!("{service}: no limit in megabytes: {limit:?}"));
        if !PASSING.contains(&service.as_str()) {
            together += megabytes;
        }
        if let Some(ports) = value(&lines, "ports") {
            assert!(ports.starts_with("[\"127.0.0.1:"), "{service}: {ports}");
        }
    }
    println!("limits: {together} MB");
    assert!(together <= MOST_MB, "{together} MB");
}

#[test]
fn every_app_is_in_it() {
    let names: BTreeSet<String> = services().into_iter().map(|(name, _)| name).collect();
    for app in binaries::APPS {
        assert!(names.contains(app), "no {app} in {names:?}");
    }
}
