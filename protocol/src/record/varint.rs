//! Zigzag varints, as records use them: seven bits to a byte, low bits first.

// Positions go in and out by value: a `&mut` to one would keep it in memory for the sake of the cold
// path, which makes the walk over a batch twice as slow.

/// Reads a 32-bit zigzag varint at `at`: the value and the position after it. `None` if the bytes end
/// inside it or it is longer than five bytes.
#[inline]
pub(super) fn read_i32(bytes: &[u8], at: usize) -> Option<(i32, usize)> {
    let (raw, next) = read(bytes, at, 5)?;
    let raw = u32::try_from(raw).ok()?;
    Some(((raw >> 1) as i32 ^ -((raw & 1) as i32), next))
}

/// Reads a 64-bit zigzag varint at `at`: the value and the position after it. `None` if the bytes end
/// inside it or it is longer than ten bytes.
#[inline]
pub(super) fn read_i64(bytes: &[u8], at: usize) -> Option<(i64, usize)> {
    let (raw, next) = read(bytes, at, 10)?;
    Some(((raw >> 1) as i64 ^ -((raw & 1) as i64), next))
}

#[inline]
fn read(bytes: &[u8], at: usize, longest: usize) -> Option<(u64, usize)> {
    let first = *bytes.get(at)?;
    if first < 0x80 {
        return Some((u64::from(first), at + 1));
    }
    // Two bytes hold lengths up to 8191 and deltas up to ±8191: nearly everything else.
    let second = *bytes.get(at + 1)?;
    if second < 0x80 {
        return Some((u64::from(first & 0x7f) | u64::from(second) << 7, at + 2));
    }
    read_long(bytes, at, longest)
}

#[cold]
#[inline(never)]
fn read_long(bytes: &[u8], at: usize, longest: usize) -> Option<(u64, usize)> {
    let mut value = 0;
    for i in 0..longest {
        let byte = *bytes.get(at + i)?;
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte < 0x80 {
            return Some((value, at + i + 1));
        }
    }
    None
}

/// Appends a 32-bit zigzag varint.
pub(super) fn write_i32(out: &mut Vec<u8>, value: i32) {
    write_i64(out, i64::from(value));
}

/// Appends a 64-bit zigzag varint.
pub(super) fn write_i64(out: &mut Vec<u8>, value: i64) {
    let mut raw = zigzag(value);
    while raw >= 0x80 {
        out.push(raw as u8 | 0x80);
        raw >>= 7;
    }
    out.push(raw as u8);
}

/// Bytes that a value takes.
pub(super) fn size(value: i64) -> usize {
    (64 - (zigzag(value) | 1).leading_zeros() as usize).div_ceil(7)
}

fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63) as u64
}
