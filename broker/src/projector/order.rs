//! What a view can be told to do.
use projection::Reason;
use serde::Serialize;

/// Something that a view's thread is to do between two commits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// Stop reading until told to go on.
    Pause,
    /// Go on.
    Resume,
    /// Build a new generation from the earliest offset.
    Rebuild {
        /// Even if records of the source that the serving generation knew are gone.
        accept_loss: bool,
        /// Keep the new generation beside the old one until it is promoted by hand.
        hold: bool,
    },
    /// Put the generation that was built in the place of the serving one, at once or as soon as it
    /// has caught up.
    Promote,
    /// Compute the digest of the rows.
    Digest,
    /// Apply dead letters after all.
    Redrive(Selection),
}

/// Dead letters that were chosen: all that meet every condition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Of this reason.
    pub reason: Option<Reason>,
    /// Whose record has a timestamp from this on, epoch ms.
    pub from_ms: Option<i64>,
    /// Whose record has a timestamp below this, epoch ms.
    pub to_ms: Option<i64>,
    /// Of these places: topic, partition, offset.
    pub places: Option<Vec<(String, i32, i64)>>,
}

/// What became of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    /// It was done, or noted for as long as it takes.
    Accepted,
    /// The digest.
    Digest {
        /// SHA-256, in hex.
        digest: String,
        /// Rows it was made of.
        rows: u64,
        /// Position it holds for: partition, next offset.
        position: Vec<(i32, i64)>,
        /// Generation it holds for.
        generation: u64,
    },
    /// What became of the letters.
    Redriven(Redriven),
}

/// What became of the letters that were chosen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Redriven {
    /// Applied now.
    pub redriven: u64,
    /// Rejected again; they stay where they are.
    pub rejected: u64,
    /// Redriven or accepted before: left alone.
    pub settled: u64,
}

/// Why an order was not followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// Not in this state: why.
    #[error("{0}")]
    Conflict(String),
    /// The broker stops, or the view's thread is gone.
    #[error("not available: {0}")]
    Unavailable(String),
}
