/// The candidate a misspelt key most likely meant; none when all are too far away.
///
/// A key whose last segment is right but whose section is wrong is near, whatever the distance.
pub(crate) fn nearest<'a>(
    key: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let best =
        candidates.into_iter().map(|candidate| (distance(key, candidate), candidate)).min()?;
    (best.0 <= (key.chars().count() / 3).max(2)).then_some(best.1)
}

/// Letters added, dropped, changed or swapped.
fn distance(key: &str, candidate: &str) -> usize {
    let whole = strsim::osa_distance(&key.to_lowercase(), &candidate.to_lowercase());
    let same_end = last(key) == last(candidate) && key != candidate;
    if same_end { whole.min(2) } else { whole }
}

fn last(key: &str) -> &str {
    key.rsplit('.').next().unwrap_or(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [&str; 4] = ["poll.every_s", "poll.url", "roll.every_s", "topic"];

    #[test]
    fn finds_what_was_meant() {
        assert_eq!(nearest("poll.evrey_s", KEYS), Some("poll.every_s"));
        assert_eq!(nearest("rol.every_s", KEYS), Some("roll.every_s"));
        assert_eq!(nearest("URL", KEYS), None, "too short to tell");
        assert_eq!(nearest("url", KEYS), Some("poll.url"), "the section is missing");
        assert_eq!(nearest("TOPIC", KEYS), Some("topic"));
        assert_eq!(nearest("colour", KEYS), None);
    }
}
