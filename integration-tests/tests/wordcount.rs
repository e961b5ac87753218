//! Texts of a user: their words are counted as by other means.

#![cfg(test)]

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use integration_tests::chance::Chance;
use integration_tests::words::{self, Counts};
use integration_tests::{Data, number, text, wait};

const UNICODE: &str = "\
The Mill; the MILL, the mill's wheel (snake_case, x² and ½)\r
Die Mühle am rauschenden Bach, STRASSE und Straße\r

À l'éte\u{301}, les moulins d'Été tournent
ΟΔΥΣΣΕΥΣ ΣΑΣ χαιρετά, ὁ μύλος ἀλέθει
Мельница мелет; МЕЛЬНИЦА стоит
風車と水車、水車は回る。風車
चक्की १२३ चलती है, चक्की
المطحنة ١٢٣ تدور والمطحنة
İstanbul'da değirmen DEĞİRMEN, ıssız I
ｆｕｌｌ Ｗｉｄｔｈ ﬁn 𝐁old 𝟙𝟚 🙂 emoji🙂between
tab\tand\u{a0}space\u{200b}zero\u{0}nul \"quotes\" \\ back
";

fn counted(data: &Data) -> Counts {
    let rows = data.query(r#"SELECT word, count FROM "wordCount""#);
    rows.iter().map(|row| (text(row, "word").to_owned(), number(row, "count"))).collect()
}

fn count(data: &Data, file: &Path) -> Counts {
    let file = file.to_str().unwrap();
    data.run("wordcount", &["produce", "--once", "--rate", "max", "--file", file]).succeeds();
    data.catch_up("wordcount");
    counted(data)
}

/// By coreutils: `tr`, `sort` and `uniq`.
fn by_coreutils(file: &Path) -> Counts {
    let script = "tr -cs 'A-Za-z0-9' '\\n' < \"$1\" | tr 'A-Z' 'a-z' | grep . | sort | uniq -c";
    let mut shell = Command::new("sh");
    shell.env("LC_ALL", "C").args(["-c", script, "sh"]).arg(file);
    let ran = shell.output().unwrap();
    assert!(ran.status.success(), "{ran:?}");
    let lines = String::from_utf8(ran.stdout).unwrap();
    let line = |line: &str| {
        let (count, word) = line.trim().split_once(' ').unwrap();
        (word.to_owned(), count.parse().unwrap())
    };
    lines.lines().map(line).collect()
}

/// A text of ASCII words and what stands between them, with a line of more than 64 KiB.
fn ascii(chance: &mut Chance) -> String {
    let words =
        ["the", "The", "MILL", "mill", "x1", "42", "a", "grinds", "I", "don't", "snake_case"];
    let between = [" ", " ", " ", ", ", "-", "\n", "\r\n", "\t", "; ", "...", " \"", "\\ "];
    let mut text = String::new();
    for n in 0..30_000 {
        text.push_str(chance.one_of(&words));
        // One line goes on and on.
        let ends = (5_000..25_000).contains(&n);
        text.push_str(if ends { " " } else { chance.one_of(&between) });
    }
    text.push_str("no newline at the end");
    assert!(text.lines().any(|line| line.len() > 64 << 10), "a long line");
    text
}

#[test]
fn an_ascii_text_is_counted_as_coreutils_count_it() {
    let data = Data::new();
    let file = data.file("ascii.txt", ascii(&mut Chance::new()));
    let expected = by_coreutils(&file);
    assert!(expected.values().sum::<u64>() > 20_000);
    words::assert_same(&count(&data, &file), &expected);
    // Once more: twice as many.
    words::assert_same(&count(&data, &file), &words::times(&expected, 2));
    data.verify();
}

#[test]
fn a_text_of_many_scripts_is_counted_as_the_slow_way_counts_it() {
    let data = Data::new();
    let mut text = UNICODE.repeat(3);
    // Lines that are cut into pieces, and no word with them.
    for line in UNICODE.lines() {
        let _ = writeln!(text, "{}", format!("{line} ").repeat(2_000));
    }
    text.push_str("letztes Wört");
    let file = data.file("texts.md", &text);
    words::assert_same(&count(&data, &file), &words::count(&text));
    data.verify();
}

#[test]
fn a_line_that_is_no_utf_8_ends_as_a_dead_letter_with_its_bytes() {
    let data = Data::new();
    let bad: &[u8] = b"caf\xe9 \x00 \xff\xfe line";
    let lines: [&[u8]; 3] = [b"one two\n", bad, b"\ntwo three\r\n"];
    let file = data.file("mixed.txt", lines.concat());
    words::assert_same(&count(&data, &file), &words::count("one two\ntwo three"));

    let report = data.verify_one("wordcount.counts");
    assert_eq!(
        (number(&report, "delivered"), number(&report, "dead_lettered")),
        (2, 1),
        "{report}"
    );
    let letters = data.run("millstream", &["dlq", "show", "wordcount.counts", "--json"]).succeeds();
    let letters = letters.json_lines();
    assert_eq!(letters.len(), 1, "{letters:?}");
    let kept: Vec<u64> =
        letters[0]["value"].as_array().unwrap().iter().map(|byte| byte.as_u64().unwrap()).collect();
    assert!(kept.iter().copied().eq(bad.iter().map(|byte| u64::from(*byte))), "{kept:?}");
}

#[test]
fn json_is_counted_by_its_strings() {
    let data = Data::new();
    let file = data.file(
        "poems.jsonl",
        "{\"title\": \"The Mill\", \"n\": 7}\n{\"lines\": [\"mill, mill\"]}\n",
    );
    words::assert_same(&count(&data, &file), &words::count("The Mill\nmill, mill"));
}

#[test]
fn the_count_is_exact_after_kills_too() {
    let mut chance = Chance::new();
    let data =
        Data::new().with("WORDCOUNT_ROLL__RECORDS", "7").with("WORDCOUNT_ROLL__EVERY_S", "0.02");
    let text = UNICODE.repeat(60);
    data.file("texts.txt", &text);
    data.run("wordcount", &["produce", "--once", "--rate", "max", "--file", "texts.txt"])
        .succeeds();
    for _ in 0..6 {
        let worker = data.start("wordcount", &["process"]);
        wait::pause(chance.milliseconds(20, 250));
        worker.kill_9();
    }
    data.catch_up("wordcount");
    words::assert_same(&counted(&data), &words::count(&text));
    data.verify();
}
