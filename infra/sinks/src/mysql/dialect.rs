//! Where MySQL and MariaDB differ.

/// Which of the two a server is, and how old.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dialect {
    pub maria: bool,
    /// Major, minor, patch.
    pub version: (u16, u16, u16),
}

impl Dialect {
    /// From what `SELECT VERSION()` says: "9.7.4-2", "10.11.19-MariaDB-0+deb12u1".
    pub fn of(version: &str) -> Self {
        let maria = version.to_ascii_lowercase().contains("mariadb");
        let numbers = version.split(|c: char| !c.is_ascii_digit() && c != '.').next();
        let mut numbers = numbers.unwrap_or_default().split('.').map(|n| n.parse().unwrap_or(0));
        let mut next = || numbers.next().unwrap_or(0);
        Self { maria, version: (next(), next(), next()) }
    }

    /// The oldest that has what is used here: `VALUES … AS new`; keys of 3,072 bytes, invisible columns.
    pub fn oldest(self) -> (u16, u16, u16) {
        if self.maria { (10, 6, 0) } else { (8, 0, 19) }
    }

    pub fn name(self) -> String {
        let (major, minor, patch) = self.version;
        format!("{} {major}.{minor}.{patch}", if self.maria { "MariaDB" } else { "MySQL" })
    }

    /// Compares texts byte by byte, trailing blanks included.
    pub fn collation(self) -> &'static str {
        if self.maria { "utf8mb4_nopad_bin" } else { "utf8mb4_0900_bin" }
    }

    /// Keeps a column out of `SELECT *`; older MySQL reads a comment.
    pub fn invisible(self) -> &'static str {
        if self.maria { "INVISIBLE" } else { "/*!80023 INVISIBLE */" }
    }

    /// Follows the rows of an INSERT that has a conflict clause.
    pub fn rows_alias(self) -> &'static str {
        if self.maria { "" } else { " AS _new" }
    }

    /// In that clause: the column (quoted) as the row to be inserted has it.
    pub fn inserted(self, column: &str) -> String {
        if self.maria { format!("VALUES({column})") } else { format!("_new.{column}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_told_by_their_version() {
        for (text, maria, version) in [
            ("9.7.4-2", false, (9, 7, 4)),
            ("8.0.36", false, (8, 0, 36)),
            ("8.0.mysql_aurora.3.05.2", false, (8, 0, 0)),
            ("10.11.19-MariaDB-0+deb12u1", true, (10, 11, 19)),
            ("5.5.5-10.6.12-MariaDB", true, (5, 5, 5)),
            ("", false, (0, 0, 0)),
        ] {
            assert_eq!(Dialect::of(text), Dialect { maria, version }, "{text}");
        }
    }
}
