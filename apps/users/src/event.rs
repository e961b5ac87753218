//! A user as one text: `name$address$year`. A `$` or `\` inside a field stands behind a `\`, so that no
//! name and no address can break a row; line breaks stand as they are.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::SchemaRef;
use millstream_engine::{Decoded, Decoder};
use millstream_topic::Outgoing;

use crate::pipeline::user;

/// One who registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub name: String,
    /// Lines are parted by line feeds.
    pub address: String,
    /// Four digits.
    pub year: String,
}

impl User {
    /// The record, keyed by the whole name.
    pub fn record(&self) -> Outgoing {
        Outgoing::keyed(self.name.clone(), self.text())
    }

    fn text(&self) -> String {
        let fields = [&self.name, &self.address, &self.year];
        fields.map(|field| field.replace('\\', r"\\").replace('$', r"\$")).join("$")
    }

    /// The error says what is wrong with the text.
    fn parse(text: &[u8]) -> Result<Self, String> {
        let text = str::from_utf8(text).map_err(|error| format!("it is not UTF-8: {error}"))?;
        let fields = split(text)?;
        let count = fields.len();
        let [name, address, year] = <[String; 3]>::try_from(fields)
            .map_err(|_| format!("it has {count} fields, not the 3 of name$address$year"))?;
        for (what, field) in [("name", &name), ("address", &address)] {
            if field.trim().is_empty() {
                return Err(format!("its {what} is empty"));
            }
        }
        // Rust reads `+1999`, too, hence the length.
        match year.parse::<u16>() {
            Ok(1900..=2100) if year.len() == 4 => Ok(Self { name, address, year }),
            _ => Err(format!("its year is {year:?}, not one from 1900 to 2100")),
        }
    }
}

fn split(text: &str) -> Result<Vec<String>, String> {
    let mut fields = vec![];
    let mut field = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '$' => fields.push(std::mem::take(&mut field)),
            '\\' => match characters.next() {
                Some(escaped @ ('$' | '\\')) => field.push(escaped),
                _ => return Err(r"it has a \ that stands before neither $ nor \".to_owned()),
            },
            other => field.push(other),
        }
    }
    fields.push(field);
    Ok(fields)
}

/// Users as texts, to columns.
#[derive(Clone, Copy, Debug)]
pub struct UserText;

impl Decoder for UserText {
    fn schema(&self) -> SchemaRef {
        user()
    }

    fn id(&self) -> String {
        "users 1".to_owned()
    }

    fn decode(&self, values: &[&[u8]]) -> Result<Decoded, String> {
        let users: Vec<User> =
            values.iter().map(|value| User::parse(value)).collect::<Result<_, _>>()?;
        let column = |field: fn(&User) -> &str| -> ArrayRef {
            Arc::new(StringArray::from_iter_values(users.iter().map(field)))
        };
        let (names, addresses) = (column(|user| &user.name), column(|user| &user.address));
        let columns = vec![names, addresses, column(|user| &user.year)];
        let batch = RecordBatch::try_new(user(), columns).map_err(|error| error.to_string())?;
        Ok(Decoded::one_to_one(batch))
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use proptest::prelude::*;

    use super::*;

    fn user(name: &str, address: &str, year: &str) -> User {
        User { name: name.to_owned(), address: address.to_owned(), year: year.to_owned() }
    }

    #[test]
    fn a_plain_user_reads_as_in_the_topic() {
        let ann = user("Ann Lee", "1 Main St\nReno, NV 89501", "1999");
        assert_eq!(ann.text(), "Ann Lee$1 Main St\nReno, NV 89501$1999");
        assert_eq!(User::parse(ann.text().as_bytes()), Ok(ann));
    }

    #[test]
    fn what_parts_fields_can_be_inside_of_one() {
        let odd = user(r"A$AP \ Rocky\", "$\n$$\\$", "2024");
        assert_eq!(odd.text(), r"A\$AP \\ Rocky\\$\$".to_owned() + "\n" + r"\$\$\\\$$2024");
        assert_eq!(User::parse(odd.text().as_bytes()), Ok(odd));
    }

    #[test]
    fn a_bad_text_is_told_what_is_wrong_with_it() {
        let cases: [(&[u8], &str); 10] = [
            (b"", "1 fields"),
            (b"Ann$1 Main St", "2 fields"),
            (b"Ann$1 Main St$1999$", "4 fields"),
            (b"$1 Main St$1999", "name is empty"),
            (b"Ann$ \n$1999", "address is empty"),
            (b"Ann$1 Main St$99", "year is \"99\""),
            (b"Ann$1 Main St$1899", "year is \"1899\""),
            (b"Ann$1 Main St$+199", "year is \"+199\""),
            (b"Ann$1 Main\\ St$1999", "a \\ that"),
            (b"Ann\xff$1 Main St$1999", "not UTF-8"),
        ];
        for (text, words) in cases {
            let error = User::parse(text).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn one_bad_value_fails_them_all() {
        let good: &[u8] = b"Ann$1 Main St$1999";
        assert_eq!(UserText.decode(&[good, good]).unwrap().batch.num_rows(), 2);
        assert!(UserText.decode(&[good, b"bad"]).is_err());
    }

    #[test]
    fn columns_hold_what_they_are_called() {
        let batch = UserText.decode(&[b"Ann$1 Main St$1999"]).unwrap().batch;
        for (column, value) in [("name", "Ann"), ("address", "1 Main St"), ("date", "1999")] {
            let found = batch.column_by_name(column).unwrap().as_string::<i32>().value(0);
            assert_eq!(found, value);
        }
    }

    proptest! {
        #[test]
        fn any_three_texts_come_back(name in any::<String>(), address in r"[\\$\n a]{0,12}", third in r"[$\\x]{0,5}|.*") {
            let sent = user(&name, &address, &third);
            prop_assert_eq!(split(&sent.text()), Ok(vec![name, address, third]));
        }
    }
}
