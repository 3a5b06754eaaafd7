//! What the broker tells over HTTP of itself (klamm only).
use std::io::{Read, Write};
use std::net::TcpStream;

use anyhow::{Context, Result, ensure};

use crate::Broker;

impl Broker {
    /// The body of `GET path`.
    pub fn get(&self, path: &str) -> Result<String> {
        let mut stream = TcpStream::connect(self.http())?;
        stream.set_read_timeout(Some(crate::PATIENCE))?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: klamm\r\nConnection: close\r\n\r\n"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").context("no HTTP answer")?;
        ensure!(head.contains(" 200 "), "GET {path}: {head}");
        Ok(body.to_owned())
    }

    /// The value of the first sample of `name` that has all these labels.
    pub fn metric(&self, name: &str, labels: &[(&str, &str)]) -> Result<f64> {
        let page = self.get("/metrics")?;
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
