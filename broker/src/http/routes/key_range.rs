//! Ranges of keys, pages of rows, and the cursors between pages.
//!
//! A cursor names the last key of its page, not a number of rows: rows that come or go between two
//! pages move nothing else out of sight or into it twice.
use std::ops::Bound;

use projection::{Row, Table};

use crate::http::base64;

/// Rows taken at one look at a table.
const LOOK: usize = 128;
/// Bytes of rows after which a page ends early.
const PAGE_BYTES: usize = 1 << 20;
/// Longest key that a cursor names in full: a longer one would not fit into the head of a request.
pub(super) const KEY_BYTES: usize = 4 << 10;

/// Keys between two bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeyRange {
    from: Bound<Vec<u8>>,
    to: Bound<Vec<u8>>,
}

/// Some rows, and where to go on.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) rows: Vec<Row>,
    pub(super) cursor: Option<String>,
}

impl KeyRange {
    /// All keys.
    pub(super) fn all() -> Self {
        Self {
            from: Bound::Unbounded,
            to: Bound::Unbounded,
        }
    }

    /// Only keys from `key` on.
    pub(super) fn from(self, key: &[u8]) -> Self {
        self.raise(Bound::Included(key.to_vec()))
    }

    /// Only keys below `key`.
    pub(super) fn below(mut self, key: &[u8]) -> Self {
        let lower = match &self.to {
            Bound::Excluded(to) | Bound::Included(to) => key < to.as_slice(),
            Bound::Unbounded => true,
        };
        if lower {
            self.to = Bound::Excluded(key.to_vec());
        }
        self
    }

    /// Only keys that begin with `prefix`.
    pub(super) fn beginning_with(self, prefix: &[u8]) -> Self {
        let range = self.from(prefix);
        match end_of_prefix(prefix) {
            Some(end) => range.below(&end),
            None => range,
        }
    }

    /// Only keys after the page that ended with this cursor.
    pub(super) fn after_cursor(self, cursor: &str) -> Option<Self> {
        let bytes = base64::from_url_safe(cursor.get(1..)?)?;
        match cursor.as_bytes()[0] {
            b'k' => Some(self.raise(Bound::Excluded(bytes))),
            b'f' => Some(self.raise(Bound::Included(bytes))),
            _ => None,
        }
    }

    /// Only keys after `key`.
    pub(super) fn after(self, key: &[u8]) -> Self {
        self.raise(Bound::Excluded(key.to_vec()))
    }

    fn raise(mut self, bound: Bound<Vec<u8>>) -> Self {
        let place = |bound: &Bound<Vec<u8>>| match bound {
            Bound::Unbounded => None,
            Bound::Included(key) => Some((key.clone(), false)),
            Bound::Excluded(key) => Some((key.clone(), true)),
        };
        if place(&bound) > place(&self.from) {
            self.from = bound;
        }
        self
    }

    /// The first `limit` rows, at one look. A table may panic over bounds that are out of order.
    pub(super) fn look(&self, table: &dyn Table, limit: usize) -> Vec<Row> {
        let (from, to) = (as_slice(&self.from), as_slice(&self.to));
        if let (
            Bound::Included(low) | Bound::Excluded(low),
            Bound::Included(high) | Bound::Excluded(high),
        ) = (from, to)
            && low >= high
        {
            return Vec::new();
        }
        table.scan(from, to, limit)
    }

    /// The first rows: `limit` of them, or fewer if they are large.
    pub(super) fn page(self, table: &dyn Table, limit: usize) -> Page {
        let (mut rows, mut bytes): (Vec<Row>, usize) = (Vec::new(), 0);
        let mut rest = self;
        loop {
            // One more than are wanted tells whether there are any.
            let wanted = (limit - rows.len() + 1).min(LOOK);
            let found = rest.look(table, wanted);
            let ended = found.len() < wanted;
            for row in found {
                if let Some(last) = rows.last()
                    && (rows.len() == limit || bytes >= PAGE_BYTES)
                {
                    let cursor = cursor(&last.key, &row.key);
                    return Page { rows, cursor };
                }
                bytes += row.key.len() + row.value.len();
                rows.push(row);
            }
            match rows.last() {
                Some(last) if !ended => rest = rest.after(&last.key),
                _ => return Page { rows, cursor: None },
            }
        }
    }
}

fn as_slice(bound: &Bound<Vec<u8>>) -> Bound<&[u8]> {
    match bound {
        Bound::Included(key) => Bound::Included(key),
        Bound::Excluded(key) => Bound::Excluded(key),
        Bound::Unbounded => Bound::Unbounded,
    }
}

/// The first key after all that begin with `prefix`; `None` if there is no end.
fn end_of_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte < 0xff)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

