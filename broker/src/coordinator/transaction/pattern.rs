//! Regular expressions for transactional ids, as ListTransactions has them (KIP-1152). Apache Kafka
//! takes RE2's; those of the `regex` crate are of the same kind: matched in linear time, without
//! references back. They differ in rarities only (`\Q…\E` is not known here).
use regex::{Regex, RegexBuilder};

/// Longest pattern, in bytes.
const PATTERN_BYTES: usize = 1024;
/// What a pattern may become when it is compiled, in bytes.
const COMPILED_BYTES: usize = 1 << 20;
/// How deep groups may lie in each other.
const DEPTH: u32 = 50;

/// A pattern that a whole transactional id matches or not.
#[derive(Debug)]
pub struct Pattern(Regex);

/// What was given is no pattern, or one that is too large.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a regular expression, or too large a one")]
pub struct BadPattern;

impl Pattern {
    /// Compiles a pattern.
    pub fn new(pattern: &str) -> Result<Self, BadPattern> {
        if pattern.len() > PATTERN_BYTES {
            return Err(BadPattern);
        }
        let build = |pattern: &str| {
            let mut builder = RegexBuilder::new(pattern);
            builder.size_limit(COMPILED_BYTES).nest_limit(DEPTH);
            builder.build().map_err(|_| BadPattern)
        };
        // On its own first: `a)(b` is a pattern between parentheses only.
        build(pattern)?;
        build(&format!(r"\A(?:{pattern})\z")).map(Self)
    }

    /// Whether all of `id` is like the pattern.
    pub fn matches(&self, id: &str) -> bool {
        self.0.is_match(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_the_id_must_match() {
        let cases = [
            ("app", "app", true),
            ("app", "app-1", false),
            ("app-.*", "app-1", true),
            ("p", "app", false),
            ("a|ap|app", "app", true),
            ("(?i)APP-[0-9]+", "app-17", true),
            (r"\pL+", "größe", true),
            ("^app$", "app", true),
            (".", "ö", true),
        ];
        for (pattern, id, is) in cases {
            assert_eq!(Pattern::new(pattern).unwrap().matches(id), is, "{pattern}");
        }
    }

    #[test]
    fn what_is_none_or_too_large_is_refused() {
        let long = "a".repeat(PATTERN_BYTES + 1);
        let deep = "(".repeat(200) + &")".repeat(200);
        let bad = ["(", "a)(b", "[z-a]", "*", r"(a)\1", "((a{100}){100}){100}"];
        for pattern in bad.into_iter().chain([&*long, &*deep]) {
            assert_eq!(Pattern::new(pattern).err(), Some(BadPattern), "{pattern}");
        }
    }
}
