use std::io::Write;

/// Prints a line on standard output, as `println!`, which panics when its reader has gone (`| head`).
macro_rules! say {
    ($($text:tt)*) => { $crate::show::out(&(format!($($text)*) + "\n")) };
}
pub(crate) use say;

/// Prints on standard output. There is nobody to tell when its reader has gone.
pub fn out(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// Lines of cells as a table: columns as wide as their widest cell, numbers to the right.
pub fn table(header: &[&str], lines: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells =
            lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count());
        cells.chain([header[column].chars().count()]).max().unwrap_or(0)
    };
    let is_number = |cell: &str| cell.parse::<f64>().is_ok() || cell == "-";
    let line = |cells: &[String]| {
        let cells = cells.iter().enumerate().map(|(column, cell)| {
            let width = width(column);
            let numbers = lines.iter().all(|line| line.get(column).is_none_or(|c| is_number(c)));
            if numbers { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    let header: Vec<_> = header.iter().map(|name| (*name).to_owned()).collect();
    let body: String = lines.iter().map(|cells| line(cells)).collect();
    line(&header) + &body
}

/// Bytes as text for a terminal: at most `max` characters, control characters made visible.
pub fn text(bytes: &[u8], max: usize) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut shown: String = text.chars().take(max).flat_map(visible).collect();
    if text.chars().count() > max {
        shown.push('…');
    }
    shown
}

fn visible(c: char) -> Vec<char> {
    if c.is_control() { c.escape_default().collect() } else { vec![c] }
}

#[cfg(test)]
mod tests {
    use super::{table, text};

    #[test]
    fn numbers_stand_to_the_right() {
        let lines =
            vec![vec!["a".to_owned(), "5".to_owned()], vec!["bcd".to_owned(), "1000".to_owned()]];
        assert_eq!(table(&["name", "n"], &lines), "name     n\na        5\nbcd   1000\n");
    }

    #[test]
    fn nothing_reaches_the_terminal_as_a_command() {
        assert_eq!(text(b"a\x1b[31m\nb\xff", 20), "a\\u{1b}[31m\\nb\u{fffd}");
        assert_eq!(text("äöü".as_bytes(), 2), "äö…");
    }
}
