//! The real process is killed without warning, again and again, under clients that go on: what was
//! acknowledged is there afterwards, once and in order, and the files are sound.
//!
//! So it is after the faults of its surroundings: full, failing and read-only disks, too few
//! descriptors, a clock that jumps.
//!
//! `KLAMM_CRASH_CYCLES` says how many kills (default 25) and `KLAMM_TEST_SEED` repeats the pauses of
//! an earlier run; the seed is printed.
mod clock;
mod commits;
mod descriptors;
mod followers;
mod full;
mod kept;
mod kills;
mod load;
mod read_only;
