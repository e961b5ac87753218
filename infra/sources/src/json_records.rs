use std::fmt;
use std::io::BufRead;

use serde::Deserializer as _;
use serde::de::{Error, SeqAccess, Visitor};
use serde_json::{Deserializer, Value};

pub(crate) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Gives every record to `take` until it says `false`: the elements of the one array the input is, or the
/// values that stand one after the other. Holds one record in memory. Errors tell line and column.
pub(crate) fn for_each_record(
    mut input: impl BufRead,
    array: bool,
    take: &mut dyn FnMut(Value) -> bool,
) -> Result<(), serde_json::Error> {
    skip_byte_order_mark(&mut input)?;
    if !array {
        for record in Deserializer::from_reader(input).into_iter() {
            if !take(record?) {
                break;
            }
        }
        return Ok(());
    }
    let mut stopped = false;
    let mut json = Deserializer::from_reader(input);
    match json.deserialize_seq(Elements { take, stopped: &mut stopped }) {
        Err(_) if stopped => Ok(()),
        Err(error) => Err(error),
        Ok(()) => json.end(),
    }
}

fn skip_byte_order_mark(input: &mut impl BufRead) -> Result<(), serde_json::Error> {
    let marked = input.fill_buf().map_err(serde_json::Error::io)?.starts_with(BYTE_ORDER_MARK);
    if marked {
        input.consume(BYTE_ORDER_MARK.len());
    }
    Ok(())
}

struct Elements<'a> {
    take: &'a mut dyn FnMut(Value) -> bool,
    stopped: &'a mut bool,
}

impl<'de> Visitor<'de> for Elements<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of records")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        while let Some(record) = elements.next_element()? {
            if !(self.take)(record) {
                *self.stopped = true;
                return Err(A::Error::custom("nobody reads any more"));
            }
        }
        Ok(())
    }
}
