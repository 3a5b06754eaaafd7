//! The rows that changed since the last commit, in the order in which they were first touched.
use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;

/// A row that changed.
#[derive(Debug)]
pub(crate) struct Change<R> {
    pub(crate) key: Box<[u8]>,
    pub(crate) row: R,
    pub(crate) timestamp: i64,
}

/// The changes. The hash table is only an index into them: its order shows nowhere.
#[derive(Debug)]
pub(crate) struct Overlay<R> {
    changes: Vec<Change<R>>,
    by_key: HashTable<usize>,
    hasher: RandomState,
    key_bytes: usize,
}

impl<R> Default for Overlay<R> {
    fn default() -> Self {
        Self {
            changes: Vec::new(),
            by_key: HashTable::new(),
            hasher: RandomState::new(),
            key_bytes: 0,
        }
    }
}

impl<R> Overlay<R> {
    pub(crate) fn get_mut(&mut self, key: &[u8]) -> Option<&mut Change<R>> {
        let same = |index: &usize| *self.changes[*index].key == *key;
        let index = *self.by_key.find(self.hasher.hash_one(key), same)?;
        Some(&mut self.changes[index])
    }

    /// Adds a change of a key that has none.
    pub(crate) fn insert(&mut self, key: &[u8], row: R, timestamp: i64) {
        let index = self.changes.len();
        self.changes.push(Change {
            key: key.into(),
            row,
            timestamp,
        });
        self.key_bytes += key.len();
        let (hasher, changes) = (&self.hasher, &self.changes);
        let hash = |index: &usize| hasher.hash_one(&*changes[*index].key);
        self.by_key.insert_unique(hasher.hash_one(key), index, hash);
    }

    pub(crate) fn iter(&self) -> std::slice::Iter<'_, Change<R>> {
        self.changes.iter()
    }

    /// Takes the changes out.
    pub(crate) fn drain(&mut self) -> std::vec::Drain<'_, Change<R>> {
        self.by_key.clear();
        self.key_bytes = 0;
        self.changes.drain(..)
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.changes.capacity() * size_of::<Change<R>>()
            + self.by_key.allocation_size()
            + self.key_bytes
    }
}
