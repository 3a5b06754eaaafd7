//! What the broker counts (klamm only).
use anyhow::{Context, Result};

use crate::{Broker, http};

impl Broker {
    /// The value of the first sample of `name` that has all these labels.
    pub fn metric(&self, name: &str, labels: &[(&str, &str)]) -> Result<f64> {
        let page = http::get(&self.http(), "/metrics")?.text();
        let sample = page.lines().find(|line| {
            let rest = line.strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with(['{', ' ']))
                && labels
                    .iter()
                    .all(|(label, value)| line.contains(&format!("{label}=\"{value}\"")))
        });
        let sample = sample.with_context(|| format!("no {name} with {labels:?}"))?;
        let (_, value) = sample.rsplit_once(' ').context("no value")?;
        Ok(value.parse()?)
    }
}
