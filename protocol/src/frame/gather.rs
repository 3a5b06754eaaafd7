//! A buffer that the crate's encoders write into and that does not copy what is already in memory.
use std::ops::Range;

use bytes::buf::UninitSlice;
use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::protocol::buf::ByteBufMut;

/// Room for most responses without records.
const INITIAL_CAPACITY: usize = 256;

/// Collects the encoder's own bytes in one buffer, and notes where shared bytes belong in between.
pub(super) struct Gather {
    own: BytesMut,
    /// Position in `own` and the bytes that go in there; positions ascend.
    inserted: Vec<(usize, Bytes)>,
    /// What may still come by, next one last.
    expected: Vec<Bytes>,
}

impl Gather {
    pub(super) fn new(mut shared: Vec<Bytes>) -> Self {
        shared.retain(|bytes| !bytes.is_empty());
        shared.reverse();
        Self {
            own: BytesMut::with_capacity(INITIAL_CAPACITY),
            inserted: Vec::with_capacity(shared.len()),
            expected: shared,
        }
    }

    /// Bytes collected, shared ones included.
    pub(super) fn len(&self) -> usize {
        self.own.len()
            + self
                .inserted
                .iter()
                .map(|(_, bytes)| bytes.len())
                .sum::<usize>()
    }

    /// Writes the size prefix, for which the first four bytes were left free.
    pub(super) fn set_size(&mut self, size: i32) {
        self.own[..4].copy_from_slice(&size.to_be_bytes());
    }

    /// The pieces in order, none of them empty.
    pub(super) fn into_pieces(self) -> Vec<Bytes> {
        let mut own = self.own.freeze();
        let mut pieces = Vec::with_capacity(2 * self.inserted.len() + 1);
        let mut taken = 0;
        for (position, bytes) in self.inserted {
            if position > taken {
                pieces.push(own.split_to(position - taken));
                taken = position;
            }
            pieces.push(bytes);
        }
        if !own.is_empty() {
            pieces.push(own);
        }
        pieces
    }
}

/// `BufMut` is an unsafe trait, and there is no other way to see an encoder's `put_slice`.
///
/// SAFETY: the trait's contract is about `remaining_mut`, `chunk_mut` and `advance_mut`. All three
/// go to the `BytesMut` unchanged, and nothing else here touches its spare capacity.
#[expect(
    unsafe_code,
    reason = "the only way to implement BufMut; it forwards to BytesMut"
)]
unsafe impl BufMut for Gather {
    fn remaining_mut(&self) -> usize {
        self.own.remaining_mut()
    }

    unsafe fn advance_mut(&mut self, count: usize) {
        // SAFETY: the caller's promise is passed on as it is.
        unsafe { self.own.advance_mut(count) }
    }

    fn chunk_mut(&mut self) -> &mut UninitSlice {
        self.own.chunk_mut()
    }

    #[inline]
    fn put_slice(&mut self, src: &[u8]) {
        if let Some(next) = self.expected.last()
            && next.len() == src.len()
            && std::ptr::eq(next.as_ptr(), src.as_ptr())
            && let Some(next) = self.expected.pop()
        {
            self.inserted.push((self.own.len(), next));
        } else {
            self.own.extend_from_slice(src);
        }
    }
}

impl ByteBufMut for Gather {
    fn offset(&self) -> usize {
        self.own.offset()
    }
    fn seek(&mut self, offset: usize) {
        self.own.seek(offset);
    }
    fn range(&mut self, range: Range<usize>) -> &mut [u8] {
        self.own.range(range)
    }
}
