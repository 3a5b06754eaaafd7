//! The batches of a segment file, one after the other, with only one in memory.
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use protocol::record::{BatchHeader, HEADER_LEN, RecordError, verify};

/// A batch and where it lies.
#[derive(Debug)]
pub(super) struct Batch {
    /// Byte in the file.
    pub(super) position: u64,
    pub(super) header: BatchHeader,
    /// The whole batch, header included.
    pub(super) bytes: Vec<u8>,
}

/// What is wrong at a place of a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("position {position}: {what}")]
pub(super) struct Damage {
    /// Byte in the file.
    pub(super) position: u64,
    /// What is wrong.
    pub(super) what: String,
}

/// The batches of a segment. Goes on after a batch whose checksum is wrong, and ends after damage
/// that leaves no way to find the next batch.
#[derive(Debug)]
pub(super) struct Batches {
    input: BufReader<File>,
    position: u64,
    len: u64,
    /// Bytes at the end that are reserved for batches to come: all zero.
    reserved: u64,
    ended: bool,
}

impl Batches {
    pub(super) fn open(path: &Path) -> io::Result<Batches> {
        let file = File::open(path)?;
        let len = file.metadata()?.len();
        let input = BufReader::with_capacity(1 << 18, file);
        Ok(Batches {
            input,
            position: 0,
            len,
            reserved: 0,
            ended: false,
        })
    }

    /// Bytes at the end that are reserved; known once the batches have been read.
    pub(super) fn reserved(&self) -> u64 {
        self.reserved
    }

    fn read_next(&mut self) -> io::Result<Option<Result<Batch, Damage>>> {
        let position = self.position;
        let left = self.len.saturating_sub(position);
        if left == 0 {
            return Ok(None);
        }
        let mut bytes = vec![0; HEADER_LEN.min(left as usize)];
        self.input.read_exact(&mut bytes)?;
        if bytes.iter().all(|byte| *byte == 0) {
            self.ended = true;
            if self.is_zero_to_the_end()? {
                self.reserved = left;
                return Ok(None);
            }
            return Ok(Some(Err(damage(
                position,
                &"zeros where a batch should be",
            ))));
        }
        let header = match BatchHeader::parse(&bytes) {
            Ok(header) => header,
            Err(error) => {
                self.ended = true;
                return Ok(Some(Err(damage(position, &error))));
            }
        };
        if header.size() as u64 > left {
            self.ended = true;
            let error = RecordError::Truncated {
                needed: header.size(),
                left: left as usize,
            };
            return Ok(Some(Err(damage(position, &error))));
        }
        bytes.resize(header.size(), 0);
        self.input.read_exact(&mut bytes[HEADER_LEN..])?;
        self.position += bytes.len() as u64;
        Ok(Some(match verify(&bytes) {
            Ok(header) => Ok(Batch {
                position,
                header,
                bytes,
            }),
            Err(error) => Err(damage(position, &error)),
        }))
    }

    fn is_zero_to_the_end(&mut self) -> io::Result<bool> {
        let mut block = [0; 1 << 14];
        loop {
            match self.input.read(&mut block)? {
                0 => return Ok(true),
                read if block[..read].iter().any(|byte| *byte != 0) => return Ok(false),
                _ => {}
            }
        }
    }
}

fn damage(position: u64, what: &dyn std::fmt::Display) -> Damage {
    Damage {
        position,
        what: what.to_string(),
    }
}

impl Iterator for Batches {
    type Item = Result<Batch, Damage>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        self.read_next().unwrap_or_else(|error| {
            self.ended = true;
            Some(Err(damage(self.position, &error)))
        })
    }
}
