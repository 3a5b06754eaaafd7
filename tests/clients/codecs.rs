//! The matrix: what each client wrote with each codec is read by every other one.
use std::collections::BTreeSet;

use anyhow::Result;
use harness::{Broker, Options, foreign, rd, unique};

use crate::subject::{SUBJECTS, expected};

const COUNT: usize = 20;

/// Writes with `codecs`, reads with every client that reads them, and gives what went wrong.
fn matrix(codecs: &[&str], reads: impl Fn(&str) -> bool) -> Result<Vec<String>> {
    let broker = Broker::start(Options::default())?;
    let bootstrap = broker.bootstrap();
    let topic = unique("matrix");
    rd::create_topic(bootstrap, &topic, 3, &[])?;
    let mut troubles = Vec::new();
    let mut written = BTreeSet::new();
    for writer in SUBJECTS {
        for codec in writer.writes.iter().filter(|codec| codecs.contains(codec)) {
            match writer.produce(bootstrap, &topic, codec, COUNT) {
                Ok(()) => written.append(&mut expected(writer.name, codec, COUNT)),
                Err(error) => troubles.push(format!("{} writes {codec}: {error}", writer.name)),
            }
        }
    }
    for reader in SUBJECTS.iter().filter(|reader| reads(reader.name)) {
        match reader.consume(bootstrap, &topic, &unique(reader.name), written.len()) {
            Ok(lines) => {
                let read: BTreeSet<String> = lines.into_iter().collect();
                let wrong: Vec<_> = written.symmetric_difference(&read).take(3).collect();
                if !wrong.is_empty() {
                    troubles.push(format!("{} loses or invents {wrong:?}", reader.name));
                }
            }
            Err(error) => troubles.push(format!("{} reads: {error}", reader.name)),
        }
    }
    let format = ["-C", "-e", "-q", "-f", "%k\n", "-t", &topic];
    let keys = foreign::kcat(bootstrap, format, "")?;
    assert_eq!(keys.lines().count(), written.len(), "kcat reads {keys}");
    Ok(troubles)
}

#[test]
fn every_client_reads_what_every_client_wrote() -> Result<()> {
    let troubles = matrix(&["none", "gzip", "snappy", "zstd"], |_| true)?;
    assert!(troubles.is_empty(), "{}", troubles.join("\n"));
    Ok(())
}

/// Without kafkajs: the LZ4 of pure JavaScript does not read the linked blocks of others.
#[test]
fn every_client_reads_lz4_of_every_client() -> Result<()> {
    let troubles = matrix(&["lz4"], |reader| reader != "kafkajs")?;
    assert!(troubles.is_empty(), "{}", troubles.join("\n"));
    Ok(())
}
