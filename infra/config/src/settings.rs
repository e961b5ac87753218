use std::fmt;
use std::path::Path;

use serde::de::DeserializeOwned;
use toml::{Table, Value};

use crate::origin::Origin;
use crate::problem::{Problem, Problems};
use crate::setting::{Found, Setting, find, join};
use crate::{defaults, environment, file};

/// An app's settings, typed as its defaults are.
#[derive(Clone)]
pub struct Settings {
    app: String,
    settings: Vec<Setting>,
}

/// A setting as `check` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// `section.key`.
    pub key: String,
    /// As TOML; masked when it is a secret.
    pub value: String,
    pub origin: Origin,
}

impl Settings {
    /// Defaults, under the user's file if there is one, under the environment.
    ///
    /// `app` names the variables (`WEATHER_…`), `defaults` is the text of `<app>.toml`.
    ///
    /// # Errors
    /// All problems at once: bad syntax, keys the defaults don't have, values of another type.
    pub fn load(
        app: &str,
        defaults: &str,
        file: Option<&Path>,
        env: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, Problems> {
        let mut settings = defaults::read(defaults, &format!("{app}'s defaults"))?;
        let mut problems = Vec::new();
        if let Some(path) = file {
            file::apply(&mut settings, path, &mut problems);
        }
        environment::apply(&mut settings, app, env, &mut problems);
        Problems::check(problems)?;
        Ok(Self { app: app.to_owned(), settings })
    }

    /// Overrides one setting, by its `section.key`.
    ///
    /// # Errors
    /// No such setting, or a value of another type.
    pub fn set(&mut self, key: &str, value: impl Into<Value>) -> Result<(), Problem> {
        let value = value.into();
        let path: Vec<String> = key.split('.').map(str::to_owned).collect();
        let (found, expected) = match find(&mut self.settings, &path) {
            Found::Setting(setting) => match setting.accept(value.clone()) {
                Some(value) => {
                    setting.value = value;
                    setting.origin = Origin::Set;
                    return Ok(());
                }
                None => (setting.mask(&value), setting.expected()),
            },
            Found::Section => (String::new(), "is a section; name one of its settings".to_owned()),
            Found::Nothing(suggestion) => (String::new(), suggestion),
        };
        Err(Problem { key: key.to_owned(), place: Origin::Set.to_string(), found, expected })
    }

    /// A section as a type, which may name only some of its keys; `""` is everything, and a single setting
    /// may be asked for as well.
    ///
    /// # Errors
    /// Every setting whose value the type refuses, each with its place.
    pub fn section<T: DeserializeOwned>(&self, section: &str) -> Result<T, Problems> {
        let mut tried = self.clone();
        let mut problems = Vec::new();
        loop {
            let Some(value) = tried.tree(section) else {
                return Err(self.problem(section, "nothing", "a section of the defaults").into());
            };
            let error = match serde_path_to_error::deserialize(value) {
                Ok(read) => return Problems::check(problems).map(|()| read),
                Err(error) => error,
            };
            let path = path_of(section, error.path());
            problems.push(self.refused(&path, error.inner().message()));
            // serde stops at its first error; with the default in that place it goes on to the next one.
            if !tried.reset(&path) {
                return Err(Problems(problems));
            }
        }
    }

    /// Where a setting's value comes from; `Default` for what isn't a setting.
    pub fn origin(&self, key: &str) -> Origin {
        self.get(key).map_or(Origin::Default, |setting| setting.origin.clone())
    }

    /// A problem with a setting that only its user can find, such as two settings that don't go together.
    /// `expected` continues "expected …".
    pub fn problem(&self, key: &str, found: impl fmt::Display, expected: &str) -> Problem {
        let found = match self.get(key) {
            Some(setting) if setting.is_secret() => setting.shown(),
            _ => found.to_string(),
        };
        Problem {
            key: key.to_owned(),
            place: self.place(key),
            found,
            expected: format!("expected {expected}"),
        }
    }

    /// Every setting in the defaults' order, secrets masked.
    pub fn rows(&self) -> impl Iterator<Item = Row> + '_ {
        self.settings.iter().map(|s| Row {
            key: s.key(),
            value: s.shown(),
            origin: s.origin.clone(),
        })
    }

