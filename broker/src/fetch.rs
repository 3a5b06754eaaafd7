//! What a fetch is, between its handler and the partitions: sessions, one plan, and the wait.

mod delayed;
mod plan;
mod session;

pub use delayed::{Patience, wait_for};
pub use plan::{Answer, Asked, Found, Limits, Plan, Wanted, epoch_error, read_error};
pub use session::{SessionStep, Sessions};
