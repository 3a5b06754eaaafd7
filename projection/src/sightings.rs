//! The event ids that were seen in one partition, in the order of their offsets.
use std::collections::VecDeque;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use sha2::{Digest, Sha256};

/// The first 16 bytes of an event id's SHA-256: short ids of all sizes alike, and nobody finds two
/// that collide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Id(u128);

impl Id {
    fn new(event_id: &str) -> Self {
        let hash: [u8; 32] = Sha256::digest(event_id.as_bytes()).into();
        let (first, _) = hash.split_first_chunk().expect("32 bytes have 16");
        Self(u128::from_be_bytes(*first))
    }

    fn hash(self) -> u64 {
        self.0 as u64
    }
}

/// One sighting of an event.
#[derive(Debug, Clone, Copy)]
struct Sighting {
    id: Id,
    /// Stream time with this record: never falls from one sighting to the next.
    stamp: i64,
    offset: i64,
}

/// Sightings in blocks, so that a long queue grows without being copied.
const BLOCK: usize = 256;

/// The sightings of one partition. They are numbered; the numbers wrap around, so that there may
/// be 2^32 at a time.
#[derive(Debug, Default)]
pub(crate) struct Sightings {
    blocks: VecDeque<Vec<Sighting>>,
    /// Sightings at the start of the first block that are forgotten.
    gone: usize,
    /// Number of the first one.
    first: u32,
    /// Number after the last one.
    end: u32,
    /// Number of the last sighting of each id.
    last: HashTable<u32>,
    /// For each sighting since the last commit, the one of the same id before it.
    undo: Vec<Option<u32>>,
}

impl Sightings {
    /// Number after the last one.
    pub(crate) fn end(&self) -> u32 {
        self.end
    }

    /// Stamp and offset of a sighting between the first one and the end.
    pub(crate) fn at(&self, number: u32) -> (i64, i64) {
        let sighting = find(&self.blocks, self.gone, self.first, number);
        (sighting.stamp, sighting.offset)
    }

    /// Notes a sighting; the stamp of the same id before, if it is known.
    pub(crate) fn push(&mut self, event_id: &str, stamp: i64, offset: i64) -> Option<i64> {
        let id = Id::new(event_id);
        let number = self.end;
        let (blocks, gone, first) = (&self.blocks, self.gone, self.first);
        let known = |number: u32| find(blocks, gone, first, number);
        let same = |other: &u32| known(*other).id == id;
        let entry = self
            .last
            .entry(id.hash(), same, |other| known(*other).id.hash());
        let before = match entry {
            Entry::Occupied(mut entry) => Some(std::mem::replace(entry.get_mut(), number)),
            Entry::Vacant(entry) => {
                entry.insert(number);
                None
            }
        };
        let stamp_before = before.map(|number| known(number).stamp);
        self.undo.push(before);
        if self.blocks.back().is_none_or(|block| block.len() == BLOCK) {
            self.blocks.push_back(Vec::with_capacity(BLOCK));
        }
        let block = self.blocks.back_mut().expect("there is one now");
        block.push(Sighting { id, stamp, offset });
        self.end = number.wrapping_add(1);
        stamp_before
    }

    /// Keeps all sightings since the last commit, and forgets those before `live`.
    pub(crate) fn commit(&mut self, live: u32) {
        self.undo.clear();
        while self.first != live {
            let sighting = *find(&self.blocks, self.gone, self.first, self.first);
            let first = self.first;
            let entry = self
                .last
                .find_entry(sighting.id.hash(), |number| *number == first);
            // Absent when the event was seen again since.
            if let Ok(entry) = entry {
                entry.remove();
            }
            self.first = first.wrapping_add(1);
            self.gone += 1;
            if self.gone == BLOCK {
                self.blocks.pop_front();
                self.gone = 0;
            }
        }
    }

    /// Takes back all sightings since the last commit.
    pub(crate) fn rollback(&mut self) {
        while let Some(before) = self.undo.pop() {
            let number = self.end.wrapping_sub(1);
            let id = find(&self.blocks, self.gone, self.first, number).id;
            let entry = self.last.find_entry(id.hash(), |known| *known == number);
            let mut entry = entry.expect("the last sighting of an id is in the table");
            match before {
                Some(before) => *entry.get_mut() = before,
                None => _ = entry.remove(),
            }
            let block = self.blocks.back_mut().expect("the sighting is in it");
            block.pop();
            if block.is_empty() {
                self.blocks.pop_back();
            }
            self.end = number;
        }
    }

    /// Bytes of memory, roughly.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.blocks.len() * BLOCK * size_of::<Sighting>()
            + self.last.allocation_size()
            + self.undo.capacity() * size_of::<Option<u32>>()
    }
}

fn find(blocks: &VecDeque<Vec<Sighting>>, gone: usize, first: u32, number: u32) -> &Sighting {
    let at = gone + number.wrapping_sub(first) as usize;
    &blocks[at / BLOCK][at % BLOCK]
}
