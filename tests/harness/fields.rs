//! Responses as flat lists of fields, to compare two brokers' answers field by field.
use std::collections::BTreeMap;
use std::fmt::Debug;

/// The fields of a message by path (`topics[0].partitions[1].error_code`), with their values as
/// text. It reads the derived `{:#?}` form, which all generated messages have.
pub fn flatten(message: &impl Debug) -> BTreeMap<String, String> {
    let text = format!("{message:#?}");
    let mut fields = BTreeMap::new();
    // One entry per open bracket: the path before it, and the index of the next element.
    let mut open: Vec<(String, usize)> = vec![(String::new(), 0)];
    for line in text.lines() {
        let line = line.trim().trim_end_matches(',');
        let (name, value) = match line.split_once(": ") {
            Some((name, value)) if is_name(name) => (name, value),
            _ => ("", line),
        };
        if matches!(value, "}" | "]" | ")") {
            open.pop();
            continue;
        }
        let path = step(&mut open, name, value);
        if value.ends_with(['{', '[', '(']) {
            open.push((path, 0));
        } else if !path.ends_with("unknown_tagged_fields") {
            fields.insert(path, value.to_owned());
        }
    }
    fields
}

/// The path of what this line names, below the innermost open bracket.
fn step(open: &mut [(String, usize)], name: &str, value: &str) -> String {
    let Some((parent, next)) = open.last_mut() else {
        return name.to_owned();
    };
    if name.is_empty() {
        // The message itself, the one element of a newtype or `Some`, or an element of a list.
        let wrapped = parent.is_empty() && value.ends_with('{');
        let path = if wrapped {
            parent.clone()
        } else {
            format!("{parent}[{next}]")
        };
        *next += 1;
        return path;
    }
    if parent.is_empty() {
        name.to_owned()
    } else {
        format!("{parent}.{name}")
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The last name of a path, without indexes: `error_code`.
pub fn last_name(path: &str) -> &str {
    let named = path.trim_end_matches(|c: char| c == ']' || c == '[' || c.is_ascii_digit());
    named.rsplit('.').next().unwrap_or(named)
}

/// Lines `path: left | right` for every field that differs and that `may_differ` does not excuse.
pub fn differences(
    left: &BTreeMap<String, String>,
    right: &BTreeMap<String, String>,
    may_differ: impl Fn(&str) -> bool,
) -> Vec<String> {
    let absent = || "(absent)".to_owned();
    let paths: std::collections::BTreeSet<&String> = left.keys().chain(right.keys()).collect();
    let value = |side: &BTreeMap<String, String>, path: &String| {
        side.get(path).cloned().unwrap_or_else(absent)
    };
    paths
        .into_iter()
        .filter(|path| left.get(*path) != right.get(*path) && !may_differ(path))
        .map(|path| format!("{path}: {} | {}", value(left, path), value(right, path)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    #[expect(dead_code, reason = "read through Debug")]
    struct Inner {
        error_code: i16,
        name: Option<&'static str>,
    }

    #[derive(Debug)]
    #[expect(dead_code, reason = "read through Debug")]
    struct Outer {
        throttle_time_ms: i32,
        topics: Vec<Inner>,
        empty: Vec<i32>,
    }

    #[test]
    fn every_field_has_a_path() {
        let one = Outer {
            throttle_time_ms: 5,
            topics: vec![
                Inner {
                    error_code: 3,
                    name: None,
                },
                Inner {
                    error_code: 0,
                    name: Some("a: b"),
                },
            ],
            empty: vec![],
        };
        let fields = flatten(&one);
        assert_eq!(fields["throttle_time_ms"], "5", "{fields:?}");
        assert_eq!(fields["topics[0].error_code"], "3", "{fields:?}");
        assert_eq!(fields["topics[1].error_code"], "0", "{fields:?}");
        assert_eq!(fields["topics[1].name[0]"], "\"a: b\"", "{fields:?}");
        assert_eq!(last_name("topics[1].name[0]"), "name");
        let other = Outer {
            throttle_time_ms: 0,
            topics: vec![],
            empty: vec![1],
        };
        let excused = |path: &str| last_name(path) == "throttle_time_ms";
        let found = differences(&fields, &flatten(&other), excused);
        assert!(
            found
                .iter()
                .any(|line| line.starts_with("topics[0].error_code: 3 | (abs"))
        );
        assert!(found.iter().all(|line| !line.contains("throttle")));
    }
}
