//! A broker on a free port of 127.0.0.1 with a data folder of its own.
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use kafka_protocol::messages::MetadataRequest;
use tempfile::TempDir;

use crate::process::Process;
use crate::program::klamm;
use crate::{PATIENCE, Program, Wire};

/// How a broker is started.
#[derive(Debug, Clone, Default)]
pub struct Options {
    settings: Vec<(String, String)>,
    data_dir: Option<PathBuf>,
    limits: Vec<String>,
    environment: Vec<(String, String)>,
}

impl Options {
    /// Adds a broker setting by its Kafka name, e.g. `message.max.bytes`.
    #[must_use]
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_string()));
        self
    }

    /// Lets the process have only so many file descriptors.
    #[must_use]
    pub fn open_files(mut self, limit: u32) -> Self {
        self.limits.push(format!("-n {limit}"));
        self
    }

    /// Sets a variable of the process's environment.
    #[must_use]
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Uses this data folder, which is not removed afterwards.
    #[must_use]
    pub fn data_dir(mut self, path: &Path) -> Self {
        self.data_dir = Some(path.to_owned());
        self
    }
}

/// A broker under test. Dropping it kills the process and removes the data folder; if the test
/// panics, the end of the broker's log is printed.
#[derive(Debug)]
pub struct Broker {
    process: Option<Process>,
    program: Program,
    options: Options,
    data_dir: PathBuf,
    address: String,
    ports: (u16, u16),
    folder: TempDir,
}

impl Broker {
    /// Starts the broker under test and waits until it answers. If `KLAMM_TEST_BOOTSTRAP` is set,
    /// that one is used and settings are the concern of whoever started it.
    pub fn start(options: Options) -> Result<Self> {
        if let Ok(address) = std::env::var("KLAMM_TEST_BOOTSTRAP") {
            let folder = TempDir::new()?;
            return Ok(Self {
                process: None,
                program: Program::under_test(),
                options,
                data_dir: folder.path().to_owned(),
                address,
                ports: (0, 0),
                folder,
            });
        }
        Self::launch(Program::under_test(), options)
    }

    /// Starts a particular program and waits until it answers.
    pub fn launch(program: Program, options: Options) -> Result<Self> {
        let mut broker = Self::prepare(program, options)?;
        broker.spawn()?;
        broker.await_answer()?;
        Ok(broker)
    }

    /// Starts a broker that is expected to refuse: waits for its end, gives status and log.
    pub fn refusal(program: Program, options: Options) -> Result<(ExitStatus, String)> {
        let mut broker = Self::prepare(program, options)?;
        broker.spawn()?;
        let process = broker.process()?;
        let status = process.wait(PATIENCE)?;
        Ok((status, process.log()))
    }

    fn prepare(program: Program, options: Options) -> Result<Self> {
        let folder = TempDir::with_prefix("klamm-test-")?;
        let ports = free_ports()?;
        Ok(Self {
            process: None,
            program,
            data_dir: options
                .data_dir
                .clone()
                .unwrap_or_else(|| folder.path().join("data")),
            options,
            address: format!("127.0.0.1:{}", ports.0),
            ports,
            folder,
        })
    }

    fn spawn(&mut self) -> Result<()> {
        let (port, second_port) = self.ports;
        let settings = &self.options.settings;
        let mut command = self
            .program
            .command(&self.data_dir, port, second_port, settings)?;
        if !self.options.limits.is_empty() {
            command = limited(&command, &self.options.limits);
        }
        command.envs(self.options.environment.iter().cloned());
        self.process = Some(Process::start(command, &self.folder.path().join("log"))?);
        Ok(())
    }

