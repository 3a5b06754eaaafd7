//! The real process is killed without warning, again and again, under clients that go on: what was
//! acknowledged is there afterwards, once and in order, and the files are sound.
//!
//! `KLAMM_CRASH_CYCLES` says how many kills (default 25) and `KLAMM_CRASH_SEED` repeats the pauses of
//! an earlier run; the seed is printed.
mod chance;
mod commits;
mod followers;
mod kills;
mod load;
