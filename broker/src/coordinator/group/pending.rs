//! Member ids that were given out (MEMBER_ID_REQUIRED) and that nobody has used yet.
use std::collections::HashMap;
use std::sync::Arc;

/// An id's place, besides its text.
const EACH: usize = 96;

/// The ids of a group, and when each is forgotten.
#[derive(Debug, Default)]
pub struct Pending {
    until: HashMap<Arc<str>, u64>,
    bytes: usize,
}

impl Pending {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.until.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.until.len()
    }

    /// Memory that they take.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The same, reckoned anew.
    #[cfg(test)]
    pub fn recount(&self) -> usize {
        self.until.keys().map(|id| EACH + id.len()).sum()
    }

    /// Whether the id is one of them.
    pub fn contains(&self, id: &str) -> bool {
        self.until.contains_key(id)
    }

    /// Adds one, which is new.
    pub fn insert(&mut self, id: Arc<str>, at_ms: u64) {
        self.bytes += EACH + id.len();
        self.until.insert(id, at_ms);
    }

    /// Takes one out; whether it was there.
    pub fn remove(&mut self, id: &str) -> bool {
        let there = self.until.remove(id).is_some();
        if there {
            self.bytes -= EACH + id.len();
            self.give_back();
        }
        there
    }

    /// Forgets those whose time has come; whether there were any.
    pub fn expire(&mut self, now_ms: u64) -> bool {
        let before = self.until.len();
        let bytes = &mut self.bytes;
        self.until.retain(|id, at_ms| {
            let stays = *at_ms > now_ms;
            if !stays {
                *bytes -= EACH + id.len();
            }
            stays
        });
        self.give_back();
        self.until.len() < before
    }

    /// Forgets the one whose time comes first.
    pub fn forget_oldest(&mut self) {
        let oldest = self.until.iter().min_by_key(|(_, at_ms)| **at_ms);
        if let Some(id) = oldest.map(|(id, _)| Arc::clone(id)) {
            self.remove(&id);
        }
    }

    /// When each is forgotten.
    pub fn times(&self) -> impl Iterator<Item = u64> {
        self.until.values().copied()
    }

    fn give_back(&mut self) {
        if self.until.is_empty() {
            self.until = HashMap::new();
        }
    }
}
