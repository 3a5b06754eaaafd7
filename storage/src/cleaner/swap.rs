//! How a cleaned segment takes the place of others on disk, so that after a crash at any point the
//! log is as before or as after. As Apache Kafka's `LocalLog.replaceSegments`, with an fsync of the
//! folder wherever the next step relies on the one before:
//!
//! ```text
//! 1. <base>.{log,index,timeindex}.cleaned    written and fsynced
//! 2. .cleaned -> .swap, the .log last        fsync of the folder: from here on there is no way back
//! 3. files of the other segments -> .deleted fsync: else they could outlive step 4, and lie twice
//! 4. .swap -> final names, the .log last     fsync
//! 5. the list of segments changes; .deleted files are unlinked by the reaper
//! ```
//!
//! A start ([`complete`]) removes `.cleaned` and `.deleted` files, and a `.log.swap` is taken through
//! steps 3 and 4: it holds all that is to be kept of the offsets from its base offset to its last.
use std::collections::BTreeSet;
use std::path::Path;

use crate::StorageError;
use crate::batches;
use crate::disk::DiskDir;
use crate::error::failed;
use crate::files::Files;
use crate::mapping::Mapping;
use crate::segment::file_name;

const CLEANED: &str = ".cleaned";
const SWAP: &str = ".swap";
const DELETED: &str = ".deleted";
/// The files of a segment that are swapped, in the order that they are renamed in.
const EXTENSIONS: [&str; 3] = ["index", "timeindex", "log"];

/// The name of a file that is being written.
pub(super) fn cleaned_name(base_offset: i64, extension: &str) -> String {
    file_name(base_offset, extension) + CLEANED
}

/// Names of the segment with this base offset that are to be unlinked after step 4.
pub(crate) fn deleted_names(base_offset: i64) -> impl Iterator<Item = String> {
    let deleted = EXTENSIONS.map(|extension| file_name(base_offset, extension) + DELETED);
    deleted
        .into_iter()
        .chain([file_name(base_offset, "snapshot")])
}

/// Whether a file is left over from a swap, by its name.
pub(crate) fn is_of_swap(name: &str) -> bool {
    [CLEANED, SWAP, DELETED]
        .iter()
        .any(|suffix| name.ends_with(suffix))
}

/// A swap under way. Its folder is open from the start: what has begun needs no other descriptor, and
/// so does not fail halfway for want of one.
#[derive(Debug)]
pub(crate) struct Swap<'a> {
    files: &'a Files,
    dir: &'a Path,
    folder: Box<dyn DiskDir>,
    base_offset: i64,
}

impl<'a> Swap<'a> {
    /// Of the segment in `dir` with this base offset, after step 1.
    pub(crate) fn begin(
        files: &'a Files,
        dir: &'a Path,
        base_offset: i64,
    ) -> Result<Self, StorageError> {
        Ok(Self {
            files,
            dir,
            folder: files.open_dir(dir)?,
            base_offset,
        })
    }

    /// Step 2.
    pub(crate) fn commit(&self) -> Result<(), StorageError> {
        for extension in EXTENSIONS {
            let name = file_name(self.base_offset, extension);
            self.rename(&(name.clone() + CLEANED), &(name + SWAP))?;
        }
        self.sync()
    }

    /// Steps 3 and 4. `others` are the base offsets of the segments that go without one in their
    /// place.
    pub(crate) fn finish(&self, others: &[i64]) -> Result<(), StorageError> {
        for other in others {
            for extension in EXTENSIONS {
                let name = file_name(*other, extension);
                rename_if_there(self.files, self.dir, &name, &(name.clone() + DELETED))?;
            }
        }
        if !others.is_empty() {
            self.sync()?;
        }
        for extension in EXTENSIONS {
            let name = file_name(self.base_offset, extension);
            self.rename(&(name.clone() + SWAP), &name)?;
        }
        self.sync()
    }

    /// Undoes steps 1 and 2, as long as the folder was not synced.
    pub(crate) fn undo(&self) -> Result<(), StorageError> {
        discard(self.files, self.dir, self.base_offset)?;
        self.sync()
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), StorageError> {
        rename(self.files, self.dir, from, to)
    }

    fn sync(&self) -> Result<(), StorageError> {
        self.folder.sync().map_err(failed("sync", self.dir))?;
        step::done(self.dir);
        Ok(())
    }
}

