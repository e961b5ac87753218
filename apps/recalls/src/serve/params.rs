//! Parameters of an address, read strictly: what can't be read is a [`Refusal`] that says what would be right.

use std::ops::RangeInclusive;

/// Longest text that is looked for, in characters.
pub const TEXT_MAX: usize = 512;

/// Why a request can't be read, and what would be right. Always the asker's doing: 400.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}; {remedy}")]
pub struct Refusal {
    pub what: String,
    pub remedy: String,
}

impl Refusal {
    pub fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Refusal { what: what.into(), remedy: remedy.into() }
    }
}

/// Names and values of a query string, in its order. Escapes that aren't ones, and what isn't UTF-8, are refused.
pub fn pairs(query: &[u8]) -> Result<Vec<(String, String)>, Refusal> {
    query
        .split(|byte| *byte == b'&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let mut halves = pair.splitn(2, |byte| *byte == b'=');
            let name = decode(halves.next().unwrap_or_default())?;
            Ok((name, decode(halves.next().unwrap_or_default())?))
        })
        .collect()
}

fn decode(bytes: &[u8]) -> Result<String, Refusal> {
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes.iter();
    while let Some(byte) = rest.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => match (rest.next().and_then(hex), rest.next().and_then(hex)) {
                (Some(high), Some(low)) => high * 16 + low,
                _ => return Err(unreadable("a % without two hexadecimal digits after it")),
            },
            other => *other,
        });
    }
    String::from_utf8(decoded).map_err(|_| unreadable("bytes that are no UTF-8"))
}

fn hex(byte: &u8) -> Option<u8> {
    u8::try_from(char::from(*byte).to_digit(16)?).ok()
}

fn unreadable(what: &str) -> Refusal {
    Refusal::new(
        format!("The address holds {what}"),
        "type the search into the box rather than into the address",
    )
}

/// The value of a parameter that may stand once; none if it is missing or empty.
pub fn one<'a>(pairs: &'a [(String, String)], name: &str) -> Result<Option<&'a str>, Refusal> {
    let mut values = pairs.iter().filter(|(of, _)| of == name).map(|(_, value)| value.as_str());
    let value = values.next().filter(|value| !value.is_empty());
    match values.next() {
        Some(_) => Err(Refusal::new(
            format!("The address says {name} more than once"),
            format!("leave one {name}"),
        )),
        None => Ok(value),
    }
}

/// A whole number within `range`.
pub fn number(
    pairs: &[(String, String)],
    name: &str,
    range: RangeInclusive<usize>,
    default: usize,
) -> Result<usize, Refusal> {
    let Some(text) = one(pairs, name)? else { return Ok(default) };
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse::<usize>() {
        Ok(number) if digits && range.contains(&number) => Ok(number),
        _ => Err(Refusal::new(
            format!("{name} {} can't be shown", shown(text)),
            format!(
                "{name} is a whole number from {} to {}; what lies further is in the exports",
                range.start(),
                range.end()
            ),
        )),
    }
}

/// What is looked for, tidied: control characters are spaces, and several spaces are one.
pub fn text(raw: &str) -> Result<String, Refusal> {
    let text = raw.replace(char::is_control, " ").split_whitespace().collect::<Vec<_>>().join(" ");
    match text.chars().count() {
        0..=TEXT_MAX => Ok(text),
        count => Err(Refusal::new(
            format!("The search has {count} characters, and at most {TEXT_MAX} can be looked for"),
            "search for a few words of it",
        )),
    }
}

/// A value in quotes, cut short.
pub fn shown(value: &str) -> String {
    match value.char_indices().nth(40) {
        Some((end, _)) => format!("“{}…”", &value[..end]),
        None => format!("“{value}”"),
    }
}
