use std::fmt;

/// One thing wrong with the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The setting, as `section.key`; empty when a whole file is at fault.
    pub key: String,
    /// Who says so: a file and line, a variable of the environment, the defaults.
    pub place: String,
    /// The value as written there, masked when it is a secret; empty when there is none to show.
    pub found: String,
    /// What is wrong with it, or what was expected instead, and what to do next.
    pub expected: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, place, found, expected } = self;
        match (key.as_str(), found.as_str()) {
            ("", "") => write!(f, "{place}: {expected}"),
            ("", found) => write!(f, "{place}: {found}: {expected}"),
            (key, "") => write!(f, "{place}: {key}: {expected}"),
            (key, found) => write!(f, "{place}: {key} = {found}: {expected}"),
        }
    }
}

impl std::error::Error for Problem {}

/// All that is wrong with the settings; at least one problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub(crate) Vec<Problem>);

impl Problems {
    /// `Ok` when there are none.
    pub fn check(problems: Vec<Problem>) -> Result<(), Self> {
        if problems.is_empty() { Ok(()) } else { Err(Self(problems)) }
    }

    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.0.iter()
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl IntoIterator for Problems {
    type Item = Problem;
    type IntoIter = std::vec::IntoIter<Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [problem] => write!(f, "1 problem in the settings:\n  {problem}"),
            problems => {
                write!(f, "{} problems in the settings:", problems.len())?;
                problems.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
            }
        }
    }
}

impl std::error::Error for Problems {}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(key: &str) -> Problem {
        let text = |text: &str| text.to_owned();
        Problem {
            key: text(key),
            place: text("a.toml:1"),
            found: text("1"),
            expected: text("expected a text"),
        }
    }

    #[test]
    fn all_are_listed_with_their_count() {
        let problems = Problems(vec![problem("a"), problem("b")]);
        let lines: Vec<String> = problems.to_string().lines().map(str::to_owned).collect();
        assert_eq!(lines[0], "2 problems in the settings:");
        assert_eq!(
            lines[1..],
            ["  a.toml:1: a = 1: expected a text", "  a.toml:1: b = 1: expected a text"]
        );
    }

    #[test]
    fn none_is_no_error() {
        assert_eq!(Problems::check(vec![]), Ok(()));
        assert_eq!(Problems::check(vec![problem("a")]), Err(Problems(vec![problem("a")])));
    }
}
