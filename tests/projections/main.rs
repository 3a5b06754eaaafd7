//! What views say, compared with what they must say.
mod alone;
mod crash;
mod demo;
mod equal;
mod event;
mod isolation;
mod letters;
mod life;
mod metrics;
mod owned;
mod places;
mod reads;
mod rebuild;
mod redrive;
mod shop;
mod sources;
mod truth;
mod view;
mod watch;

use std::sync::{Condvar, Mutex, PoisonError};

/// How many of the heavy tests run at a time.
const TURNS: u32 = 2;

static BUSY: Mutex<u32> = Mutex::new(0);
static FREED: Condvar = Condvar::new();

/// Waits for its turn: for tests that need a core of their own. It ends with the value.
fn turn() -> Turn {
    let busy = BUSY.lock().unwrap_or_else(PoisonError::into_inner);
    let busy = FREED.wait_while(busy, |busy| *busy >= TURNS);
    *busy.unwrap_or_else(PoisonError::into_inner) += 1;
    Turn
}

/// A heavy test's turn.
struct Turn;

impl Drop for Turn {
    fn drop(&mut self) {
        *BUSY.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        FREED.notify_one();
    }
}
