//! The latest offset of each key in the dirty part of a log, in bounded memory.
//!
//! A key is held as two 64-bit hashes under secret keys: no one can make two keys that are taken for
//! one, and by chance it does not happen (2^-128 for any two).
use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher, RandomState};

/// What a key takes in the table: its entry and a byte of the table's own.
const ENTRY_BYTES: usize = size_of::<(KeyHash, i64)>() + 1;

/// The hash of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct KeyHash([u64; 2]);

impl Hash for KeyHash {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0[0]);
    }
}

/// Takes the hash that a [`KeyHash`] is for the hash of it.
#[derive(Debug, Default)]
struct AsIs(u64);

impl Hasher for AsIs {
    fn write(&mut self, _: &[u8]) {
        unreachable!("a key's hash is written as a number");
    }
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
    fn finish(&self) -> u64 {
        self.0
    }
}

/// The latest offset of each key of the batches that were put in.
#[derive(Debug)]
pub(super) struct OffsetMap {
    latest: HashMap<KeyHash, i64, BuildHasherDefault<AsIs>>,
    secrets: [RandomState; 2],
    keys_max: usize,
    end: i64,
}

impl OffsetMap {
    /// A map for batches from offset `start` on that uses up to `bytes`, with room made for
    /// `expected` records.
    pub(super) fn new(start: i64, bytes: usize, expected: usize) -> Self {
        // Tables have a power of two of places, of which seven in eight are used.
        let places = (bytes / ENTRY_BYTES).checked_ilog2().map_or(1, |n| 1 << n);
        let keys_max = places / 8 * 7;
        Self {
            latest: HashMap::with_capacity_and_hasher(
                expected.min(keys_max),
                BuildHasherDefault::default(),
            ),
            secrets: [RandomState::new(), RandomState::new()],
            keys_max,
            end: start,
        }
    }

    /// Whether a batch of so many records surely fits. The first one always does, so that each pass
    /// gets on.
    pub(super) fn has_room(&self, records: i32) -> bool {
        let records = usize::try_from(records).unwrap_or_default();
        self.latest.is_empty() || self.latest.len().saturating_add(records) <= self.keys_max
    }

    /// Notes a key at an offset above all before.
    pub(super) fn put(&mut self, key: &[u8], offset: i64) {
        self.latest.insert(self.hash(key), offset);
    }

    /// The latest offset of a key.
    pub(super) fn latest(&self, key: &[u8]) -> Option<i64> {
        self.latest.get(&self.hash(key)).copied()
    }

    /// The offset that everything before has been put in.
    pub(super) fn end(&self) -> i64 {
        self.end
    }

    /// Says that everything before `end` has been put in.
    pub(super) fn advance(&mut self, end: i64) {
        self.end = self.end.max(end);
    }

    fn hash(&self, key: &[u8]) -> KeyHash {
        KeyHash([self.secrets[0].hash_one(key), self.secrets[1].hash_one(key)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_the_latest_offset_of_each_key() {
        let mut map = OffsetMap::new(5, 1 << 20, 10);
        for (offset, key) in (5..).zip([b"a".as_slice(), b"", b"a", b"b"]) {
            map.put(key, offset);
        }
        assert_eq!(map.latest(b"a"), Some(7));
        assert_eq!(map.latest(b""), Some(6));
        assert_eq!(map.latest(b"c"), None);
        assert_eq!(map.end(), 5);
        map.advance(9);
        assert_eq!(map.end(), 9);
    }

    #[test]
    fn is_full_before_it_grows_past_its_memory() {
        let bytes = 64 * 1024;
        let mut map = OffsetMap::new(0, bytes, usize::MAX);
        let room = map.latest.capacity();
        assert!(room * ENTRY_BYTES <= bytes && room * ENTRY_BYTES > bytes / 4);
        // One batch goes in whatever its size.
        assert!(map.has_room(i32::MAX));
        let mut keys = 0_i64;
        while map.has_room(10) {
            for _ in 0..10 {
                map.put(&keys.to_be_bytes(), keys);
                keys += 1;
            }
        }
        assert_eq!(map.latest.capacity(), room);
        assert!(keys as usize > room - 10);
    }
}
