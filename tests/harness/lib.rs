//! What the tests share: the broker as a real process, Apache Kafka as the referee, raw
//! connections, record batches made without klamm's own code, and foreign clients as subprocesses.
//!
//! Which broker a test runs against is decided by the environment:
//!
//! | variable | effect |
//! |---|---|
//! | `KLAMM_BIN` | the `klamm` executable, instead of the one beside the test executable |
//! | `KLAMM_TEST_BROKER=kafka` | every test runs against Apache Kafka: this proves the tests |
//! | `KLAMM_TEST_BOOTSTRAP=host:port` | against a broker that already runs; tests that must kill it fail |
//! | `KLAMM_TEST_LOG=1` | prints the end of each broker's log, also of tests that return an error |
//! | `KLAMM_TEST_CACHE` | where `tests/setup` put jars and clients (`~/.cache/klamm-tests`) |
pub mod ask;
pub mod batch;
pub mod broker;
pub mod disk;
pub mod fields;
pub mod foreign;
pub mod http;
pub mod process;
pub mod program;
pub mod proxy;
pub mod random;
pub mod rd;
pub mod scrape;
pub mod talk;
pub mod wire;

pub use batch::Batch;
pub use broker::{Broker, Options};
pub use disk::Disk;
pub use program::Program;
pub use proxy::Proxy;
pub use random::Random;
pub use wire::Wire;

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How long a test waits for something that must happen before it calls it missing.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A name that no other test uses, also when tests share one broker.
pub fn unique(stem: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{stem}-{}-{next}", std::process::id())
}

/// Asks `probe` again and again until it gives a value; an error says what was waited for.
pub fn eventually<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> anyhow::Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = probe() {
            return Ok(value);
        }
        anyhow::ensure!(
            Instant::now() < deadline,
            "waited {PATIENCE:?} in vain for {what}"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}
