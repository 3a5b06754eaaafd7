//! The transaction coordinator: who may write under which transactional id, what the open
//! transaction of each has written to, and how it ends.
//!
//! `transactions` is the set, `requests` the way in; each transactional id stands behind its own
//! mutex. `state` decides, alone and from nothing but its arguments; `formats` is how the state goes
//! into `__transaction_state` and comes back; `markers` ends what was decided in every partition;
//! `recovery` does the same after a restart; `timeouts` keeps the time; `memory` says what each
//! of them takes; `describe` shows it all.
//!
//! What a producer writes in a transaction is checked and appended while its transactional id is
//! locked (`Transactions::within`), and the decision to end the transaction is made under the same
//! lock: nothing of a transaction comes after its marker. See `docs/decisions/0014`.
mod describe;
mod formats;
mod markers;
mod memory;
mod pattern;
mod recovery;
mod requests;
mod state;
#[cfg(test)]
mod tests;
mod timeouts;
mod transactions;

pub use describe::Filter;
pub use pattern::Pattern;
pub use requests::Target;
pub use state::{EPOCH_PER_TRANSACTION, Identity, State};
pub use transactions::{Transactions, Written};

/// Name of the topic that transactional ids are kept in.
pub const TOPIC: &str = "__transaction_state";

/// The epoch of this coordinator: a single node never changes coordinators.
pub const COORDINATOR_EPOCH: i32 = 0;