    fn get(&self, key: &str) -> Option<&Setting> {
        self.settings.iter().find(|setting| setting.key() == key)
    }

    fn place(&self, key: &str) -> String {
        match self.origin(key) {
            Origin::Default => format!("{}'s defaults", self.app),
            origin => origin.to_string(),
        }
    }

    /// The value of a section or setting; none when there is nothing of that name.
    fn tree(&self, section: &str) -> Option<Value> {
        let mut root = Table::new();
        for setting in &self.settings {
            insert(&mut root, &setting.path, setting.value.clone());
        }
        segments(section).try_fold(Value::Table(root), |value, segment| match value {
            Value::Table(mut table) => table.remove(segment),
            _ => None,
        })
    }

    /// Puts the default back where `path` leads; false when it is there already.
    fn reset(&mut self, path: &[String]) -> bool {
        let changed = |s: &&mut Setting| path.starts_with(&s.path) && s.origin != Origin::Default;
        let Some(setting) = self.settings.iter_mut().find(changed) else {
            return false;
        };
        setting.value = setting.default.clone();
        setting.origin = Origin::Default;
        true
    }

    /// A problem with a value that serde refused.
    fn refused(&self, path: &[String], message: &str) -> Problem {
        let Some(setting) = self.settings.iter().find(|setting| path.starts_with(&setting.path))
        else {
            let key = join(path);
            return Problem {
                place: self.place(&key),
                key,
                found: String::new(),
                expected: message.to_owned(),
            };
        };
        // serde's message repeats the value, which may be a secret.
        let expected = match message.rsplit_once("expected ") {
            Some((_, expected)) => format!("expected {}", in_words(expected)),
            None if setting.is_secret() => "expected another value".to_owned(),
            None => message.to_owned(),
        };
        let key = setting.key();
        Problem {
            place: self.place(&key),
            key,
            found: setting.shown(),
            expected: setting.explain(&expected),
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.settings.iter().map(|s| (s.key(), s.shown()))).finish()
    }
}

fn segments(key: &str) -> impl Iterator<Item = &str> {
    key.split('.').filter(|segment| !segment.is_empty())
}

fn insert(table: &mut Table, path: &[String], value: Value) {
    match path {
        [] => {}
        [last] => {
            table.insert(last.clone(), value);
        }
        [first, rest @ ..] => {
            let inner = table.entry(first.clone()).or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(inner) = inner {
                insert(inner, rest, value);
            }
        }
    }
}

/// The setting's path that serde stopped at.
fn path_of(section: &str, below: &serde_path_to_error::Path) -> Vec<String> {
    let keys = below.iter().filter_map(|segment| match segment {
        serde_path_to_error::Segment::Map { key } => Some(key.clone()),
        _ => None,
    });
    segments(section).map(str::to_owned).chain(keys).collect()
}

