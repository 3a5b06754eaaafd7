//! Views over real logs in a temporary folder.
mod recovering;
mod serving;
mod stage;
