//! What holds for any settings, any file and any environment.

#![cfg(test)]

use millstream_config::{Origin, Settings};
use proptest::prelude::*;

const DEFAULTS: &str = include_str!("defaults.toml");

fn load(file: Option<&str>, env: &[(&str, &str)]) -> Result<Settings, millstream_config::Problems> {
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join("user.toml");
    if let Some(text) = file {
        std::fs::write(&path, text).expect("write");
    }
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Settings::load("weather", DEFAULTS, file.map(|_| path.as_path()), env)
}

/// Lines that are almost settings, so that a random file gets past the syntax.
fn line() -> impl Strategy<Value = String> {
    let key = prop_oneof![
        Just("every_s"),
        Just("table"),
        Just("poll.api_key"),
        Just("x"),
        Just("poll"),
        Just("\"\"")
    ];
    let value = prop_oneof![
        any::<i64>().prop_map(|n| n.to_string()),
        "[a-z#\"\\[\\]{}.=]{0,8}",
        Just("{ low = 1 }".to_owned()),
        Just("[[1], 2]".to_owned()),
        Just("\"text\" # why".to_owned()),
    ];
    prop_oneof![
        (key, value).prop_map(|(key, value)| format!("{key} = {value}")),
        prop_oneof![Just("[poll]"), Just("[[poll]]"), Just("[roll.every_s]"), Just("[é]")]
            .prop_map(str::to_owned),
    ]
}

proptest! {
    #[test]
    fn any_text_is_taken_or_told_with_its_place(lines in proptest::collection::vec(line(), 0..6)) {
        if let Err(problems) = load(Some(&lines.join("\n")), &[]) {
            for problem in problems {
                prop_assert!(problem.place.contains("user.toml:"), "{}", problem);
                prop_assert!(!problem.expected.is_empty());
            }
        }
    }

    #[test]
    fn bytes_that_are_no_toml_do_no_harm(text in any::<String>()) {
        let _ = load(Some(&text), &[]).map_err(|problems| problems.to_string());
    }

    #[test]
    fn the_environment_wins_over_the_file_over_the_default(file in any::<Option<i64>>(), env in any::<Option<i64>>()) {
        let text = file.map(|n| format!("poll.every_s = {n}"));
        let variable = env.map(|n| n.to_string());
        let vars: Vec<_> = variable.iter().map(|n| ("WEATHER_POLL__EVERY_S", n.as_str())).collect();
        let settings = load(text.as_deref(), &vars).expect("valid");
        prop_assert_eq!(settings.section::<i64>("poll.every_s"), Ok(env.or(file).unwrap_or(20)));
        let from_env = matches!(settings.origin("poll.every_s"), Origin::Env { .. });
        prop_assert_eq!(from_env, env.is_some());
    }

    #[test]
    fn arrays_come_through_the_environment(cities in proptest::collection::vec(any::<i64>(), 0..9)) {
        let text = cities.iter().map(i64::to_string).collect::<Vec<_>>().join(" ,");
        let settings = load(None, &[("WEATHER_POLL__CITIES", &text)]).expect("valid");
        prop_assert_eq!(settings.section::<Vec<i64>>("poll.cities"), Ok(cities));
    }

    #[test]
    fn a_dropped_letter_is_put_right(which in any::<prop::sample::Index>(), at in any::<prop::sample::Index>()) {
        let keys: Vec<String> = load(None, &[]).expect("valid").rows().map(|row| row.key).collect();
        let key = which.get(&keys);
        let mut typo = key.clone();
        // Only behind the last dot: `oll` may mean `poll` as well as `roll`.
        let name = key.rfind('.').map_or(0, |dot| dot + 1);
        let letters: Vec<usize> = (name..key.len()).collect();
        typo.remove(*at.get(&letters));
        let problems = load(Some(&format!("{typo} = 1")), &[]).expect_err("a typo");
        let told = problems.to_string();
        prop_assert!(told.ends_with(&format!("did you mean `{key}`?")), "{} for {}: {}", typo, key, told);
    }

    #[test]
    fn secrets_are_shown_nowhere(secret in "[a-z0-9]{12,20}") {
        let settings = load(Some(&format!("poll.api_key = \"{secret}\"")), &[]).expect("valid");
        let rows: Vec<_> = settings.rows().collect();
        let refused = settings.section::<u32>("poll.api_key").expect_err("not a number");
        let wrong_type = load(Some(&format!("poll.api_key = [\"{secret}\"]")), &[]).expect_err("not a text");
        let shown = format!("{settings:?} {settings:#?} {rows:?} {refused:?} {refused} {wrong_type:?} {wrong_type}");
        prop_assert!(!shown.contains(&secret), "{}", shown);
    }
}
