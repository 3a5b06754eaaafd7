//! What a disk knows of files and folders: what is durable, and what was changed since.
use std::collections::BTreeMap;
use std::sync::Arc;

/// Bytes that a disk writes as a whole.
const SECTOR: usize = 512;

/// What a name stands for: places in [`Model::files`] and [`Model::dirs`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Node {
    File(usize),
    Dir(usize),
}

/// A change that may get lost.
#[derive(Debug, Clone)]
pub struct Change<T> {
    /// When it was made, counted over all of the disk.
    pub time: u64,
    pub what: T,
}

/// A change of a file.
#[derive(Debug, Clone)]
pub enum FileChange {
    Write { at: usize, data: Arc<[u8]> },
    Length(usize),
}

/// A file.
#[derive(Debug, Clone, Default)]
pub struct FileModel {
    pub durable: Vec<u8>,
    pub changes: Vec<Change<FileChange>>,
    pub length: usize,
    pub modified_ms: i64,
}

/// A change of names.
#[derive(Debug, Clone)]
pub enum NameChange {
    Put(String, Node),
    Remove(String),
    Rename(String, String, Node),
}

/// A folder.
#[derive(Debug, Clone, Default)]
pub struct DirModel {
    pub durable: BTreeMap<String, Node>,
    pub changes: Vec<Change<NameChange>>,
    pub live: BTreeMap<String, Node>,
}

/// All files and folders; the first folder is the root.
#[derive(Debug, Clone)]
pub struct Model {
    pub files: Vec<Arc<FileModel>>,
    pub dirs: Vec<Arc<DirModel>>,
    pub time: u64,
}

impl Default for Model {
    fn default() -> Self {
        Self {
            files: Vec::new(),
            dirs: vec![Arc::default()],
            time: 0,
        }
    }
}

/// Decides for each change, or for a sector of it, whether it outlives the crash.
pub trait Keep {
    fn keep(&mut self, time: u64) -> bool;
    /// Which of `lengths` a file has, in the order in which it had them.
    fn length(&mut self, lengths: &[(u64, usize)]) -> usize;
}

impl FileModel {
    /// A file that is all durable.
    pub fn durable(content: Vec<u8>, modified_ms: i64) -> Self {
        Self {
            length: content.len(),
            durable: content,
            changes: Vec::new(),
            modified_ms,
        }
    }

    /// Makes durable what a sync makes durable.
    pub fn commit(&mut self) {
        for change in std::mem::take(&mut self.changes) {
            match change.what {
                FileChange::Write { at, data } => put(&mut self.durable, at, &data),
                FileChange::Length(length) => self.durable.resize(length, 0),
            }
        }
    }

    /// A sync failed: some changes are durable, and no later sync makes the others so.
    pub fn fail_to_commit(&mut self, keep: &mut dyn Keep) {
        self.durable = self.after_crash(keep);
        self.changes.clear();
    }

    /// What a crash leaves of it.
    pub fn after_crash(&self, keep: &mut dyn Keep) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        let mut length = bytes.len();
        let mut lengths = vec![(0, length)];
        for change in &self.changes {
            match &change.what {
                FileChange::Write { at, data } => {
                    let mut from = 0;
                    while from < data.len() {
                        let to = ((at + from) / SECTOR + 1) * SECTOR - at;
                        let to = to.min(data.len());
                        if keep.keep(change.time) {
                            put(&mut bytes, at + from, &data[from..to]);
                        }
                        from = to;
                    }
                    length = length.max(at + data.len());
                }
                FileChange::Length(new) => {
                    length = *new;
                    if keep.keep(change.time) && bytes.len() > *new {
                        bytes[*new..].fill(0);
                    }
                }
            }
            lengths.push((change.time, length));
        }
        bytes.resize(keep.length(&lengths), 0);
        bytes
    }
}

fn put(bytes: &mut Vec<u8>, at: usize, data: &[u8]) {
    if bytes.len() < at + data.len() {
        bytes.resize(at + data.len(), 0);
    }
    bytes[at..at + data.len()].copy_from_slice(data);
}

impl DirModel {
    /// Makes durable what a sync makes durable.
    pub fn commit(&mut self) {
        for change in std::mem::take(&mut self.changes) {
            apply(&mut self.durable, &change.what);
        }
    }

    /// What a crash leaves of it.
    pub fn after_crash(&self, keep: &mut dyn Keep) -> BTreeMap<String, Node> {
        let mut names = self.durable.clone();
        for change in &self.changes {
            if keep.keep(change.time) {
                apply(&mut names, &change.what);
            }
        }
        names
    }
}

/// Changes names.
pub fn apply(names: &mut BTreeMap<String, Node>, change: &NameChange) {
    match change {
        NameChange::Put(name, node) => {
            names.insert(name.clone(), *node);
        }
        NameChange::Remove(name) => {
            names.remove(name);
        }
        NameChange::Rename(from, to, node) => {
            names.remove(from);
            names.insert(to.clone(), *node);
        }
    }
}
