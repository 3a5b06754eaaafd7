//! Settings whose value is one of a few words.
use crate::field::{Field, Kind};

macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $($(#[$doc])* $variant,)+
        }

        impl $name {
            /// Every word, in order.
            pub const WORDS: &'static [&'static str] = &[$($word),+];
        }

        impl Field for $name {
            const KIND: Kind = Kind::String;

            fn parse(text: &str) -> Result<Self, String> {
                match text.trim() {
                    $($word => Ok($name::$variant),)+
                    _ => Err(format!("String must be one of: {}", Self::WORDS.join(", "))),
                }
            }

            fn show(&self) -> Option<String> {
                Some(match self { $($name::$variant => $word,)+ }.to_owned())
            }
        }
    };
}

words! {
    /// When a produce with acks=all is answered.
    FlushPolicy {
        /// After the bytes are on the disk: survives the loss of power.
        Commit = "commit",
        /// When the operating system has them: survives a crash of the process.
        Os = "os",
    }
}

words! {
    /// What the timestamp of a record tells.
    TimestampType {
        /// The producer's time.
        CreateTime = "CreateTime",
        /// The broker's time at append.
        LogAppendTime = "LogAppendTime",
    }
}

words! {
    /// The codec that batches are kept in.
    CompressionType {
        /// None, whatever the producer sent.
        Uncompressed = "uncompressed",
        /// Zstandard.
        Zstd = "zstd",
        /// LZ4 frames.
        Lz4 = "lz4",
        /// Snappy.
        Snappy = "snappy",
        /// Gzip.
        Gzip = "gzip",
        /// As the producer sent it.
        Producer = "producer",
    }
}

/// What happens to old records: `delete`, `compact` or both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cleanup {
    /// Segments past retention are deleted.
    pub delete: bool,
    /// Only the latest value of each key is kept.
    pub compact: bool,
    /// `compact` was named first; only [`Field::show`] cares.
    compact_first: bool,
}

impl Field for Cleanup {
    const KIND: Kind = Kind::List;

    fn parse(text: &str) -> Result<Self, String> {
        let words = Vec::<String>::parse(text)?;
        let mut cleanup = Cleanup {
            delete: false,
            compact: false,
            compact_first: words.first().is_some_and(|word| word == "compact"),
        };
        for word in words {
            match word.as_str() {
                "delete" => cleanup.delete = true,
                "compact" => cleanup.compact = true,
                _ => return Err("String must be one of: compact, delete".into()),
            }
        }
        if cleanup.delete || cleanup.compact {
            Ok(cleanup)
        } else {
            Err("Value must name compact, delete or both".into())
        }
    }

    fn show(&self) -> Option<String> {
        let text = match (self.delete, self.compact) {
            (true, true) if self.compact_first => "compact,delete",
            (true, true) => "delete,compact",
            (_, true) => "compact",
            _ => "delete",
        };
        Some(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_exact() {
        assert_eq!(FlushPolicy::parse("os"), Ok(FlushPolicy::Os));
        assert_eq!(
            FlushPolicy::parse("never").unwrap_err(),
            "String must be one of: commit, os"
        );
        assert!(TimestampType::parse("createtime").is_err());
    }

    #[test]
    fn cleanup_keeps_the_order_it_was_given() {
        for text in ["delete", "compact", "delete,compact", "compact,delete"] {
            assert_eq!(Cleanup::parse(text).unwrap().show().as_deref(), Some(text));
        }
        assert!(Cleanup::parse("").is_err());
        assert!(Cleanup::parse("compact,archive").is_err());
    }
}
