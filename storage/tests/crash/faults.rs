//! What a disk may do wrong, and what storage may do wrong.
use std::io;

/// A kind of operation that can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    Sync,
    Create,
    Rename,
    Allocate,
    Write {
        grows: bool,
    },
    /// Fewer bytes than given are written, which is no error.
    ShortWrite,
}

/// Faults to come.
#[derive(Debug, Default)]
pub struct Faults {
    /// Nothing that takes space works.
    pub full: bool,
    /// The kind of operation that fails next, and how many of that kind go well before.
    pub armed: Option<(Fault, usize)>,
    /// How many operations failed.
    pub fired: u64,
}

impl Faults {
    /// Whether the operation at hand goes well.
    pub fn check(&mut self, what: Fault) -> io::Result<()> {
        let takes_space = match what {
            Fault::Create | Fault::Allocate => true,
            Fault::Write { grows } => grows,
            _ => false,
        };
        if self.full && takes_space {
            self.fired += 1;
            return Err(io::Error::from_raw_os_error(libc::ENOSPC));
        }
        if let Some((kind, wait)) = self.armed
            && std::mem::discriminant(&kind) == std::mem::discriminant(&what)
        {
            self.armed = (wait > 0).then(|| (kind, wait - 1));
            if wait == 0 {
                self.fired += 1;
                return Err(io::Error::from_raw_os_error(libc::EIO));
            }
        }
        Ok(())
    }
}

/// A mistake that storage could make, made below it: the harness must find each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// A file takes another one's name before its content is durable.
    NoSyncBeforeRename,
    /// Names are taken to be durable with the files.
    NoFolderSync,
    /// A sync that failed is tried again, and believed.
    SyncTriedAgain,
    /// An append is acknowledged before it is durable.
    AcknowledgedBeforeSync,
    /// Segments that were compacted away are taken off the disk before the name of the one in their
    /// place is durable.
    NoFolderSyncInSwap,
    /// A compacted segment takes the place of others before its content is durable.
    NoSyncOfCleaned,
    /// The index of aborted transactions is believed after a crash, and was not durable.
    NoSyncOfAborted,
    /// The recovery points are written before what lies below them is durable.
    RecoveryPointsAhead,
}
