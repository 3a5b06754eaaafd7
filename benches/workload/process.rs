//! A broker process on a data folder of its own, and what it uses.
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Anything that keeps a benchmark from running.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// Metadata v1 without topics.
const METADATA: [u8; 19] = [0, 0, 0, 15, 0, 3, 0, 1, 0, 0, 0, 1, 0, 1, b'b', 0, 0, 0, 0];
/// Ticks per second in `/proc/<pid>/stat`.
const USER_HZ: f64 = 100.0;

/// How a broker is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// In order, with SIGTERM.
    Term,
    /// With kill -9.
    Kill,
}

/// A running broker.
#[derive(Debug)]
pub struct Broker {
    /// `host:port` for clients.
    pub bootstrap: String,
    /// From the start of the process to its first Metadata response.
    pub started_in: Duration,
    /// `host:port` for HTTP, if it was started here.
    pub http: Option<String>,
    pid: u32,
    child: Option<(Child, TempDir)>,
}

impl Broker {
    /// Starts the `klamm` beside this executable (or `KLAMM_BIN`) with these extra arguments.
    pub fn start(arguments: &[&str]) -> Result<Self, Error> {
        Self::start_in(TempDir::with_prefix("klamm-bench-")?, arguments)
    }

    /// Stops the broker with SIGTERM and starts it again on its data.
    pub fn restart(self, arguments: &[&str]) -> Result<Self, Error> {
        self.restart_after(Stop::Term, arguments, || Ok(()))
    }

    /// Stops the broker this way, and starts it again on its data after `between`.
    pub fn restart_after(
        mut self,
        stop: Stop,
        arguments: &[&str],
        between: impl FnOnce() -> Result<(), Error>,
    ) -> Result<Self, Error> {
        let (mut child, data) = self.child.take().ok_or("somebody else runs this broker")?;
        let pid = child.id().to_string();
        let signal = match stop {
            Stop::Term => "-TERM",
            Stop::Kill => "-KILL",
        };
        Command::new("kill").args([signal, &pid]).status()?;
        child.wait()?;
        between()?;
        Self::start_in(data, arguments)
    }

    fn start_in(data: TempDir, arguments: &[&str]) -> Result<Self, Error> {
        let (bootstrap, http) = (free_address()?, free_address()?);
        let mut command = Command::new(program()?);
        command.args(["serve", "--listen", &bootstrap, "--http", &http]);
        command.args(["--log-level", "warn"]);
        command.arg("--data-dir").arg(data.path().join("data"));
        command.args(arguments).stdin(Stdio::null());
        let started = Instant::now();
        let mut child = command.spawn()?;
        while !answers(&bootstrap) {
            if let Some(status) = child.try_wait()? {
                return Err(format!("the broker ended: {status}").into());
            }
            if started.elapsed() > Duration::from_secs(30) {
                return Err("the broker does not answer".into());
            }
            std::thread::sleep(Duration::from_micros(200));
        }
        Ok(Self {
            started_in: started.elapsed(),
            bootstrap,
            http: Some(http),
            pid: child.id(),
            child: Some((child, data)),
        })
    }

    /// A broker that somebody else runs, to compare with.
    pub fn running(bootstrap: &str, pid: u32) -> Self {
        Self {
            bootstrap: bootstrap.to_owned(),
            started_in: Duration::ZERO,
            http: None,
            pid,
            child: None,
        }
    }

    /// The body of the answer to `GET path` over HTTP.
    pub fn get(&self, path: &str) -> Result<String, Error> {
        let address = self.http.as_deref().ok_or("no HTTP")?;
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        write!(
            stream,
            "GET {path} HTTP/1.0\r\nhost: {address}\r\nconnection: close\r\n\r\n"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or("no answer")?;
        if !head.contains(" 200 ") {
            return Err(format!("{path}: {answer}").into());
        }
        Ok(body.to_owned())
    }

    /// CPU time that the process has used, seconds.
    pub fn cpu_seconds(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        let ticks = fields.split_whitespace().skip(11).take(2);
        ticks
            .filter_map(|field| field.parse::<f64>().ok())
            .sum::<f64>()
            / USER_HZ
    }

    /// How many file descriptors it has open.
    pub fn descriptors(&self) -> Result<usize, Error> {
        Ok(std::fs::read_dir(format!("/proc/{}/fd", self.pid))?.count())
    }

    /// How many regions of memory it has mapped.
    pub fn mappings(&self) -> Result<usize, Error> {
        let maps = std::fs::read_to_string(format!("/proc/{}/maps", self.pid))?;
        Ok(maps.lines().count())
    }

    /// A line of `/proc/<pid>/status` such as `VmRSS` or `RssAnon`, in MiB.
    pub fn memory_mib(&self, line: &str) -> f64 {
        let path = format!("/proc/{}/status", self.pid);
        let status = std::fs::read_to_string(path).unwrap_or_default();
        let found = status.lines().find_map(|text| text.strip_prefix(line));
        let digits: String = found
            .unwrap_or_default()
            .chars()
            .filter(char::is_ascii_digit)
            .collect();
        digits.parse::<f64>().unwrap_or_default() / 1024.0
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Some((child, _)) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn program() -> Result<PathBuf, Error> {
    if let Some(path) = std::env::var_os("KLAMM_BIN") {
        return Ok(path.into());
    }
    let path = std::env::current_exe()?.with_file_name("klamm");
    if path.exists() {
        return Ok(path);
    }
    Err(format!(
        "{} is missing: cargo build --release -p klamm",
        path.display()
    )
    .into())
}

fn free_address() -> Result<String, Error> {
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    Ok(format!("127.0.0.1:{port}"))
}

fn answers(bootstrap: &str) -> bool {
    let ask = || -> std::io::Result<()> {
        let mut stream = TcpStream::connect(bootstrap)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(&METADATA)?;
        stream.read_exact(&mut [0; 8])
    };
    ask().is_ok()
}
