use std::path::Path;

use toml::Value;

use crate::defaults::{Leaf, leaves, line_at};
use crate::origin::Origin;
use crate::problem::Problem;
use crate::setting::{Found, Setting, find, join, members, quoted};

/// Puts the user's file over the defaults.
pub(crate) fn apply(settings: &mut [Setting], file: &Path, problems: &mut Vec<Problem>) {
    let shown = file.display().to_string();
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) => return problems.push(unreadable(shown, &error)),
    };
    let leaves = match leaves(&text, &shown) {
        Ok(leaves) => leaves,
        Err(problem) => return problems.push(problem),
    };
    let mut refused: Vec<Vec<String>> = Vec::new();
    for leaf in leaves {
        // One unknown section is one problem, however many keys it has.
        if refused.iter().any(|section| leaf.path.starts_with(section)) {
            continue;
        }
        let line = line_at(&text, leaf.key_at.start);
        let origin = Origin::File { path: file.to_owned(), line };
        let place = origin.to_string();
        if let Err(Refusal { path, found, expected }) = apply_leaf(settings, leaf, origin) {
            problems.push(Problem { key: join(&path), place, found, expected });
            refused.push(path);
        }
    }
}

fn unreadable(place: String, error: &std::io::Error) -> Problem {
    let remedy = "give `--config` a file that can be read, or leave it out to run on the defaults";
    let expected = format!("can't read the settings; {remedy}");
    Problem { key: String::new(), place, found: error.to_string(), expected }
}

/// What of a leaf's path is refused, and why.
struct Refusal {
    path: Vec<String>,
    found: String,
    expected: String,
}

fn refuse(
    path: &[String],
    found: impl Into<String>,
    expected: impl Into<String>,
) -> Result<(), Refusal> {
    Err(Refusal { path: path.to_vec(), found: found.into(), expected: expected.into() })
}

fn apply_leaf(settings: &mut [Setting], leaf: Leaf, origin: Origin) -> Result<(), Refusal> {
    // A key whose parent is a setting, or is unknown, is its parent's problem.
    for depth in 1..leaf.path.len() {
        let section = &leaf.path[..depth];
        match find(settings, section) {
            Found::Section => {}
            Found::Setting(setting) => return refuse(section, "a section", setting.expected()),
            Found::Nothing(suggestion) => return refuse(section, "", suggestion),
        }
    }
    let path = &leaf.path;
    // The syntax was fine, so what fails here is a number beyond 64 bits.
    let Ok(value) = leaf.value else {
        return refuse(path, "", "the number is too large to be kept; write a smaller one");
    };
    match find(settings, path) {
        Found::Setting(setting) => replace(setting, value, origin),
        Found::Section if value.is_table() => Ok(()),
        Found::Section => {
            let names = quoted(&members(settings, path));
            refuse(
                path,
                value.to_string(),
                format!("expected a section `[{}]` with {names}", join(path)),
            )
        }
        Found::Nothing(suggestion) => refuse(path, "", suggestion),
    }
}

fn replace(setting: &mut Setting, value: Value, origin: Origin) -> Result<(), Refusal> {
    let found = if value.is_table() { "a section".to_owned() } else { setting.mask(&value) };
    match setting.accept(value) {
        Some(value) => {
            (setting.value, setting.origin) = (value, origin);
            Ok(())
        }
        None => refuse(&setting.path, found, setting.expected()),
    }
}
