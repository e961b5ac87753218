//! A count of words that is slow and simple: character by character, by the definition. A word is a maximal run
//! of Unicode letters, marks and digits, lower-cased.

use std::collections::{BTreeMap, HashMap};

use regex::Regex;

/// How often each word occurs.
pub type Counts = BTreeMap<String, u64>;

pub fn count(text: &str) -> Counts {
    let in_word = Regex::new(r"^[\p{L}\p{M}\p{Nd}]$").unwrap();
    // Asked once for each character there is: an expression takes its time in an unoptimised build.
    let mut known = HashMap::new();
    let mut in_word =
        |c: char| *known.entry(c).or_insert_with(|| in_word.is_match(c.encode_utf8(&mut [0; 4])));
    let mut counts = Counts::new();
    let mut word = String::new();
    for c in text.chars().chain(['\n']) {
        if in_word(c) {
            word.push(c);
        } else if !word.is_empty() {
            *counts.entry(word.to_lowercase()).or_default() += 1;
            word.clear();
        }
    }
    counts
}

/// As many times over.
pub fn times(counts: &Counts, times: u64) -> Counts {
    counts.iter().map(|(word, count)| (word.clone(), count * times)).collect()
}

/// Lines with letters of several scripts, as a file that a producer sends again and again.
pub fn lines() -> Vec<String> {
    (0..97)
        .map(|n| format!("Line {n}: the mill grinds, DIE Mühle mahlt, η μύλος {}", n % 7))
        .collect()
}

/// The words of so many lines, sent one after the other and from the first one again: so many times the whole, and a part.
pub fn of_passes(lines: &[String], sent: u64) -> Counts {
    let (passes, rest) = (sent / lines.len() as u64, sent as usize % lines.len());
    sum(times(&count(&lines.join("\n")), passes), &count(&lines[..rest].join("\n")))
}

pub fn sum(mut one: Counts, other: &Counts) -> Counts {
    for (word, count) in other {
        *one.entry(word.clone()).or_default() += count;
    }
    one.retain(|_, count| *count > 0);
    one
}

/// Panics with the first words that differ, and not with two long lists.
#[track_caller]
pub fn assert_same(found: &Counts, expected: &Counts) {
    let of = |counts: &Counts, word: &str| counts.get(word).copied().unwrap_or_default();
    let words = found.keys().chain(expected.keys());
    let differing = words.filter(|word| of(found, word) != of(expected, word));
    let shown = differing
        .take(5)
        .map(|word| format!("{word:?}: {} in place of {}", of(found, word), of(expected, word)));
    let shown: Vec<_> = shown.collect();
    assert!(shown.is_empty(), "{}", shown.join("; "));
}
