//! Records on their way into an output, as batches of a size that every client can take.
use bytes::Bytes;
use protocol::record::BatchBuilder;

/// Uncompressed bytes after which another batch begins.
const BATCH_BYTES: usize = 256 * 1024;

/// Headers of a record.
pub type Headers<'a> = &'a [(&'a [u8], Option<&'a [u8]>)];

/// Batches as they grow.
#[derive(Debug, Default)]
pub struct Batches {
    full: Vec<Bytes>,
    open: BatchBuilder,
    count: u64,
    bytes: usize,
}

impl Batches {
    /// Adds a record.
    pub fn push(
        &mut self,
        timestamp_ms: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: Headers,
    ) {
        if self.open.size() >= BATCH_BYTES {
            self.close();
        }
        self.open
            .push_with_headers(timestamp_ms, key, value, headers);
        self.count += 1;
    }

    /// Records in it.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Bytes of all of them.
    pub fn bytes(&self) -> usize {
        self.bytes + self.open.size()
    }

    /// The finished batches.
    pub fn finish(&mut self) -> Vec<Bytes> {
        if !self.open.is_empty() {
            self.close();
        }
        self.full.clone()
    }

    fn close(&mut self) {
        let full = std::mem::take(&mut self.open).build();
        self.bytes += full.len();
        self.full.push(full);
    }
}

#[cfg(test)]
mod tests {
    use protocol::record::BatchHeader;

    use super::*;

    #[test]
    fn many_records_become_several_batches() {
        assert!(Batches::default().finish().is_empty());
        let mut batches = Batches::default();
        for _ in 0..10 {
            batches.push(1, Some(b"k"), Some(&vec![7; 100_000]), &[]);
        }
        assert_eq!(batches.count(), 10);
        let finished = batches.finish();
        assert_eq!(finished.len(), 4);
        let counts = finished
            .iter()
            .map(|batch| BatchHeader::parse(batch).unwrap().records_count);
        assert_eq!(counts.sum::<i32>(), 10);
    }
}
