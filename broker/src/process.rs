//! What the process asks of the operating system before it serves, and of the runtime while it does.
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Signals that the process handles, in place of their default actions.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// Its default action kills the process when a file reaches its size limit; with a handler the
    /// write fails with an error that can be answered.
    _file_size: Signal,
}

impl Signals {
    /// Installs the handlers.
    pub fn install() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            _file_size: signal(SignalKind::from_raw(libc::SIGXFSZ))?,
        })
    }

    /// Waits until the process is asked to stop; gives the signal's name.
    pub async fn stop(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// Does what takes its time on this very thread, while the other tasks of the thread move to another.
pub fn in_place<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}

/// Raises the soft limit of open files to the hard one: each connection and each segment takes one,
/// and the customary soft limit of 1024 is made for programs that call `select`.
pub fn raise_open_files_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return;
    }
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
}
