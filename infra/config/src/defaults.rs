use std::ops::Range;

use serde::Deserialize;
use toml::Value;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use crate::origin::Origin;
use crate::problem::Problem;
use crate::setting::Setting;

/// Reads the shipped text: every setting, in the text's order.
pub(crate) fn read(text: &str, place: &str) -> Result<Vec<Setting>, Problem> {
    let mut settings = Vec::new();
    for leaf in leaves(text, place)? {
        let Leaf { path, value, key_at, value_at } = leaf;
        let value = value.map_err(|error| at(place, text, key_at.start, &error))?;
        let comment = comment(text, key_at.start, value_at.end);
        settings.push(Setting {
            path,
            default: value.clone(),
            value,
            origin: Origin::Default,
            comment,
        });
    }
    Ok(settings)
}

/// A key of a TOML text that isn't a table, or is an empty one.
pub(crate) struct Leaf {
    pub path: Vec<String>,
    /// The error is a number that doesn't fit.
    pub value: Result<Value, toml::de::Error>,
    pub key_at: Range<usize>,
    pub value_at: Range<usize>,
}

/// All leaves of a text, in its order. The problem is bad syntax.
pub(crate) fn leaves(text: &str, place: &str) -> Result<Vec<Leaf>, Problem> {
    let table = DeTable::parse(text)
        .map_err(|error| at(place, text, error.span().map_or(0, |span| span.start), &error))?;
    let mut found = Vec::new();
    collect(table.into_inner(), &mut Vec::new(), &mut found);
    found.sort_by_key(|leaf| leaf.key_at.start);
    Ok(found)
}

fn collect(table: DeTable<'_>, path: &mut Vec<String>, found: &mut Vec<Leaf>) {
    for (key, value) in table {
        let (key_at, value_at) = (key.span(), value.span());
        path.push(key.into_inner().into_owned());
        match value.get_ref() {
            DeValue::Table(inner) if !inner.is_empty() => {
                if let DeValue::Table(inner) = value.into_inner() {
                    collect(inner, path, found);
                }
            }
            _ => {
                let value = Value::deserialize(ValueDeserializer::from(value));
                found.push(Leaf { path: path.clone(), value, key_at, value_at });
            }
        }
        path.pop();
    }
}

/// A problem with the text itself, at `offset` bytes into it.
fn at(place: &str, text: &str, offset: usize, error: &toml::de::Error) -> Problem {
    let before = &text[..text.floor_char_boundary(offset)];
    let line = line_at(text, offset);
    let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
    Problem {
        key: String::new(),
        place: format!("{place}:{line}:{column}"),
        found: "not TOML".to_owned(),
        expected: error.message().trim().replace('\n', " "),
    }
}

/// The line of a byte of the text, from 1.
pub(crate) fn line_at(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|&byte| byte == b'\n').count() + 1
}

/// The comment behind a value, else the first sentence of the comment lines right above its key.
fn comment(text: &str, key_start: usize, value_end: usize) -> String {
    let behind = text[value_end..].lines().next().unwrap_or("");
    let behind = behind.trim_start_matches([' ', '\t', ',', '}', ']']);
    if let Some(comment) = behind.strip_prefix('#') {
        return comment.trim().to_owned();
    }
    let line_start = text[..key_start].rfind('\n').map_or(0, |at| at + 1);
    let above: Vec<&str> =
        text[..line_start].lines().rev().map_while(|line| line.trim().strip_prefix('#')).collect();
    let above = above.into_iter().rev().map(str::trim).collect::<Vec<_>>().join(" ");
    above
        .split_once(". ")
        .map_or(above.as_str(), |(first, _)| first)
        .trim_end_matches('.')
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "
# Seed of everything made up. Change it for other data.
seed = 7

[poll]
url = \"http://x\"
# Cities to ask for,
# by id.
cities = [1, 2]
every_s = 20 # seconds between polls
band = { low = 1.5, high = 2.5 } # inclusive
";

    fn comments(text: &str) -> Vec<(String, String)> {
        let settings = read(text, "x").expect("valid");
        settings.into_iter().map(|s| (s.key(), s.comment)).collect()
    }

    #[test]
    fn keeps_the_order_and_the_comments() {
        let expected = [
            ("seed", "Seed of everything made up"),
            ("poll.url", ""),
            ("poll.cities", "Cities to ask for, by id"),
            ("poll.every_s", "seconds between polls"),
            ("poll.band.low", ""),
            ("poll.band.high", "inclusive"),
        ];
        assert_eq!(
            comments(TEXT),
            expected.map(|(key, comment)| (key.to_owned(), comment.to_owned()))
        );
    }

    #[test]
    fn names_line_and_column_of_bad_syntax() {
        let problem = leaves("a = 1\nb = = 2\n", "weather.toml").err().expect("bad");
        assert_eq!(problem.place, "weather.toml:2:5");
    }
}
