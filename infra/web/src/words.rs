//! Numbers, sizes and times as people read them.

/// 1234567 → `1,234,567`.
pub fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    if number < 0 {
        text.push('-');
    }
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count that may be too many for an `i64`: 1234567 → `1,234,567`.
pub fn count(number: impl TryInto<i64>) -> String {
    grouped(number.try_into().unwrap_or(i64::MAX))
}

/// A measured number: whole from 10 on, else with one decimal.
pub fn measured(number: f64) -> String {
    if !number.is_finite() {
        return "–".to_owned();
    }
    if number.abs() >= 9.95 || number.fract().abs() < 0.05 {
        return grouped(number.round() as i64);
    }
    format!("{number:.1}")
}

/// A short number for an axis: 12000 → `12k`, 3500000 → `3.5M`.
pub fn short(number: f64) -> String {
    let (scaled, unit) = match number.abs() {
        n if n >= 1e9 => (number / 1e9, "G"),
        n if n >= 1e6 => (number / 1e6, "M"),
        n if n >= 1e4 => (number / 1e3, "k"),
        n if n >= 100.0 || n.fract() == 0.0 => return grouped(number.round() as i64),
        n if n >= 1.0 => (number, ""),
        _ => return format!("{number:.3}").trim_end_matches('0').to_owned(),
    };
    let text = format!("{scaled:.1}");
    format!("{}{unit}", text.trim_end_matches(".0"))
}

/// Bytes: `512 B`, `3.4 MB`.
pub fn bytes(number: u64) -> String {
    let mut left = number as f64;
    for unit in ["B", "kB", "MB", "GB"] {
        if left < 1000.0 {
            return if unit == "B" { format!("{left} B") } else { format!("{left:.1} {unit}") };
        }
        left /= 1000.0;
    }
    format!("{left:.1} TB")
}

/// How long something takes: `420 ms`, `3.2 s`, `12 min`, `3 h 5 min`, `2 d 4 h`.
pub fn lasting(ms: i64) -> String {
    let ms = ms.max(0);
    let (s, min, h) = (ms / 1000, ms / 60_000, ms / 3_600_000);
    match ms {
        0..1000 => format!("{ms} ms"),
        1000..10_000 => format!("{:.1} s", ms as f64 / 1000.0),
        10_000..120_000 => format!("{s} s"),
        120_000..3_600_000 => format!("{min} min"),
        3_600_000..172_800_000 => format!("{h} h {} min", min % 60),
        _ => format!("{} d {} h", h / 24, h % 24),
    }
}

/// How long ago something was: `just now`, `40 s ago`.
pub fn ago(ms: i64) -> String {
    if ms < 2000 { "just now".to_owned() } else { format!("{} ago", lasting(ms)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(grouped(-1_234_567), "-1,234,567");
        assert_eq!(grouped(999), "999");
        assert_eq!(count(u64::MAX), grouped(i64::MAX));
        assert_eq!([measured(3.12), measured(10.4), measured(0.0)], ["3.1", "10", "0"]);
        assert_eq!(
            [short(9000.0), short(12_000.0), short(3.5e6), short(0.05)],
            ["9,000", "12k", "3.5M", "0.05"]
        );
        assert_eq!([bytes(12), bytes(3_400_000)], ["12 B", "3.4 MB"]);
        assert_eq!(
            [lasting(420), lasting(3200), lasting(11_100_000)],
            ["420 ms", "3.2 s", "3 h 5 min"]
        );
        assert_eq!([ago(100), ago(40_000)], ["just now", "40 s ago"]);
    }
}
