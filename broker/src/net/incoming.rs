//! Bytes of requests on their way in, and the share of the budget that covers them.
use std::io;

use bytes::{Buf, Bytes, BytesMut};
use config::Settings;
use protocol::messages::ApiKey;
use tokio::net::TcpStream;

use super::budget::{Budget, More, Share};

/// First read of a busy phase: most requests are smaller, and ten thousand connections may have one.
const FIRST_READ: usize = 1 << 10;
/// Reads that fill their buffer double the next one up to this.
const LARGEST_READ: usize = 64 << 10;
/// The buffer grows by at most this much ahead of what has come in.
const READ_AHEAD: usize = 1 << 20;
/// Buffers up to this are not counted against the budget before their frame is whole.
const UNCOUNTED: usize = 16 << 10;

/// A size that no frame may have.
#[derive(Debug, thiserror::Error)]
#[error("a frame of {size} bytes, API key {key} allows 8 to {limit}")]
pub struct BadSize {
    key: i16,
    size: i32,
    limit: usize,
}

/// The bytes that were read and not yet taken.
#[derive(Debug)]
pub struct Incoming {
    buffer: BytesMut,
    /// Bytes of the allocation that `buffer` is a part of.
    reserved: usize,
    /// Frames that may be gone by now were in that allocation.
    shared: bool,
    read_size: usize,
    /// Covers the frame at the head of the buffer.
    share: Share,
    /// The client will send no more.
    pub ended: bool,
}

/// What trying to take a frame gives.
pub enum Taken {
    /// One without its size prefix, and what it holds of the budget.
    Frame(Bytes, Share),
    /// The frame at the head is not whole.
    Nothing,
    /// What the share lacks; nothing can be taken or read before it was added.
    Lacking(More),
}

impl Incoming {
    /// No buffer yet.
    pub fn new() -> Self {
        Self {
            buffer: BytesMut::new(),
            reserved: 0,
            shared: false,
            read_size: FIRST_READ,
            share: Share::default(),
            ended: false,
        }
    }

    /// Whether nothing waits to be taken.
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Adds to the share what it lacked.
    pub fn add(&mut self, more: Share) {
        self.share.add(more);
    }

    /// Reads what the socket has, once; gives what is lacking to do so.
    pub fn read(
        &mut self,
        stream: &TcpStream,
        budget: &Budget,
        settings: &Settings,
    ) -> Result<Option<More>, ReadError> {
        let missing = self
            .frame_size(settings)?
            .map(|size| size.saturating_sub(self.buffer.len()));
        let wanted = missing.unwrap_or(0).min(READ_AHEAD).max(self.read_size);
        let grown = self.buffer.len() + wanted;
        if grown > UNCOUNTED
            && let Some(more) = budget.raise(&mut self.share, grown)
        {
            return Ok(Some(more));
        }
        self.buffer.reserve(wanted);
        self.reserved = self.reserved.max(grown);
        match stream.try_read_buf(&mut self.buffer) {
            Ok(0) => self.ended = true,
            Ok(_) if self.buffer.len() == self.buffer.capacity() => {
                self.read_size = (self.read_size * 2).min(LARGEST_READ);
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
        Ok(None)
    }

    /// Bytes of the frame at the head of the buffer, size prefix included, once that is known and
    /// allowed.
    fn frame_size(&self, settings: &Settings) -> Result<Option<usize>, BadSize> {
        let Some((size, rest)) = self.buffer.split_first_chunk::<4>() else {
            return Ok(None);
        };
        let size = i32::from_be_bytes(*size);
        let Some((key, _)) = rest.split_first_chunk::<2>() else {
            // Even the shortest header has eight bytes.
            let (key, limit) = (-1, 0);
            return if size < 8 {
                Err(BadSize { key, size, limit })
            } else {
                Ok(None)
            };
        };
        let key = i16::from_be_bytes(*key);
        let limit = if key == ApiKey::Produce as i16 {
            settings.socket_request_max_bytes as usize
        } else {
            settings.request_max_bytes as usize
        };
        match usize::try_from(size) {
            Ok(size) if (8..=limit).contains(&size) => Ok(Some(size + 4)),
            _ => Err(BadSize { key, size, limit }),
        }
    }

    /// Bytes of the frame at the head of the buffer, if all of them are there.
    pub fn whole_frame(&self, settings: &Settings) -> Result<Option<usize>, BadSize> {
        let size = self.frame_size(settings)?;
        Ok(size.filter(|size| self.buffer.len() >= *size))
    }

    /// Takes the frame at the head of the buffer, if all of it is there.
    pub fn take(&mut self, budget: &Budget, settings: &Settings) -> Result<Taken, BadSize> {
        let Some(size) = self.whole_frame(settings)? else {
            return Ok(Taken::Nothing);
        };
        if let Some(more) = budget.raise(&mut self.share, size) {
            return Ok(Taken::Lacking(more));
        }
        let mut frame = self.buffer.split_to(size).freeze();
        frame.advance(4);
        self.shared = true;
        let share = self.share.split(size);
        Ok(Taken::Frame(frame, share))
    }

    /// Lets go of memory before a wait: what waits should not be there because of what is done.
    pub fn shrink(&mut self) {
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
            self.share = Share::default();
        } else if self.shared && self.reserved > UNCOUNTED && self.buffer.len() < self.reserved / 4
        {
            self.buffer = BytesMut::from(&self.buffer[..]);
        } else {
            return;
        }
        self.reserved = self.buffer.len();
        self.shared = false;
    }
}

/// Why nothing can be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The connection is lost.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// What was read is nonsense.
    #[error(transparent)]
    BadSize(#[from] BadSize),
}
