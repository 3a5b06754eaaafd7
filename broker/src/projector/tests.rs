//! Views over real logs in a temporary folder.
mod isolation;
mod life;
mod poison;
mod recovering;
mod redriving;
mod serving;
mod stage;
mod transactions;
