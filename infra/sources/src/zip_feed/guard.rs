//! Reads no more than a feed may cost: against zip bombs, and records without end.

use std::cell::{Cell, RefCell};
use std::io::{self, Read};
use std::rc::Rc;

use super::Limits;

/// From here on the ratio counts: short texts may be packed well.
const RATIO_FROM: u64 = 10_000_000;

/// What the reader's side is told by the parser's, and the other way round.
#[derive(Debug, Default)]
pub(super) struct Account {
    /// Bytes since the record in hand began.
    of_record: Cell<u64>,
    /// Why no more is read.
    refused: RefCell<Option<String>>,
}

impl Account {
    pub(super) fn next_record(&self) {
        self.of_record.set(0);
    }

    pub(super) fn refused(&self) -> Option<String> {
        self.refused.borrow().clone()
    }

    fn refuse(&self, why: String) -> io::Error {
        self.refused.replace(Some(why.clone()));
        io::Error::other(why)
    }
}

/// A reader that counts.
pub(super) struct Guarded<R> {
    inner: R,
    limits: Limits,
    /// Bytes it is packed in; `None`: it isn't packed.
    packed: Option<u64>,
    read: u64,
    account: Rc<Account>,
}

impl<R> Guarded<R> {
    pub(super) fn new(inner: R, limits: Limits, packed: Option<u64>, account: Rc<Account>) -> Self {
        Self { inner, limits, packed, read: 0, account }
    }
}

impl<R: Read> Read for Guarded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        let (account, limits) = (&self.account, &self.limits);
        self.read += n as u64;
        account.of_record.set(account.of_record.get() + n as u64);
        if self.read > limits.json_bytes {
            let most = limits.json_bytes;
            return Err(account.refuse(format!("unpacked, it has more than {most} bytes")));
        }
        let bomb = |packed: u64| self.read > packed.saturating_mul(limits.ratio);
        if self.read > RATIO_FROM && self.packed.is_some_and(bomb) {
            let most = limits.ratio;
            return Err(account.refuse(format!(
                "unpacked, it has more than {most} times the bytes: this may be a zip bomb"
            )));
        }
        // What is read ahead may belong to the record after this one.
        if account.of_record.get() > limits.record_bytes + super::records::AHEAD as u64 {
            let most = limits.record_bytes;
            return Err(account.refuse(format!("one of its records has more than {most} bytes")));
        }
        Ok(n)
    }
}