/// The cursor between two neighbours. After a long key it is the shortest text that lies between
/// them; keys that differ only beyond [`KEY_BYTES`] are not told apart, and the rest of them is
/// passed over: a page must never lead back to itself.
fn cursor(last: &[u8], next: &[u8]) -> Option<String> {
    if last.len() <= KEY_BYTES {
        return Some(format!("k{}", base64::url_safe(last)));
    }
    let same = last.iter().zip(next).take_while(|(a, b)| a == b).count();
    let between = if same < KEY_BYTES {
        next[..=same].to_vec()
    } else {
        end_of_prefix(&next[..KEY_BYTES])?
    };
    Some(format!("f{}", base64::url_safe(&between)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::routes::views::tests::Rows;

    fn keys(page: &Page) -> Vec<String> {
        let keys = page.rows.iter().map(|row| row.key.to_vec());
        keys.map(|key| String::from_utf8(key).unwrap()).collect()
    }

    fn walk(rows: &Rows, range: &KeyRange, limit: usize) -> Vec<String> {
        let (mut found, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let range = match &cursor {
                Some(cursor) => range.clone().after_cursor(cursor).unwrap(),
                None => range.clone(),
            };
            let page = range.page(rows, limit);
            assert!(page.rows.len() <= limit);
            found.extend(keys(&page));
            cursor = page.cursor;
            if cursor.is_none() {
                return found;
            }
        }
    }

    #[test]
    fn pages_of_any_size_hold_every_row_once() {
        let names: Vec<String> = (0..300).map(|n| format!("{n:03}")).collect();
        let rows = Rows::of(names.iter().map(String::as_str));
        for limit in [1, 7, 127, 128, 129, 299, 300, 301] {
            assert_eq!(walk(&rows, &KeyRange::all(), limit), names, "{limit}");
        }
        let exact = KeyRange::all().page(&rows, 300);
        assert_eq!((exact.rows.len(), exact.cursor), (300, None));
    }

    #[test]
    fn bounds_narrow_each_other_and_may_cross() {
        let rows = Rows::of(["a", "ab", "abc", "b", "c\u{ff}"]);
        let found = |range: &KeyRange| walk(&rows, range, 2);
        let all = KeyRange::all;
        assert_eq!(found(&all().beginning_with(b"ab")), ["ab", "abc"]);
        assert_eq!(found(&all().beginning_with(b"")).len(), 5);
        assert_eq!(
            found(&all().beginning_with(b"a").from(b"ab").below(b"abc")),
            ["ab"]
        );
        assert_eq!(
            found(&all().below(b"b").below(b"z").from(b"ab").from(b"a")),
            ["ab", "abc"]
        );
        assert_eq!(found(&all().from(b"b").below(b"a")), [""; 0]);
        assert_eq!(found(&all().after(b"b").below(b"b")), [""; 0]);
        assert_eq!(end_of_prefix(b"a\xff\xff"), Some(b"b".to_vec()));
        assert_eq!(end_of_prefix(b"\xff"), None);
    }

    #[test]
    fn rows_that_come_and_go_between_pages_move_no_others() {
        let rows = Rows::of(["b", "d", "f", "h"]);
        let first = KeyRange::all().page(&rows, 2);
        assert_eq!(keys(&first), ["b", "d"]);
        rows.put("a", 9);
        rows.put("e", 10);
        rows.remove("d");
        let range = KeyRange::all()
            .after_cursor(&first.cursor.unwrap())
            .unwrap();
        assert_eq!(keys(&range.page(&rows, 9)), ["e", "f", "h"]);
    }

    #[test]
    fn long_keys_have_short_cursors_and_large_rows_short_pages() {
        let long = |last: &str| format!("{}{last}", "x".repeat(KEY_BYTES - 1));
        let names = [long("a1"), long("b1"), long("c1"), "y".to_owned()];
        let rows = Rows::of(names.iter().map(String::as_str));
        let page = KeyRange::all().page(&rows, 1);
        assert!(page.cursor.unwrap().len() < 6000);
        assert_eq!(walk(&rows, &KeyRange::all(), 1), names);
        // Differing only beyond what a cursor holds: passed over, but the walk ends.
        let twins = [long("a1"), long("a2"), long("a3"), "y".to_owned()];
        let rows = Rows::of(twins.iter().map(String::as_str));
        assert_eq!(
            walk(&rows, &KeyRange::all(), 2),
            [0, 1, 3].map(|n: usize| twins[n].clone())
        );

        let names: Vec<String> = (0..40)
            .map(|n| format!("{n}{}", "z".repeat(64 << 10)))
            .collect();
        let rows = Rows::of(names.iter().map(String::as_str));
        assert!(KeyRange::all().page(&rows, 1000).rows.len() < 20);
        assert_eq!(walk(&rows, &KeyRange::all(), 1000).len(), 40);
    }

    #[test]
    fn other_cursors_are_refused() {
        for bad in ["", "k*", "xQQ", "ä", "kA"] {
            assert_eq!(KeyRange::all().after_cursor(bad), None, "{bad}");
        }
    }
}
