//! What a view is made of: the trait that each view implements.
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::event_time::Window;
use crate::{Event, Rejection};

/// A view, as a function of events.
///
/// An event that the view selects gives a key and the row that it alone would make;
/// [`Projection::merge`] joins rows of the same key. Merging must be commutative and associative,
/// or the view would depend on how the partitions of its source interleave. Nothing here may look
/// at anything but its arguments.
pub trait Projection: Send + 'static {
    /// The columns of the key, written as a JSON object in the order of the fields.
    type Key<'a>: Serialize;

    /// The other columns, likewise: all that the view knows about a key.
    type Row: Serialize + DeserializeOwned + Send + Sync + 'static;

    /// What the view computes, as normalised SQL: part of the definition's hash.
    fn definition(&self) -> &str;

    /// The windows that the view's keys have, if any: events of closed ones are late.
    fn window(&self) -> Option<Window> {
        None
    }

    /// Whether the view has an interest in the event.
    fn selects(&self, event: &Event<'_>) -> bool;

    /// The event's key, and the row that it alone makes.
    fn read<'a>(&self, event: &'a Event<'_>) -> Result<(Self::Key<'a>, Self::Row), Rejection>;

    /// Two rows of a key in one; rejected when a column cannot hold it.
    fn merge(&self, row: &Self::Row, other: &Self::Row) -> Result<Self::Row, Rejection>;
}
