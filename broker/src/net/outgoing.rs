//! Pieces of replies on their way out, written by vectored writes straight from where they lie.
use std::collections::VecDeque;
use std::io::{self, IoSlice};

use bytes::{Buf, Bytes};
use tokio::net::TcpStream;

use super::unsent::{Counted, Unwritten};

/// Pieces that one system call takes at most.
const PIECES_PER_WRITE: usize = 64;

/// The pieces that have yet to be written, in order. A write is never cancelled half-way: what is
/// here goes out, or the connection ends.
#[derive(Debug, Default)]
pub struct Outgoing {
    /// The last piece of each reply goes with what counts the reply.
    pieces: VecDeque<(Bytes, Option<Counted>)>,
    bytes: usize,
}

impl Outgoing {
    /// Adds the pieces of one reply.
    pub fn push(&mut self, reply: Unwritten) {
        for piece in reply.pieces {
            if !piece.is_empty() {
                self.bytes += piece.len();
                self.pieces.push_back((piece, None));
            }
        }
        if let Some((_, counted)) = self.pieces.back_mut() {
            *counted = Some(reply.counted);
        }
    }

    /// Bytes that have yet to be written.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Writes as much as the socket takes now; says whether it took anything.
    pub fn write_to(&mut self, stream: &TcpStream) -> io::Result<bool> {
        let before = self.bytes;
        while !self.pieces.is_empty() {
            let mut slices = [IoSlice::new(&[]); PIECES_PER_WRITE];
            let mut count = 0;
            for (slot, (piece, _)) in slices.iter_mut().zip(&self.pieces) {
                *slot = IoSlice::new(piece);
                count += 1;
            }
            match stream.try_write_vectored(&slices[..count]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => self.advance(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.bytes < before)
    }

    fn advance(&mut self, mut written: usize) {
        self.bytes -= written;
        while let Some((front, _)) = self.pieces.front_mut() {
            if front.len() > written {
                front.advance(written);
                return;
            }
            written -= front.len();
            self.pieces.pop_front();
        }
    }
}
