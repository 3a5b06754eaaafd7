//! The committed rows of a view.
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Bound;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::{Row, Table, json};

/// A row without its key.
#[derive(Debug)]
pub(crate) struct Stored<R> {
    pub(crate) row: R,
    pub(crate) timestamp: i64,
    pub(crate) offset: i64,
}

impl<R: Serialize> Stored<R> {
    pub(crate) fn to_row(&self, key: &[u8]) -> Row {
        Row {
            key: key.into(),
            value: json::value(key, &self.row),
            timestamp: self.timestamp,
            offset: self.offset,
        }
    }
}

/// Rows in the order of their keys.
pub(crate) type ByKey<R> = BTreeMap<Box<[u8]>, Stored<R>>;

/// The rows, and how many bytes their keys have.
#[derive(Debug)]
pub(crate) struct Content<R> {
    pub(crate) by_key: ByKey<R>,
    key_bytes: usize,
}

impl<R> Content<R> {
    pub(crate) fn insert(&mut self, key: Box<[u8]>, stored: Stored<R>) {
        match self.by_key.entry(key) {
            Entry::Occupied(mut entry) => *entry.get_mut() = stored,
            Entry::Vacant(entry) => {
                self.key_bytes += entry.key().len();
                entry.insert(stored);
            }
        }
    }

    pub(crate) fn remove(&mut self, key: &[u8]) {
        if self.by_key.remove(key).is_some() {
            self.key_bytes -= key.len();
        }
    }
}

/// The committed rows, shared between the thread that writes them and those that read.
#[derive(Debug)]
pub(crate) struct Rows<R>(RwLock<Content<R>>);

impl<R> Default for Rows<R> {
    fn default() -> Self {
        let content = Content {
            by_key: BTreeMap::new(),
            key_bytes: 0,
        };
        Self(RwLock::new(content))
    }
}

impl<R> Rows<R> {
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Content<R>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, Content<R>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        /// What the allocator adds to a key: its header, and half of its steps of 16 bytes.
        const ALLOCATION: usize = 16;
        let content = self.read();
        // Nodes of a B-tree are about two thirds full.
        let entry = (size_of::<Box<[u8]>>() + size_of::<Stored<R>>()) * 3 / 2;
        content.by_key.len() * (entry + ALLOCATION) + content.key_bytes
    }
}

impl<R: Serialize + Send + Sync> Table for Rows<R> {
    fn get(&self, key: &[u8]) -> Option<Row> {
        self.read().by_key.get(key).map(|stored| stored.to_row(key))
    }

    fn scan(&self, from: Bound<&[u8]>, to: Bound<&[u8]>, limit: usize) -> Vec<Row> {
        if is_empty(from, to) {
            return Vec::new();
        }
        let content = self.read();
        let rows = content.by_key.range::<[u8], _>((from, to));
        rows.take(limit)
            .map(|(key, stored)| stored.to_row(key))
            .collect()
    }

    fn len(&self) -> usize {
        self.read().by_key.len()
    }

    fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        for (key, stored) in &self.read().by_key {
            hash.update(key);
            hash.update(b"\t");
            hash.update(json::value(key, &stored.row));
            hash.update(b"\n");
        }
        hash.finalize().into()
    }
}

/// Whether nothing can lie between the bounds: the map panics at some of these.
fn is_empty(from: Bound<&[u8]>, to: Bound<&[u8]>) -> bool {
    match (from, to) {
        (Bound::Included(from), Bound::Included(to)) => from > to,
        (Bound::Included(from) | Bound::Excluded(from), Bound::Excluded(to))
        | (Bound::Excluded(from), Bound::Included(to)) => from >= to,
        _ => false,
    }
}
