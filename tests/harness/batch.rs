//! Record batches (magic 2) written by hand, so that a test can also write wrong ones, and without
//! klamm's own code.
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::{BufMut, Bytes, BytesMut};

/// What goes into a batch. The defaults are those of a plain producer.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Key and value of each record.
    pub records: Vec<(Option<Bytes>, Option<Bytes>)>,
    /// Epoch milliseconds of each record, from the first one on.
    pub timestamps: Vec<i64>,
    /// Producer id, epoch and base sequence.
    pub producer: (i64, i16, i32),
    /// Attribute bits, e.g. a codec (the body is not compressed by this).
    pub attributes: i16,
    /// Format version.
    pub magic: i8,
    /// Added to the number of records in the header.
    pub count_error: i32,
    /// Added to the last offset delta.
    pub delta_error: i32,
    /// Flipped in the checksum.
    pub checksum_error: u32,
}

impl Default for Batch {
    fn default() -> Self {
        Self {
            records: Vec::new(),
            timestamps: Vec::new(),
            producer: (-1, -1, -1),
            attributes: 0,
            magic: 2,
            count_error: 0,
            delta_error: 0,
            checksum_error: 0,
        }
    }
}

impl Batch {
    /// A batch of records with these values and a key each. Their time is now: retention takes
    /// older ones away.
    pub fn of(values: &[&str]) -> Self {
        let records = values.iter().map(|value| (Some("key"), Some(*value)));
        Self::of_pairs(&records.collect::<Vec<_>>())
    }

    /// A batch of these keys and values.
    pub fn of_pairs(records: &[(Option<&str>, Option<&str>)]) -> Self {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_millis() as i64;
        let copy = |text: Option<&str>| text.map(|text| Bytes::copy_from_slice(text.as_bytes()));
        Self {
            timestamps: (now..).take(records.len()).collect(),
            records: records
                .iter()
                .map(|(key, value)| (copy(*key), copy(*value)))
                .collect(),
            ..Self::default()
        }
    }

    /// Makes it idempotent.
    #[must_use]
    pub fn producer(mut self, id: i64, epoch: i16, sequence: i32) -> Self {
        self.producer = (id, epoch, sequence);
        self
    }

    /// Sets the time of each record, in epoch milliseconds.
    #[must_use]
    pub fn at(mut self, timestamps: &[i64]) -> Self {
        self.timestamps = timestamps.to_vec();
        self
    }

    /// The bytes of the batch.
    pub fn bytes(&self) -> Bytes {
        let count = self.records.len() as i32;
        let first = self.timestamps.first().copied().unwrap_or(-1);
        let mut checked = BytesMut::new();
        checked.put_i16(self.attributes);
        checked.put_i32(count - 1 + self.delta_error);
        checked.put_i64(first);
        checked.put_i64(self.timestamps.iter().copied().max().unwrap_or(-1));
        checked.put_i64(self.producer.0);
        checked.put_i16(self.producer.1);
        checked.put_i32(self.producer.2);
        checked.put_i32(count + self.count_error);
        for (index, (key, value)) in self.records.iter().enumerate() {
            let time = self.timestamps.get(index).map_or(0, |time| time - first);
            let mut record = BytesMut::new();
            record.put_i8(0);
            put_varint(&mut record, time);
            put_varint(&mut record, index as i64);
            put_bytes(&mut record, key.as_deref());
            put_bytes(&mut record, value.as_deref());
            put_varint(&mut record, 0);
            put_varint(&mut checked, record.len() as i64);
            checked.put_slice(&record);
        }
        let mut batch = BytesMut::new();
        batch.put_i64(0);
        batch.put_i32(checked.len() as i32 + 9);
        batch.put_i32(-1);
        batch.put_i8(self.magic);
        batch.put_u32(crc32c::crc32c(&checked) ^ self.checksum_error);
        batch.put_slice(&checked);
        batch.freeze()
    }
}

fn put_bytes(target: &mut BytesMut, bytes: Option<&[u8]>) {
    match bytes {
        None => put_varint(target, -1),
        Some(bytes) => {
            put_varint(target, bytes.len() as i64);
            target.put_slice(bytes);
        }
    }
}

/// A zigzag variable-length integer.
fn put_varint(target: &mut BytesMut, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        target.put_u8(rest as u8 | 0x80);
        rest >>= 7;
    }
    target.put_u8(rest as u8);
}
