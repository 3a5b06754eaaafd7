//! What a crash leaves on a disk: some of what was not durable, and all that was.
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use crate::model::{DirModel, FileModel, Keep, Model, Node};
use crate::random::Random;

/// Files by folder and name; the root is the folder without a name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Image {
    dirs: BTreeMap<String, BTreeMap<String, Vec<u8>>>,
}

/// Which changes a crash leaves.
#[derive(Debug, Clone)]
pub enum Crash {
    /// None.
    Nothing,
    /// All, as after the end of the process.
    All,
    /// Those before a moment, as if the disk kept their order.
    UpTo(u64),
    /// Each with this probability in percent.
    Each(usize, Random),
}

impl Crash {
    /// Any one, for a disk that made `time` changes.
    pub fn any(random: &mut Random, time: u64) -> Self {
        match random.below(8) {
            0 => Self::Nothing,
            1 => Self::All,
            2 => Self::UpTo(time.saturating_sub(random.below(40) as u64)),
            3 => Self::Each(10, random.fork()),
            4 => Self::Each(90, random.fork()),
            5 => Self::Each(97, random.fork()),
            _ => Self::Each(50, random.fork()),
        }
    }
}

impl Keep for Crash {
    fn keep(&mut self, time: u64) -> bool {
        match self {
            Self::Nothing => false,
            Self::All => true,
            Self::UpTo(end) => time < *end,
            Self::Each(percent, random) => random.percent(*percent),
        }
    }

    fn length(&mut self, lengths: &[(u64, usize)]) -> usize {
        let chosen = match self {
            Self::Nothing => 0,
            Self::All => lengths.len() - 1,
            Self::UpTo(end) => lengths
                .iter()
                .rposition(|(time, _)| time < end)
                .unwrap_or(0),
            Self::Each(percent, random) => {
                if random.percent(*percent) {
                    lengths.len() - 1
                } else {
                    random.below(lengths.len())
                }
            }
        };
        lengths[chosen].1
    }
}

impl Image {
    /// What `crash` leaves of `model`.
    pub fn of(model: &Model, mut crash: Crash) -> Self {
        let mut image = Self::default();
        let mut waiting = vec![(String::new(), 0)];
        while let Some((path, dir)) = waiting.pop() {
            let mut files = BTreeMap::new();
            for (name, node) in model.dirs[dir].after_crash(&mut crash) {
                match node {
                    Node::Dir(dir) => waiting.push((name, dir)),
                    Node::File(file) => {
                        files.insert(name, model.files[file].after_crash(&mut crash));
                    }
                }
            }
            image.dirs.insert(path, files);
        }
        image
    }

    /// Writes it as real files below `root`, which must be empty.
    pub fn write(&self, root: &Path) -> std::io::Result<()> {
        for (dir, files) in &self.dirs {
            let path = root.join(dir);
            if !dir.is_empty() {
                fs::create_dir(&path)?;
            }
            for (name, content) in files {
                // What is not written is zeros.
                let end = content
                    .iter()
                    .rposition(|&byte| byte != 0)
                    .map_or(0, |last| last + 1);
                let path = path.join(name);
                fs::write(&path, &content[..end])?;
                if end < content.len() {
                    fs::File::options()
                        .write(true)
                        .open(&path)?
                        .set_len(content.len() as u64)?;
                }
            }
        }
        Ok(())
    }

    /// A disk on which all of it is durable.
    pub fn model(&self, now_ms: i64) -> Model {
        let mut model = Model::default();
        for (dir, files) in &self.dirs {
            let mut names = DirModel::default();
            for (name, content) in files {
                names
                    .durable
                    .insert(name.clone(), Node::File(model.files.len()));
                model
                    .files
                    .push(Arc::new(FileModel::durable(content.clone(), now_ms)));
            }
            names.live = names.durable.clone();
            if dir.is_empty() {
                model.dirs[0] = Arc::new(names);
                continue;
            }
            let node = Node::Dir(model.dirs.len());
            model.dirs.push(Arc::new(names));
            let root = Arc::make_mut(&mut model.dirs[0]);
            root.durable.insert(dir.clone(), node);
            root.live.insert(dir.clone(), node);
        }
        model
    }
}
