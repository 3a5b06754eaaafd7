//! What is counted while the broker runs.
//!
//! Nothing here takes a lock or looks up a label: each request adds to the atomics of its row of the
//! table, each append to those of its topic. Names and text are made at scrape (`scrape`).
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Instant, SystemTime};

mod histogram;

pub use histogram::Histogram;

/// Codes from -1 to one below this, less one, are counted each for itself.
const ERROR_CODES: usize = 256;

/// Everything that is counted for the whole process.
#[derive(Debug)]
pub struct Metrics {
    /// When the process began to serve.
    pub started: SystemTime,
    /// How long each flush of the logs took.
    pub flushes: Arc<Histogram>,
    requests: Box<[RequestMetrics]>,
    errors: Box<[AtomicU64]>,
    connections: Arc<AtomicI64>,
    connections_opened: AtomicU64,
}

/// What is counted for one row of the table of handlers.
#[derive(Debug, Default)]
pub struct RequestMetrics {
    /// Requests that were started.
    pub started: AtomicU64,
    /// How long those took that were answered, waiting included.
    pub durations: Histogram,
}

/// What is counted for one topic.
#[derive(Debug, Default)]
pub struct TopicMetrics {
    /// Records appended by clients.
    pub records_in: AtomicU64,
    /// Bytes of batches appended by clients, as sent.
    pub bytes_in: AtomicU64,
    /// Bytes of batches handed to consumers.
    pub bytes_out: AtomicU64,
}

impl TopicMetrics {
    /// A client's batch of so many records and bytes was appended.
    pub fn appended(&self, records: u64, bytes: u64) {
        self.records_in.fetch_add(records, Ordering::Relaxed);
        self.bytes_in.fetch_add(bytes, Ordering::Relaxed);
    }
    /// These batches go out to a consumer.
    pub fn fetched(&self, batches: &[u8]) {
        self.bytes_out
            .fetch_add(batches.len() as u64, Ordering::Relaxed);
    }
}

/// Counts one open connection until it is dropped.
#[derive(Debug)]
pub struct OpenConnection(Arc<AtomicI64>);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Times one request; a request that is dropped unfinished is not timed.
#[derive(Debug)]
pub struct RequestTimer<'a> {
    durations: &'a Histogram,
    started: Instant,
}

impl RequestTimer<'_> {
    /// The request is answered.
    pub fn finish(self) {
        self.durations.observe(self.started.elapsed());
    }
}

impl Metrics {
    /// Nothing counted yet; `rows` is the length of the table of handlers.
    pub fn new(rows: usize) -> Self {
        Self {
            started: SystemTime::now(),
            flushes: Arc::default(),
            requests: (0..rows).map(|_| RequestMetrics::default()).collect(),
            errors: (0..ERROR_CODES).map(|_| AtomicU64::new(0)).collect(),
            connections: Arc::default(),
            connections_opened: AtomicU64::new(0),
        }
    }

    /// Counts a connection.
    pub fn connection(&self) -> OpenConnection {
        self.connections_opened.fetch_add(1, Ordering::Relaxed);
        self.connections.fetch_add(1, Ordering::Relaxed);
        OpenConnection(Arc::clone(&self.connections))
    }

    /// Counts a request and starts its clock; `row` is its place in the table.
    pub fn request(&self, row: usize) -> RequestTimer<'_> {
        let request = &self.requests[row];
        request.started.fetch_add(1, Ordering::Relaxed);
        RequestTimer {
            durations: &request.durations,
            started: Instant::now(),
        }
    }

    /// Counts an error that goes to a client; 0 is none.
    pub fn errors(&self, code: i16) {
        if code != 0
            && let Some(count) = usize::try_from(i32::from(code) + 1)
                .ok()
                .and_then(|place| self.errors.get(place))
        {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What was counted for the row of the table.
    pub fn of_row(&self, row: usize) -> &RequestMetrics {
        &self.requests[row]
    }

    /// Codes of the errors that went to clients, and how many of each.
    pub fn error_counts(&self) -> impl Iterator<Item = (i16, u64)> {
        let counts = self
            .errors
            .iter()
            .map(|count| count.load(Ordering::Relaxed));
        (-1..).zip(counts).filter(|(_, count)| *count > 0)
    }

    /// Connections that are open, and how many ever were.
    pub fn connections(&self) -> (i64, u64) {
        (
            self.connections.load(Ordering::Relaxed),
            self.connections_opened.load(Ordering::Relaxed),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_counted_by_code_and_odd_codes_are_ignored() {
        let metrics = Metrics::new(1);
        for code in [-1, 0, 3, 3, 130, i16::MAX, i16::MIN] {
            metrics.errors(code);
        }
        let counts: Vec<_> = metrics.error_counts().collect();
        assert_eq!(counts, [(-1, 1), (3, 2), (130, 1)]);
    }

    #[test]
    fn a_connection_counts_until_it_is_dropped() {
        let metrics = Metrics::new(0);
        let first = metrics.connection();
        let second = metrics.connection();
        drop(first);
        assert_eq!(metrics.connections(), (1, 2));
        drop(second);
        assert_eq!(metrics.connections(), (0, 2));
    }

    #[test]
    fn a_dropped_request_is_counted_but_not_timed() {
        let metrics = Metrics::new(2);
        metrics.request(1).finish();
        let _ = metrics.request(1);
        let row = metrics.of_row(1);
        assert_eq!(row.started.load(Ordering::Relaxed), 2);
        assert_eq!(row.durations.read().count, 1);
    }
}