    fn await_answer(&mut self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let address = self.address.clone();
        let process = self.process()?;
        loop {
            if answers(&address) {
                return Ok(());
            }
            if let Some(status) = process.ended()? {
                bail!(
                    "the broker ended ({status}) before it answered:\n{}",
                    process.log()
                );
            }
            ensure!(
                Instant::now() < deadline,
                "no answer from the broker:\n{}",
                process.log()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// `host:port` for clients.
    pub fn bootstrap(&self) -> &str {
        &self.address
    }

    /// `host:port` of the HTTP listener (klamm only).
    pub fn http(&self) -> String {
        format!("127.0.0.1:{}", self.ports.1)
    }

    /// The data folder.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// Which program it is.
    pub fn program(&self) -> Program {
        self.program
    }

    /// A raw connection.
    pub fn wire(&self) -> Result<Wire> {
        Wire::connect(&self.address)
    }

    /// The process, for signals, memory and log.
    pub fn process(&mut self) -> Result<&mut Process> {
        self.process
            .as_mut()
            .context("the broker is not a process of this test")
    }

    /// Kills the process without warning.
    pub fn kill9(&mut self) -> Result<()> {
        self.process()?.kill9()
    }

    /// Sends SIGTERM and waits for the end, at most for `bound`.
    pub fn terminate(&mut self, bound: Duration) -> Result<ExitStatus> {
        let process = self.process()?;
        process.signal("TERM")?;
        process.wait(bound)
    }

    /// Starts again after [`Self::kill9`] or [`Self::terminate`]: same folder, port and settings.
    pub fn restart(&mut self) -> Result<()> {
        self.begin_restart()?;
        self.await_answer()
    }

    /// The same, without waiting until it answers.
    pub fn begin_restart(&mut self) -> Result<()> {
        ensure!(self.process()?.ended()?.is_some(), "the broker still runs");
        self.spawn()
    }

    /// Ends it in order, and lets `klamm log check` look at every file that it left.
    pub fn stop_and_check_logs(&mut self) -> Result<()> {
        self.terminate(PATIENCE)?;
        let mut check = Command::new(klamm()?);
        check.args(["log", "check"]).arg(&self.data_dir);
        let found = check.output().context("klamm log check")?;
        ensure!(
            found.status.success(),
            "klamm log check {}: {}",
            self.data_dir.display(),
            String::from_utf8_lossy(&found.stderr)
        );
        Ok(())
    }

    /// Changes a setting from the next start on; `None` takes it away.
    pub fn set(&mut self, name: &str, value: Option<&str>) {
        self.options.settings.retain(|(known, _)| known != name);
        if let Some(value) = value {
            self.options
                .settings
                .push((name.to_owned(), value.to_owned()));
        }
    }

    /// Resident memory in bytes, mapped files included.
    pub fn resident_bytes(&mut self) -> Result<u64> {
        self.process()?.memory("VmRSS")
    }

    /// Resident memory in bytes without mapped files.
    pub fn anonymous_bytes(&mut self) -> Result<u64> {
        self.process()?.memory("RssAnon")
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let wanted = std::thread::panicking() || std::env::var_os("KLAMM_TEST_LOG").is_some();
        if let (true, Some(process)) = (wanted, &self.process) {
            let log = process.log();
            let lines: Vec<&str> = log.lines().rev().take(60).collect();
            let tail: Vec<&str> = lines.into_iter().rev().collect();
            eprintln!(
                "--- log of {:?} at {}\n{}",
                self.program,
                self.address,
                tail.join("\n")
            );
        }
    }
}

/// The same command in a shell that first lowers its limits.
fn limited(command: &Command, limits: &[String]) -> Command {
    let mut shell = Command::new("sh");
    let limits = limits.iter().map(|limit| format!("ulimit {limit} && "));
    let script = limits.collect::<String>() + "exec \"$0\" \"$@\"";
    shell.arg("-c").arg(script).arg(command.get_program());
    shell.args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell
}

/// Whether the broker tells its own address: from then on it serves clients.
fn answers(address: &str) -> bool {
    let Ok(mut wire) = Wire::connect(address) else {
        return false;
    };
    let request = MetadataRequest::default().with_topics(Some(Vec::new()));
    wire.call(1, &request)
        .is_ok_and(|response| !response.brokers.is_empty())
}

/// Two neighbouring free ports below the range from which the kernel takes ports for outgoing
/// connections, so that no client can sit on them between this look and the broker's start.
fn free_ports() -> Result<(u16, u16)> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let seed = (std::process::id() % 150) as u16 * 80;
    for _ in 0..6_000 {
        let port = 20_000 + (seed + NEXT.fetch_add(2, Ordering::Relaxed)) % 12_000;
        let free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
        if free(port) && free(port + 1) {
            return Ok((port, port + 1));
        }
    }
    bail!("no free port between 20000 and 32000")
}
