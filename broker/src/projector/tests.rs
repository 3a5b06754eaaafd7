//! Views over real logs in a temporary folder.
mod life;
mod recovering;
mod redriving;
mod serving;
mod stage;
