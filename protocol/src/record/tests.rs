//! Tests of the batch format: golden bytes, round trips, damage and bombs.
mod bombs;
mod golden;
mod round_trip;
