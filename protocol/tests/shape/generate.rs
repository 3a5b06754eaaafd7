//! Bodies made from a shape: what a client could send.
use protocol::shape::{Field, Request, Type};

use super::random::Random;

/// What kind of bodies to make.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Style {
    /// A bit of everything, in the one form that the encoder would choose.
    Mixed,
    /// As little as possible on the wire for as much as possible in memory: empty strings, nulls
    /// where allowed, `count` elements in the arrays at `depth`, one in those around them, and so
    /// many unknown tagged fields in the outermost structure and in each inner one, or in the first
    /// fifth of the inner ones: as many as are let through.
    Dense {
        depth: usize,
        count: usize,
        outer_tags: u32,
        inner_tags: u32,
        all: bool,
    },
}

pub(crate) struct Generator {
    random: Random,
    style: Style,
    depth: usize,
    /// How many inner structures there were.
    inner: usize,
    flexible: bool,
    version: i16,
    out: Vec<u8>,
}

impl Generator {
    pub(crate) fn new(seed: u64, style: Style) -> Self {
        Self {
            random: Random::new(seed),
            style,
            depth: 0,
            inner: 0,
            flexible: false,
            version: 0,
            out: Vec::new(),
        }
    }

    pub(crate) fn body(mut self, request: &Request, version: i16) -> Vec<u8> {
        self.version = version;
        self.flexible = request.is_flexible(version);
        self.fields(request.fields, true);
        self.out
    }

    fn fields(&mut self, fields: &[Field], outermost: bool) {
        let version = self.version;
        for field in fields
            .iter()
            .filter(|f| f.tag.is_none() && f.is_in(version))
        {
            self.value(&field.kind, false);
        }
        if self.flexible {
            self.tagged_fields(fields, outermost);
        }
    }

    /// In the encoder's order: the known ones by tag, then the unknown ones.
    fn tagged_fields(&mut self, fields: &[Field], outermost: bool) {
        let mut known: Vec<&Field> = fields
            .iter()
            .filter(|f| f.tag.is_some() && f.is_in(self.version))
            .collect();
        known.sort_by_key(|field| field.tag);
        known.retain(|_| matches!(self.style, Style::Mixed) && self.random.below(2) == 0);
        let unknown = match self.style {
            Style::Mixed => self.random.below(8).saturating_sub(5) as u32,
            Style::Dense { outer_tags, .. } if outermost => outer_tags,
            Style::Dense {
                count,
                inner_tags,
                all,
                ..
            } => {
                self.inner += 1;
                if all || self.inner <= count / 5 {
                    inner_tags
                } else {
                    0
                }
            }
        };
        self.varint(known.len() as u32 + unknown);
        for field in known {
            let around = std::mem::take(&mut self.out);
            self.value(&field.kind, true);
            let value = std::mem::replace(&mut self.out, around);
            self.varint(field.tag.expect("only tagged fields are kept"));
            self.varint(value.len() as u32);
            self.out.extend(value);
        }
        for tag in 100..100 + unknown {
            let value = match self.style {
                Style::Mixed => self.random.bytes(5),
                Style::Dense { .. } => Vec::new(),
            };
            self.varint(tag);
            self.varint(value.len() as u32);
            self.out.extend(value);
        }
    }

    /// `tagged`: not the default value, which an encoder leaves out.
    fn value(&mut self, kind: &Type, tagged: bool) {
        match kind {
            Type::Bool => self.out.push(1),
            Type::Int8 => self.positive(1),
            Type::Int16 | Type::UInt16 => self.positive(2),
            Type::Int32 => self.positive(4),
            Type::Int64 | Type::Float64 => self.positive(8),
            Type::Uuid => self.positive(16),
            Type::String | Type::NullableString => {
                let null = matches!(kind, Type::NullableString) && self.null(tagged);
                let text = (!null).then(|| self.text(tagged));
                self.length(text.as_ref().map(Vec::len), true);
                self.out.extend(text.unwrap_or_default());
            }
            Type::Bytes | Type::NullableBytes => {
                let null = matches!(kind, Type::NullableBytes) && self.null(tagged);
                let bytes = (!null).then(|| self.text(tagged));
                self.length(bytes.as_ref().map(Vec::len), false);
                self.out.extend(bytes.unwrap_or_default());
            }
            Type::Struct(fields) => self.fields(fields, false),
            Type::NullableStruct(fields) => {
                if self.null(tagged) {
                    self.out.push(0xff);
                } else {
                    self.out.push(1);
                    self.fields(fields, false);
                }
            }
            Type::NullableArray(_) if matches!(self.style, Style::Mixed) && self.null(tagged) => {
                self.length(None, false);
            }
            Type::Array(element) | Type::NullableArray(element) => self.array(element),
        }
    }

    fn array(&mut self, element: &Type) {
        let count = match self.style {
            Style::Mixed => self.random.below(4),
            Style::Dense { depth, count, .. } if depth == self.depth => count,
            Style::Dense { depth, .. } => usize::from(self.depth < depth),
        };
        self.length(Some(count), false);
        self.depth += 1;
        for _ in 0..count {
            self.value(element, false);
        }
        self.depth -= 1;
    }

    fn null(&mut self, tagged: bool) -> bool {
        match self.style {
            Style::Mixed => !tagged && self.random.below(4) == 0,
            Style::Dense { .. } => true,
        }
    }

    fn text(&mut self, tagged: bool) -> Vec<u8> {
        match self.style {
            Style::Mixed => {
                let len = self.random.below(12) + usize::from(tagged);
                (0..len)
                    .map(|_| b'a' + self.random.below(26) as u8)
                    .collect()
            }
            Style::Dense { .. } => Vec::new(),
        }
    }

    /// A number of that many bytes that is neither 0 nor -1, the usual defaults.
    fn positive(&mut self, len: usize) {
        self.out.push(1 + self.random.below(0x7f) as u8);
        for _ in 1..len {
            self.out.push(self.random.next() as u8);
        }
    }

    fn length(&mut self, length: Option<usize>, string: bool) {
        if self.flexible {
            self.varint(length.map_or(0, |length| length as u32 + 1));
        } else if string {
            self.out
                .extend(length.map_or(-1, |length| length as i16).to_be_bytes());
        } else {
            self.out
                .extend(length.map_or(-1, |length| length as i32).to_be_bytes());
        }
    }

    fn varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.out.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.out.push(value as u8);
    }
}
