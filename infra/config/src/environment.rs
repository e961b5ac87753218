use toml::Value;

use crate::nearest;
use crate::origin::Origin;
use crate::problem::Problem;
use crate::setting::{Setting, type_name};

/// Puts the environment over the user's file. Which variables are ours: see the crate's page.
pub(crate) fn apply(
    settings: &mut [Setting],
    app: &str,
    env: impl IntoIterator<Item = (String, String)>,
    problems: &mut Vec<Problem>,
) {
    let prefix = format!("{}_", capitals(app));
    let mut ours: Vec<(String, String)> =
        env.into_iter().filter(|(name, _)| name.starts_with(&prefix)).collect();
    // The environment has no order of its own; the problems shall have one.
    ours.sort();
    for (name, text) in ours {
        match settings.iter_mut().find(|setting| variable(app, setting) == name) {
            Some(setting) => problems.extend(apply_one(setting, name, &text)),
            None => problems.extend(typo(settings, app, &name, &prefix)),
        }
    }
}

/// The variable of a setting: `WEATHER_POLL__EVERY_S`.
pub(crate) fn variable(app: &str, setting: &Setting) -> String {
    let levels: Vec<String> = setting.path.iter().map(|segment| capitals(segment)).collect();
    format!("{}_{}", capitals(app), levels.join("__"))
}

fn capitals(name: &str) -> String {
    name.to_uppercase().replace('-', "_")
}

fn apply_one(setting: &mut Setting, name: String, text: &str) -> Option<Problem> {
    let place = Origin::Env { name };
    match parse(&setting.default, text) {
        Some(value) => {
            setting.value = value;
            setting.origin = place;
            None
        }
        None => {
            let found = setting.mask(&Value::String(text.to_owned()));
            let separated = if setting.default.is_array() { ", separated by commas" } else { "" };
            let expected =
                setting.explain(&format!("expected {}{separated}", type_name(&setting.default)));
            Some(Problem { key: setting.key(), place: place.to_string(), found, expected })
        }
    }
}

/// A variable's text as the default's type.
fn parse(default: &Value, text: &str) -> Option<Value> {
    let trimmed = text.trim();
    match default {
        Value::String(_) => Some(Value::String(text.to_owned())),
        Value::Integer(_) => trimmed.parse().ok().map(Value::Integer),
        Value::Float(_) => trimmed.parse().ok().map(Value::Float),
        Value::Boolean(_) => trimmed.parse().ok().map(Value::Boolean),
        Value::Datetime(_) => trimmed.parse().ok().map(Value::Datetime),
        Value::Array(_) if trimmed.is_empty() => Some(Value::Array(Vec::new())),
        Value::Array(defaults) => {
            let text_element = Value::String(String::new());
            let element = defaults.first().unwrap_or(&text_element);
            let values = trimmed.split(',').map(|part| parse(element, part.trim()));
            values.collect::<Option<Vec<_>>>().map(Value::Array)
        }
        Value::Table(_) => None,
    }
}

/// The problem with a variable that names no setting; none when it isn't ours.
fn typo(settings: &[Setting], app: &str, name: &str, prefix: &str) -> Option<Problem> {
    let variables: Vec<String> = settings.iter().map(|setting| variable(app, setting)).collect();
    let top_level = settings.iter().filter(|setting| setting.path.len() == 1);
    let near_top_level =
        top_level.map(|s| variable(app, s)).any(|known| strsim::osa_distance(&known, name) <= 1);
    if !name[prefix.len()..].contains("__") && !near_top_level {
        return None;
    }
    let expected = match nearest::nearest(name, variables.iter().map(String::as_str)) {
        Some(near) => format!("there is no such setting; did you mean {near}?"),
        None => format!(
            "there is no such setting; unset it, or see `{app} check` for the settings there are"
        ),
    };
    let place = Origin::Env { name: name.to_owned() }.to_string();
    Some(Problem { key: String::new(), place, found: String::new(), expected })
}