/// Rust's name of a type, for somebody who doesn't write Rust.
fn in_words(expected: &str) -> String {
    match expected {
        "u8" => format!("a whole number from 0 to {}", u8::MAX),
        "u16" => format!("a whole number from 0 to {}", u16::MAX),
        "u32" => format!("a whole number from 0 to {}", u32::MAX),
        "u64" | "usize" => "a whole number, 0 or more".to_owned(),
        other => other.replace("a nonzero", "a whole number above 0, a"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULTS: &str = "topic = \"t\"\n\n[poll]\nevery_s = 20 # seconds\nfactor = 1.5\napi_key = \"\"\ncities = [1, 2]\n";

    fn load(env: &[(&str, &str)]) -> Result<Settings, Problems> {
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Settings::load("weather", DEFAULTS, None, env)
    }

    #[test]
    fn layers_lie_on_each_other_and_are_remembered() {
        let file = tempfile::NamedTempFile::new().expect("file");
        std::fs::write(file.path(), "[poll]\nevery_s = 5\nfactor = 2\n").expect("write");
        let env = [("WEATHER_POLL__EVERY_S".to_owned(), "6".to_owned())];
        let mut settings =
            Settings::load("weather", DEFAULTS, Some(file.path()), env).expect("load");
        settings.set("poll.cities", vec![7]).expect("set");

        assert_eq!(settings.section::<u64>("poll.every_s"), Ok(6));
        assert_eq!(settings.section::<f64>("poll.factor"), Ok(2.0));
        assert_eq!(settings.section::<Vec<u32>>("poll.cities"), Ok(vec![7]));
        assert_eq!(settings.origin("topic"), Origin::Default);
        assert_eq!(
            settings.origin("poll.factor"),
            Origin::File { path: file.path().to_owned(), line: 3 }
        );
        assert_eq!(
            settings.origin("poll.every_s"),
            Origin::Env { name: "WEATHER_POLL__EVERY_S".to_owned() }
        );
        assert_eq!(settings.origin("poll.cities"), Origin::Set);
    }

    #[test]
    fn set_checks_name_and_type() {
        let mut settings = load(&[]).expect("load");
        let problem = settings.set("poll.evry_s", 1).expect_err("typo");
        assert!(problem.expected.contains("`poll.every_s`"), "{problem}");
        let problem = settings.set("poll.every_s", "soon").expect_err("type");
        assert_eq!(problem.place, "set by the command");
        assert_eq!(problem.expected, "expected a whole number, as in `every_s = 20` (seconds)");
        assert!(settings.set("poll", 1).is_err());
        assert_eq!(settings.origin("poll.every_s"), Origin::Default);
    }

    #[test]
    fn other_peoples_variables_are_passed_over() {
        load(&[("WEATHER_HOME", "/x"), ("weather_poll__every_s", "x"), ("USERS_POLL__X", "1")])
            .expect("not ours");
        assert!(load(&[("WEATHER_TOPIK", "x")]).is_err(), "one letter from a top-level setting");
        assert!(load(&[("WEATHER_POLL__X", "1")]).is_err(), "two underscores are ours");
    }

    #[test]
    fn secrets_are_masked() {
        let settings = load(&[("WEATHER_POLL__API_KEY", "hidden-1")]).expect("load");
        let rows: Vec<Row> = settings.rows().collect();
        let problem = settings.problem("poll.api_key", "hidden-1", "a key of 32 letters");
        let shown = format!("{settings:?} {rows:?} {problem:?} {problem}");
        assert!(!shown.contains("hidden-1"), "{shown}");
        assert_eq!(
            settings.section::<crate::Secret>("poll.api_key").expect("secret").expose(),
            "hidden-1"
        );
    }

    #[test]
    fn an_empty_secret_can_be_seen_to_be_empty() {
        let settings = load(&[]).expect("load");
        let row = settings.rows().find(|row| row.key == "poll.api_key").expect("row");
        assert_eq!(row.value, "\"\"");
    }

    #[test]
    fn a_type_naming_what_the_defaults_lack_is_refused() {
        #[derive(Debug, serde::Deserialize)]
        struct Poll {
            #[allow(dead_code, reason = "is never read: it isn't there")]
            nowhere: u32,
        }
        let problems = load(&[]).expect("load").section::<Poll>("poll").expect_err("missing");
        assert_eq!(problems.to_string().lines().count(), 2);
        assert!(problems.to_string().contains("nowhere"), "{problems}");
        assert!(load(&[]).expect("load").section::<u32>("nothing").is_err());
    }

    #[test]
    fn problems_name_the_place() {
        let settings = load(&[("WEATHER_POLL__EVERY_S", "0")]).expect("load");
        let problem = settings.problem("poll.every_s", 0, "at least 1 second");
        let told =
            "environment WEATHER_POLL__EVERY_S: poll.every_s = 0: expected at least 1 second";
        assert_eq!(problem.to_string(), told);
        assert_eq!(settings.problem("topic", "t", "x").place, "weather's defaults");
    }
}
