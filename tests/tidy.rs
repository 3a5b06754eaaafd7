//! Rules of the code base that only hold because this test keeps them.
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Longest a source file may be; a longer one is not one thing any more.
const MAX_LINES: usize = 700;

/// Crates of this project that a crate may name (`[dependencies]`), floor by floor.
const FLOORS: &[(&str, &[&str])] = &[
    ("protocol", &[]),
    ("config", &[]),
    ("storage", &["protocol"]),
    ("projection", &["protocol"]),
    ("client", &["protocol"]),
    (
        "broker",
        &["client", "config", "projection", "protocol", "storage"],
    ),
];

/// Files that may hold `unsafe`: mapped slices, an encoder's `BufMut`, and a counting allocator.
const UNSAFE: &[&str] = &[
    "storage/src/mapping.rs",
    "protocol/src/frame/gather.rs",
    "protocol/tests/shape/allocations.rs",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every Rust source of the project, relative to its root.
fn sources() -> Vec<String> {
    fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).expect("a folder of sources").flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            if path.is_dir() {
                let name = name.to_string_lossy();
                if name != "target" && name != "node_modules" && !name.starts_with('.') {
                    walk(&path, found);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let root = root();
    let mut found = Vec::new();
    walk(&root, &mut found);
    assert!(found.len() > 100, "the walk misses the sources");
    let relative = |path: PathBuf| {
        let path = path.strip_prefix(&root).expect("below the root");
        path.to_string_lossy().into_owned()
    };
    found.into_iter().map(relative).collect()
}

fn assert_none(what: &str, offenders: &[String]) {
    assert!(
        offenders.is_empty(),
        "{what}:\n  {}",
        offenders.join("\n  ")
    );
}

#[test]
fn every_source_file_has_a_caption() {
    let bare = sources()
        .into_iter()
        .filter(|path| !read(path).starts_with("//! "));
    assert_none(
        "the first line says what the file is (`//! …`)",
        &bare.collect::<Vec<_>>(),
    );
}

#[test]
fn no_source_file_is_too_long() {
    let long = sources()
        .into_iter()
        .filter(|path| read(path).lines().count() > MAX_LINES);
    assert_none("split by noun", &long.collect::<Vec<_>>());
}

#[test]
fn nothing_is_left_for_later() {
    let holes = [
        concat!("todo", "!("),
        concat!("unimplemented", "!("),
        concat!("FIX", "ME"),
    ];
    let left = sources().into_iter().filter(|path| {
        let text = read(path);
        holes.iter().any(|hole| text.contains(hole))
    });
    assert_none("holes", &left.collect::<Vec<_>>());
}

#[test]
fn unsafe_stays_where_it_is_argued_for() {
    let marks = ["unsafe {", "unsafe fn", "unsafe impl"].map(|mark| format!("{mark} "));
    let strays = sources().into_iter().filter(|path| {
        let code = read(path);
        let has = code
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .any(|line| {
                let line = format!("{line} ");
                marks.iter().any(|mark| line.contains(mark.as_str()))
            });
        has && path != "tests/tidy.rs" && !UNSAFE.contains(&path.as_str())
    });
    assert_none(
        "unsafe code outside of its files",
        &strays.collect::<Vec<_>>(),
    );
}

#[test]
fn the_floors_hold() {
    let all: BTreeSet<_> = FLOORS.iter().map(|(name, _)| *name).collect();
    let mut broken = Vec::new();
    for (name, allowed) in FLOORS {
        let manifest = read(format!("{name}/Cargo.toml"));
        let section = manifest
            .split("[dependencies]")
            .nth(1)
            .expect("dependencies");
        let section = section.split("\n[").next().expect("a section");
        for line in section.lines() {
            let dependency = line.split(['=', '.', ' ']).next().unwrap_or_default();
            if all.contains(dependency) && !allowed.contains(&dependency) {
                broken.push(format!("{name} names {dependency}"));
            }
        }
    }
    assert_none("a crate names one it must not know", &broken);
}

#[test]
fn storage_and_projections_know_of_the_protocol_only_the_records() {
    let strays = sources()
        .into_iter()
        .filter(|path| path.starts_with("storage/") || path.starts_with("projection/"))
        .filter(|path| {
            let code = read(path);
            let uses = code
                .match_indices("protocol::")
                .map(|(at, word)| &code[at + word.len()..]);
            uses.into_iter().any(|rest| !rest.starts_with("record"))
        });
    assert_none(
        "more than protocol::record is named",
        &strays.collect::<Vec<_>>(),
    );
}

#[test]
fn handlers_and_http_do_not_know_each_other() {
    let strays = sources().into_iter().filter(|path| {
        let other = if path.starts_with("broker/src/handlers") {
            "crate::http"
        } else if path.starts_with("broker/src/http") {
            "crate::handlers"
        } else {
            return false;
        };
        read(path).contains(other)
    });
    assert_none("one names the other", &strays.collect::<Vec<_>>());
}

#[test]
fn every_handler_is_a_row_of_the_table() {
    let table = read("broker/src/handlers.rs");
    let rows: BTreeSet<String> = table
        .split("table![")
        .nth(1)
        .expect("the table")
        .split("];")
        .next()
        .expect("its end")
        .lines()
        .filter_map(|line| Some(line.trim().split_once("::")?.0.to_owned()))
        .collect();
    let folder = root().join("broker/src/handlers");
    let files: BTreeSet<String> = fs::read_dir(folder)
        .expect("the handlers")
        .flatten()
        .map(|entry| {
            entry
                .file_name()
                .to_string_lossy()
                .trim_end_matches(".rs")
                .to_owned()
        })
        .collect();
    assert_eq!(rows, files, "rows of the table against files in handlers/");
}

#[test]
fn what_the_documents_point_to_is_there() {
    let mut missing = Vec::new();
    for document in ["README.md", "ARCHITECTURE.md", "CHANGELOG.md"] {
        for link in read(document).split("](").skip(1) {
            let target = link.split(')').next().unwrap_or_default();
            if !target.contains("://") && !root().join(target).exists() {
                missing.push(format!("{document} → {target}"));
            }
        }
    }
    for name in read("ARCHITECTURE.md")
        .split('`')
        .filter(|name| Path::new(name).extension().is_some_and(|end| end == "rs"))
    {
        let here = ["", "broker/src/"]
            .iter()
            .any(|base| root().join(base).join(name).exists());
        let below = sources()
            .iter()
            .any(|path| path.ends_with(&format!("/{name}")));
        if !here && !below {
            missing.push(format!("ARCHITECTURE.md → {name}"));
        }
    }
    assert_none("a document points to what is not there", &missing);
}
