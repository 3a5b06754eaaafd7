//! The foreign clients, which all take the same commands:
//!
//! | command | does |
//! |---|---|
//! | `BOOTSTRAP produce TOPIC CODEC COUNT` | sends records 0..COUNT, idempotently where it can |
//! | `BOOTSTRAP consume TOPIC GROUP COUNT` | joins the group, prints COUNT records, commits, leaves |
//! | `BOOTSTRAP admin TOPIC` | makes, grows, describes, cuts and deletes the topic |
//!
//! Some of them (java, franz, confluent) also take `BOOTSTRAP process INPUT OUTPUT ID`. As the member
//! ID of a group ID with the transactional id ID, it copies batches of up to 40 records from INPUT to
//! the same partition of OUTPUT with a `!` behind the value, aborts and repeats every third
//! transaction, and goes on until it is killed. `BOOTSTRAP steps` (java, franz) is for
//! tests/transactions.
//!
//! Record `i` has the key `client-codec-i`, a value of 100 `x` and `i` (every tenth has none), and the
//! headers `client`, `n=1` and `n=2`: a name that comes twice. A consumer prints key, value (`NULL`
//! for none) and headers with tabs between. Each ends with the line `OK`.
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use harness::foreign;

/// A foreign client.
pub(crate) struct Subject {
    /// What it calls itself in keys and headers.
    pub(crate) name: &'static str,
    /// The codecs that it writes; it reads all.
    pub(crate) writes: &'static [&'static str],
    program: fn() -> Result<Command>,
}

/// The codecs of the protocol by the names that the clients take.
pub(crate) const CODECS: &[&str] = &["none", "gzip", "snappy", "lz4", "zstd"];

/// The LZ4 of pure JavaScript links its blocks, which Apache Kafka refuses.
const WITHOUT_LZ4: &[&str] = &["none", "gzip", "snappy", "zstd"];

/// All of them.
pub(crate) const SUBJECTS: &[Subject] = &[
    Subject {
        name: "java",
        writes: CODECS,
        program: java,
    },
    Subject {
        name: "franz",
        writes: CODECS,
        program: franz,
    },
    Subject {
        name: "kafkajs",
        writes: WITHOUT_LZ4,
        program: kafkajs,
    },
    Subject {
        name: "confluent",
        writes: CODECS,
        program: confluent,
    },
    Subject {
        name: "kafka-python",
        writes: CODECS,
        program: kafka_python,
    },
    Subject {
        name: "aiokafka",
        writes: CODECS,
        program: aiokafka,
    },
];

fn java() -> Result<Command> {
    let mut command = Command::new("java");
    command.args([
        "-Xmx128m",
        "-XX:TieredStopAtLevel=1",
        "-XX:+UseSerialGC",
        "-cp",
    ]);
    command.arg(foreign::class_path()?).arg("Client");
    Ok(command)
}

fn franz() -> Result<Command> {
    Ok(Command::new(foreign::cached("franz")?))
}

fn kafkajs() -> Result<Command> {
    let mut command = Command::new("node");
    command.env("NODE_PATH", foreign::cached("node/node_modules")?);
    command
        .env("KAFKAJS_NO_PARTITIONER_WARNING", "1")
        .arg(source("node/client.js"));
    Ok(command)
}

fn python(script: &str) -> Result<Command> {
    let mut command = Command::new(foreign::cached("venv/bin/python")?);
    command.arg(source(&format!("python/{script}")));
    Ok(command)
}

fn confluent() -> Result<Command> {
    python("confluent.py")
}

fn kafka_python() -> Result<Command> {
    python("kafka_python.py")
}

fn aiokafka() -> Result<Command> {
    python("aio.py")
}

fn source(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("clients")
        .join(path)
}

/// The lines that a consumer prints for what `client` produced.
pub(crate) fn expected(client: &str, codec: &str, count: usize) -> BTreeSet<String> {
    let line = |i: usize| {
        let value = match i % 10 {
            9 => "NULL".to_owned(),
            _ => format!("{}{i}", "x".repeat(100)),
        };
        format!("{client}-{codec}-{i}\t{value}\tclient={client},n=1,n=2")
    };
    (0..count).map(line).collect()
}

impl Subject {
    /// The one of this name.
    pub(crate) fn named(name: &str) -> Result<&'static Self> {
        SUBJECTS
            .iter()
            .find(|one| one.name == name)
            .with_context(|| format!("no client {name}"))
    }

    fn run(&self, arguments: &[&str]) -> Result<Vec<String>> {
        let mut command = (self.program)()?;
        let output = foreign::run(command.args(arguments), b"")?;
        let mut lines: Vec<String> = String::from_utf8(output)?
            .lines()
            .map(str::to_owned)
            .collect();
        let last = lines.pop();
        ensure!(
            last.as_deref() == Some("OK"),
            "{} {arguments:?} ends with {last:?}",
            self.name
        );
        Ok(lines)
    }

    /// Produces `count` records.
    pub(crate) fn produce(
        &self,
        bootstrap: &str,
        topic: &str,
        codec: &str,
        count: usize,
    ) -> Result<()> {
        self.run(&[bootstrap, "produce", topic, codec, &count.to_string()])?;
        Ok(())
    }

    /// Reads `count` records as a member of `group` and commits them.
    pub(crate) fn consume(
        &self,
        bootstrap: &str,
        topic: &str,
        group: &str,
        count: usize,
    ) -> Result<Vec<String>> {
        self.run(&[bootstrap, "consume", topic, group, &count.to_string()])
    }

    /// The command that copies `input` to `output` in transactions until it is killed.
    pub(crate) fn process(
        &self,
        bootstrap: &str,
        input: &str,
        output: &str,
        id: &str,
    ) -> Result<Command> {
        let mut command = (self.program)()?;
        command.args([bootstrap, "process", input, output, id]);
        // Cargo points at the librdkafka that the tests are built with; Python has its own.
        command.env_remove("LD_LIBRARY_PATH");
        Ok(command)
    }

    /// Makes, describes and deletes a topic.
    pub(crate) fn admin(&self, bootstrap: &str, topic: &str) -> Result<()> {
        self.run(&[bootstrap, "admin", topic])?;
        Ok(())
    }
}
