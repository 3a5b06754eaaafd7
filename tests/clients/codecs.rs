//! The matrix: what each client wrote with each codec is read by every other one.
use std::collections::BTreeSet;

use anyhow::Result;
use harness::{Broker, Options, foreign, rd, unique};

use crate::subject::{SUBJECTS, expected};

const COUNT: usize = 20;

#[test]
fn every_client_reads_what_every_client_wrote_with_every_codec() -> Result<()> {
    let broker = Broker::start(Options::default())?;
    let bootstrap = broker.bootstrap();
    let topic = unique("matrix");
    rd::create_topic(bootstrap, &topic, 3, &[])?;
    let mut troubles = Vec::new();
    let mut written = BTreeSet::new();
    for writer in SUBJECTS {
        for codec in writer.writes {
            match writer.produce(bootstrap, &topic, codec, COUNT) {
                Ok(()) => written.append(&mut expected(writer.name, codec, COUNT)),
                Err(error) => troubles.push(format!("{} writes {codec}: {error}", writer.name)),
            }
        }
    }
    for reader in SUBJECTS {
        match reader.consume(bootstrap, &topic, &unique(reader.name), written.len()) {
            Ok(lines) => {
                let read: BTreeSet<String> = lines.into_iter().collect();
                let missing: Vec<_> = written.difference(&read).take(3).collect();
                let wrong: Vec<_> = read.difference(&written).take(3).collect();
                println!(
                    "{} reads all: {}",
                    reader.name,
                    missing.is_empty() && wrong.is_empty()
                );
                if !missing.is_empty() || !wrong.is_empty() {
                    troubles.push(format!(
                        "{}: missing {missing:?}, got {wrong:?}",
                        reader.name
                    ));
                }
            }
            Err(error) => troubles.push(format!("{} reads: {error}", reader.name)),
        }
    }
    let format = ["-C", "-e", "-q", "-f", "%k\n", "-t", &topic];
    let keys = foreign::kcat(bootstrap, format, "")?;
    assert_eq!(keys.lines().count(), written.len(), "kcat reads {keys}");
    assert!(troubles.is_empty(), "{}", troubles.join("\n"));
    Ok(())
}
