//! Builds batches: for coordinators, projections, the client and tests.
use bytes::Bytes;

use super::Compression;

/// Collects records into one batch.
#[derive(Debug)]
pub struct BatchBuilder {}

impl BatchBuilder {
    /// An empty builder with base offset 0, no producer, create time.
    #[expect(clippy::new_without_default, reason = "skeleton")]
    pub fn new() -> Self {
        todo!()
    }
    /// Sets the codec.
    #[must_use]
    pub fn compression(self, _codec: Compression) -> Self {
        todo!()
    }
    /// Makes the batch idempotent.
    #[must_use]
    pub fn producer(self, _id: i64, _epoch: i16, _base_sequence: i32) -> Self {
        todo!()
    }
    /// Sets the transactional bit.
    #[must_use]
    pub fn transactional(self) -> Self {
        todo!()
    }
    /// Sets the control bit.
    #[must_use]
    pub fn control(self) -> Self {
        todo!()
    }
    /// Adds a record; its offset delta is its index.
    pub fn push(&mut self, _timestamp_ms: i64, _key: Option<&[u8]>, _value: Option<&[u8]>) {
        todo!()
    }
    /// Adds a record with headers.
    pub fn push_with_headers(
        &mut self,
        _timestamp_ms: i64,
        _key: Option<&[u8]>,
        _value: Option<&[u8]>,
        _headers: &[(&[u8], Option<&[u8]>)],
    ) {
        todo!()
    }
    /// How many records it holds.
    pub fn len(&self) -> usize {
        todo!()
    }
    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        todo!()
    }
    /// Uncompressed bytes so far, header included.
    pub fn size(&self) -> usize {
        todo!()
    }
    /// The finished batch with its checksum.
    pub fn build(self) -> Bytes {
        todo!()
    }
}
