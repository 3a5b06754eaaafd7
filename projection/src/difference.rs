//! Two tables side by side: what turns one into the other.
use std::iter::Peekable;
use std::ops::Bound;

use crate::{Row, Table};

/// Rows that are fetched at a time.
const PAGE: usize = 1024;

/// All rows of a table, in the order of the keys.
pub(crate) struct Pages<'a> {
    table: &'a dyn Table,
    last: Option<Box<[u8]>>,
    page: std::vec::IntoIter<Row>,
}

impl<'a> Pages<'a> {
    pub(crate) fn new(table: &'a dyn Table) -> Self {
        Self {
            table,
            last: None,
            page: Vec::new().into_iter(),
        }
    }
}

impl Iterator for Pages<'_> {
    type Item = Row;

    fn next(&mut self) -> Option<Row> {
        if self.page.len() == 0 {
            let from = self
                .last
                .as_deref()
                .map_or(Bound::Unbounded, Bound::Excluded);
            self.page = self.table.scan(from, Bound::Unbounded, PAGE).into_iter();
        }
        let row = self.page.next()?;
        if self.page.len() == 0 {
            self.last = Some(row.key.clone());
        }
        Some(row)
    }
}

/// Goes through two tables in the order of the keys; `each` gets what either has of a key.
pub(crate) fn side_by_side<'k, T>(
    mine: impl Iterator<Item = (&'k [u8], T)>,
    other: &dyn Table,
    mut each: impl FnMut(&[u8], Option<T>, Option<Row>),
) {
    let mut other: Peekable<Pages<'_>> = Pages::new(other).peekable();
    for (key, row) in mine {
        while let Some(before) = other.next_if(|theirs| *theirs.key < *key) {
            let key = before.key.clone();
            each(&key, None, Some(before));
        }
        let same = other.next_if(|theirs| *theirs.key == *key);
        each(key, Some(row), same);
    }
    for after in other {
        let key = after.key.clone();
        each(&key, None, Some(after));
    }
}
