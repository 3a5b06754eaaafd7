//! Crashes without number: random histories on a simulated disk, and at random moments a look at what
//! a loss of power would leave. What was promised must be there, and nothing that was never appended.
//! The histories append, in transactions and not, compact, delete, cut, restart, and meet errors.
//!
//! ```text
//! cargo test --release -p klamm-storage --test crash            20 000 images
//! KLAMM_CRASH_IMAGES=5000000 cargo test --release …             as many as you like
//! KLAMM_CRASH_FIRST_SEED=5000 cargo test --release …            other histories
//! KLAMM_CRASH_SEED=17 cargo test --release … one_history        one history again, as it was
//! ```
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(unreachable_pub, reason = "modules of a test")]
mod check;
mod disk;
mod faults;
mod found;
mod history;
mod image;
#[path = "../fixture/memory.rs"]
mod memory;
mod model;
mod producing;
mod random;
mod reading;
mod run;
mod transactions;
mod world;
mod writing;

use std::sync::atomic::{AtomicU64, Ordering};

use faults::Bug;
use run::{Outcome, run};

/// A number from the environment.
fn setting(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(
        value
            .parse()
            .unwrap_or_else(|_| panic!("{name} is not a number: {value}")),
    )
}

/// Runs histories from `KLAMM_CRASH_FIRST_SEED` on until there are so many images, or one is bad.
fn run_many(images: u64, bug: Option<Bug>) -> (u64, Option<String>) {
    let first_seed = setting("KLAMM_CRASH_FIRST_SEED").unwrap_or(1);
    let (seed, done) = (AtomicU64::new(first_seed), AtomicU64::new(0));
    let failure = std::sync::Mutex::new(None);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while done.load(Ordering::Relaxed) < images && failure.lock().unwrap().is_none() {
                    let seed = seed.fetch_add(1, Ordering::Relaxed);
                    let Outcome { images, broken } = run(seed, bug);
                    done.fetch_add(images, Ordering::Relaxed);
                    if let Some(broken) = broken {
                        let told = format!("KLAMM_CRASH_SEED={seed}: {broken}");
                        failure.lock().unwrap().get_or_insert(told);
                    }
                }
            });
        }
    });
    println!("seeds {first_seed}..{}", seed.into_inner());
    (done.into_inner(), failure.into_inner().unwrap())
}

#[test]
fn no_crash_breaks_a_promise() {
    let images = setting("KLAMM_CRASH_IMAGES").unwrap_or(20_000);
    let (done, failure) = run_many(images, None);
    if let Some(failure) = failure {
        panic!("{failure}");
    }
    assert!(done >= images);
    println!("{done} crash images");
}

#[test]
fn one_history_again() {
    let seed = setting("KLAMM_CRASH_SEED").unwrap_or(1);
    let first = run(seed, None);
    assert_eq!(first.broken, None, "seed {seed}");
    assert_eq!(run(seed, None).images, first.images, "not the same history");
}

fn assert_found(bug: Bug) {
    let (done, failure) = run_many(200_000, Some(bug));
    let failure = failure.unwrap_or_else(|| panic!("{bug:?} was not found in {done} images"));
    println!("{bug:?} was found after {done} images: {failure}");
}

#[test]
fn a_missing_sync_before_a_rename_is_found() {
    assert_found(Bug::NoSyncBeforeRename);
}

#[test]
fn a_missing_sync_of_a_folder_is_found() {
    assert_found(Bug::NoFolderSync);
}

#[test]
fn a_failed_sync_that_is_tried_again_is_found() {
    assert_found(Bug::SyncTriedAgain);
}

#[test]
fn an_acknowledgement_before_the_sync_is_found() {
    assert_found(Bug::AcknowledgedBeforeSync);
}

#[test]
fn a_swap_without_a_sync_of_the_folder_is_found() {
    assert_found(Bug::NoFolderSyncInSwap);
}

#[test]
fn a_missing_sync_of_a_compacted_segment_is_found() {
    assert_found(Bug::NoSyncOfCleaned);
}

#[test]
fn a_missing_sync_of_aborted_transactions_is_found() {
    assert_found(Bug::NoSyncOfAborted);
}

#[test]
fn recovery_points_ahead_of_the_sync_are_found() {
    assert_found(Bug::RecoveryPointsAhead);
}