/// Removes what steps 1 and 2 made. The `.log.swap` goes first: without it nothing is done at a start.
pub(crate) fn discard(files: &Files, dir: &Path, base_offset: i64) -> Result<(), StorageError> {
    for extension in EXTENSIONS.into_iter().rev() {
        let name = file_name(base_offset, extension);
        files.remove(&dir.join(name.clone() + SWAP))?;
        files.remove(&dir.join(name + CLEANED))?;
    }
    Ok(())
}

/// What a start does with the files `left` of a swap that a crash came into; `bases` are the base
/// offsets of all segments.
pub(crate) fn complete(
    files: &Files,
    dir: &Path,
    left: &[String],
    bases: &[i64],
) -> Result<(), StorageError> {
    let log_swap = format!(".log{SWAP}");
    let swaps: BTreeSet<i64> = left
        .iter()
        .filter_map(|name| name.strip_suffix(&log_swap)?.parse().ok())
        .collect();
    for name in left {
        let base_offset = name.split_once('.').and_then(|(base, _)| base.parse().ok());
        let is_swap = name.ends_with(SWAP) && base_offset.is_some_and(|b| swaps.contains(&b));
        if !is_swap {
            files.remove(&dir.join(name))?;
            // Its log may have the final name already: then the index of that name is an old one. It
            // is built again from the batches.
            if let Some(index) = name.strip_suffix(SWAP) {
                files.remove(&dir.join(index))?;
            }
        }
    }
    for &base_offset in &swaps {
        let end_offset = end_offset(files, dir, base_offset)?;
        tracing::info!(dir = %dir.display(), base_offset, end_offset,
            "a crash came into the compaction of these offsets: it is completed");
        let replaced = bases
            .iter()
            .filter(|b| (base_offset..end_offset).contains(b));
        for &other in replaced {
            for extension in EXTENSIONS {
                // The log of this name stays until the new one takes its name.
                if other != base_offset || extension != "log" {
                    files.remove(&dir.join(file_name(other, extension)))?;
                }
            }
        }
        sync(files, dir)?;
        for extension in EXTENSIONS {
            let name = file_name(base_offset, extension);
            rename_if_there(files, dir, &(name.clone() + SWAP), &name)?;
        }
    }
    sync(files, dir)
}

/// Where the offsets that a `.log.swap` replaces end: its last batch is kept for that.
fn end_offset(files: &Files, dir: &Path, base_offset: i64) -> Result<i64, StorageError> {
    let path = dir.join(file_name(base_offset, "log") + SWAP);
    let length = files.info(&path)?.length as usize;
    let file = files.open(&path)?;
    let mapping = Mapping::readable(file.as_ref(), length).map_err(failed("map", &path))?;
    let last = batches::good_batches(mapping.bytes(), 0, base_offset).last();
    Ok(last.map_or(base_offset, |found| found.header.last_offset()) + 1)
}

fn rename(files: &Files, dir: &Path, from: &str, to: &str) -> Result<(), StorageError> {
    files.rename(&dir.join(from), &dir.join(to))?;
    step::done(dir);
    Ok(())
}

fn rename_if_there(files: &Files, dir: &Path, from: &str, to: &str) -> Result<(), StorageError> {
    match rename(files, dir, from, to) {
        Err(error) if error.source.kind() == std::io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

fn sync(files: &Files, dir: &Path) -> Result<(), StorageError> {
    files.sync_dir(dir)?;
    step::done(dir);
    Ok(())
}

#[cfg(not(test))]
mod step {
    pub(super) fn done(_: &std::path::Path) {}
}

/// Lets a test look at the folder after each step.
#[cfg(test)]
pub(crate) mod step {
    use std::cell::RefCell;
    use std::path::Path;

    type Look = Box<dyn FnMut(&Path)>;

    thread_local! {
        static LOOK: RefCell<Option<Look>> = const { RefCell::new(None) };
    }

    /// Calls `look` with the folder after each step of this thread.
    pub(crate) fn on_each(look: impl FnMut(&Path) + 'static) {
        LOOK.set(Some(Box::new(look)));
    }

    pub(super) fn done(dir: &Path) {
        LOOK.with_borrow_mut(|look| {
            if let Some(look) = look {
                look(dir);
            }
        });
    }
}
