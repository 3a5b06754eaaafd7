//! Continuous queries: records in, changes of rows out.
//!
//! A view at a position is a pure function of the records below the position. Nothing here reads a
//! clock, a file or a socket, or draws a random number; whoever runs an [`Engine`] decides where its
//! records come from and where the changes go: inside the broker, or anywhere else.
mod commit;
mod dead_letter;
mod decimal;
mod difference;
mod engine;
mod event;
mod event_time;
mod input;
mod json;
mod leaf;
mod materialized;
mod outcome;
mod overlay;
mod partition;
mod projection;
mod revenue;
mod rows;
mod sightings;
mod table;
mod views;

pub use commit::{Commit, OutputPosition, SourcePosition};
pub use dead_letter::dead_letter_headers;
pub use decimal::Decimal;
pub use engine::{EachChange, Engine, Options, Progress};
pub use event::Event;
pub use event_time::Window;
pub use input::Input;
pub use leaf::Leaf;
pub use materialized::materialize;
pub use outcome::{Counts, Outcome, Reason, Rejection};
pub use projection::Projection;
pub use table::{Row, RowError, Table};
pub use views::{View, all, find};

/// Rises when the same definition over the same records may give other rows: it is part of the
/// hash of every definition, so that views are built anew.
pub const ENGINE_VERSION: u32 = 1;
