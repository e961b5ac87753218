//! One file per mistake: `<mistake>.toml` is what a user wrote (variables of the environment as `# env:`
//! lines), `<mistake>.expected` what he is told.

#![cfg(test)]

use std::path::Path;

use millstream_config::{Problems, Settings};
use serde::Deserialize;

const DEFAULTS: &str = include_str!("defaults.toml");

/// What an app makes of the settings, with types narrower than TOML's.
#[derive(Debug, Deserialize)]
#[allow(dead_code, reason = "only the types matter here")]
struct Typed {
    poll: Poll,
    roll: Roll,
    server: Server,
}

#[derive(Debug, Deserialize)]
#[allow(dead_code, reason = "only the types matter here")]
struct Poll {
    every_s: u64,
}

#[derive(Debug, Deserialize)]
#[allow(dead_code, reason = "only the types matter here")]
struct Roll {
    format: Format,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    Csv,
    Parquet,
}

#[derive(Debug, Deserialize)]
#[allow(dead_code, reason = "only the types matter here")]
struct Server {
    port: u16,
}

fn check(file: &Path) -> Result<Typed, Problems> {
    let text = std::fs::read_to_string(file).expect("read the fixture");
    let env = text.lines().filter_map(|line| line.strip_prefix("# env: ")?.split_once('='));
    let env = env.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Settings::load("weather", DEFAULTS, Some(file), env)?.section("")
}

#[test]
fn every_mistake_is_told() {
    let mut seen = 0;
    let mut wrong = Vec::new();
    let fixtures = std::fs::read_dir("tests/fixtures").expect("list the fixtures");
    for entry in fixtures {
        let file = entry.expect("list the fixtures").path();
        if file.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        seen += 1;
        let told = check(&file).expect_err(&format!("{} is a mistake", file.display())).to_string();
        let expected = std::fs::read_to_string(file.with_extension("expected")).unwrap_or_default();
        if told != expected.trim_end() {
            wrong.push(format!("{}:\n{told}\n-- instead of\n{expected}", file.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(seen >= 20, "only {seen} fixtures were found");
}

#[test]
fn the_defaults_themselves_are_fine() {
    let settings = Settings::load("weather", DEFAULTS, None, []).expect("load");
    settings.section::<Typed>("").expect("typed");
}

#[test]
fn a_missing_file_is_told_with_its_option() {
    let missing = Path::new("tests/fixtures/nowhere.toml");
    let problems = Settings::load("weather", DEFAULTS, Some(missing), []).expect_err("missing");
    let problem = problems.iter().next().expect("one");
    assert_eq!(problem.place, "tests/fixtures/nowhere.toml");
    assert!(problem.expected.contains("`--config`"), "{problem}");
}
