use toml::Value;

use crate::nearest;
use crate::origin::Origin;
use crate::secret::{MASK, is_secret};

/// Longer defaults are cut when they serve as an example.
const EXAMPLE_CHARS: usize = 60;

/// One setting: a key of the defaults that isn't a section.
#[derive(Clone)]
pub(crate) struct Setting {
    /// Segments, outermost first.
    pub path: Vec<String>,
    pub default: Value,
    pub value: Value,
    pub origin: Origin,
    /// The comment beside it in the defaults; may be empty.
    pub comment: String,
}

impl Setting {
    /// `section.key`.
    pub fn key(&self) -> String {
        join(&self.path)
    }

    /// The value as TOML; masked when it is a secret.
    pub fn shown(&self) -> String {
        self.mask(&self.value)
    }

    /// A value found in place of this setting's, as TOML; masked when it is a secret.
    pub fn mask(&self, value: &Value) -> String {
        let empty = value.as_str().is_some_and(str::is_empty);
        if self.is_secret() && !empty { MASK.to_owned() } else { value.to_string() }
    }

    pub fn is_secret(&self) -> bool {
        self.path.last().is_some_and(|segment| is_secret(segment))
    }

    /// The value as this setting's type: the default's, where a whole number does for any number.
    pub fn accept(&self, value: Value) -> Option<Value> {
        accept(&self.default, value)
    }

    /// "expected a whole number, as in `every_s = 20` (seconds between polls)".
    pub fn expected(&self) -> String {
        self.explain(&format!("expected {}", type_name(&self.default)))
    }

    /// Adds the example and the comment of the defaults to a message.
    pub fn explain(&self, message: &str) -> String {
        let mut text = message.to_owned();
        let example = self.default.to_string();
        if !self.is_secret() && example.chars().count() <= EXAMPLE_CHARS {
            let name = self.path.last().map_or("", String::as_str);
            text.push_str(&format!(", as in `{name} = {example}`"));
        }
        if !self.comment.is_empty() {
            text.push_str(&format!(" ({})", self.comment));
        }
        text
    }
}

/// Where a key of a file or variable leads.
pub(crate) enum Found<'a> {
    Setting(&'a mut Setting),
    /// A section of the defaults.
    Section,
    /// Nothing of that name; the text says what might have been meant.
    Nothing(String),
}

pub(crate) fn find<'a>(settings: &'a mut [Setting], path: &[String]) -> Found<'a> {
    if let Some(at) = settings.iter().position(|setting| setting.path == path) {
        return Found::Setting(&mut settings[at]);
    }
    if settings.iter().any(|setting| setting.path.starts_with(path)) {
        return Found::Section;
    }
    Found::Nothing(suggestion(settings, path))
}

fn suggestion(settings: &[Setting], path: &[String]) -> String {
    let none = "there is no such setting";
    let keys: Vec<String> = settings.iter().map(Setting::key).chain(sections(settings)).collect();
    if let Some(near) = nearest::nearest(&join(path), keys.iter().map(String::as_str)) {
        return format!("{none}; did you mean `{near}`?");
    }
    let parent = &path[..path.len().saturating_sub(1)];
    let siblings = members(settings, parent);
    match (siblings.is_empty(), parent) {
        (true, _) => format!("{none}; the sections are {}", quoted(&members(settings, &[]))),
        (false, []) => format!("{none}; there are {}", quoted(&siblings)),
        (false, parent) => format!("{none}; `{}` has {}", join(parent), quoted(&siblings)),
    }
}

/// What stands directly under a section, in the defaults' order.
pub(crate) fn members(settings: &[Setting], section: &[String]) -> Vec<String> {
    let below = settings.iter().filter(|setting| setting.path.starts_with(section));
    let mut names: Vec<String> = below.filter_map(|s| s.path.get(section.len()).cloned()).collect();
    let mut seen = std::collections::HashSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
}

/// Keys of all sections, each once.
fn sections(settings: &[Setting]) -> std::collections::BTreeSet<String> {
    settings.iter().flat_map(|s| (1..s.path.len()).map(|depth| join(&s.path[..depth]))).collect()
}

/// Names in backquotes, separated by commas.
pub(crate) fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// Segments as one dotted key; a segment that TOML would quote stays quoted.
pub(crate) fn join(path: &[String]) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let segment = |s: &String| match !s.is_empty() && s.chars().all(bare) {
        true => s.clone(),
        false => format!("{s:?}"),
    };
    path.iter().map(segment).collect::<Vec<_>>().join(".")
}

fn accept(default: &Value, value: Value) -> Option<Value> {
    match (default, value) {
        // Beyond 2^53 a float can't hold every whole number; such a setting isn't one that takes fractions.
        (Value::Float(_), Value::Integer(whole)) => Some(Value::Float(whole as f64)),
        (Value::Array(defaults), Value::Array(values)) => match defaults.first() {
            Some(first) => {
                values.into_iter().map(|value| accept(first, value)).collect::<Option<Vec<_>>>()
            }
            None => Some(values),
        }
        .map(Value::Array),
        (default, value) if default.same_type(&value) => Some(value),
        _ => None,
    }
}

/// A type in words, with its article.
pub(crate) fn type_name(value: &Value) -> String {
    match value {
        Value::String(_) => "a text in quotes".to_owned(),
        Value::Integer(_) => "a whole number".to_owned(),
        Value::Float(_) => "a number".to_owned(),
        Value::Boolean(_) => "true or false".to_owned(),
        Value::Datetime(_) => "a date or time".to_owned(),
        Value::Table(_) => "a section".to_owned(),
        Value::Array(values) => match values.first() {
            Some(Value::String(_)) => "an array of texts in quotes".to_owned(),
            Some(Value::Integer(_)) => "an array of whole numbers".to_owned(),
            Some(Value::Float(_)) => "an array of numbers".to_owned(),
            _ => "an array".to_owned(),
        },
    }
}
