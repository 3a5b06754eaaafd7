//! No bytes, numbers or depths make an engine panic, and what is rejected changes nothing.
use projection::{Engine, Input, Outcome, Reason, find};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::strategy::ValueTree;

use crate::driver::options;
use crate::{VIEWS, WINDOWS, config};

const GOOD: &str = r#"{"event_id":"e1","user_id":"u1","type":"purchase","ts":1680000000000,"data":{"amount":"1.25","currency":"EUR"},"v":[1,{"a":"\u00e9"}]}"#;

/// Pieces that turn an event into something else.
const PIECES: &[&str] = &[
    "",
    "null",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    "\\ud800",
    "\\u0000",
    "-",
    "e",
    "1e999",
    "1e-999",
    "9223372036854775807",
    "-9223372036854775808",
    "99999999999999999999.999999999999999999",
    "253402300799999",
    "-62167219200000",
    "\"9999-12-31T23:59:60Z\"",
    "\"0000-01-01T00:00:00+23:59\"",
    "\u{0}",
    "é",
    "😀",
    "\"amount\":",
    "\"ts\":",
    "\"event_id\":null,",
];

fn extreme() -> impl Strategy<Value = i64> {
    prop_oneof![
        select(&[i64::MIN, i64::MIN + 1, -2, -1, 0, 1, i64::MAX - 1, i64::MAX][..]),
        any::<i64>(),
    ]
}

/// Values in the good event, each to be replaced as a whole.
const VALUES: &[&str] = &[
    "\"e1\"",
    "\"u1\"",
    "\"purchase\"",
    "1680000000000",
    "\"1.25\"",
    "\"EUR\"",
    "\\u00e9",
];

fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let splice = (any::<Index>(), 0..20_usize, select(PIECES), 1..4_usize);
    let spliced = vec(splice, 1..4).prop_map(|splices| {
        let mut bytes = GOOD.as_bytes().to_vec();
        for (at, remove, piece, times) in splices {
            let at = at.index(bytes.len() + 1);
            let end = (at + remove).min(bytes.len());
            bytes.splice(at..end, piece.repeat(times).bytes());
        }
        bytes
    });
    let replaced = (select(VALUES), select(PIECES));
    let replaced = replaced.prop_map(|(value, piece)| GOOD.replace(value, piece).into_bytes());
    prop_oneof![spliced, replaced]
}

/// One step, which must change nothing but progress when it does not apply.
fn step(engine: &mut dyn Engine, input: &Input<'_>) {
    let changes = |engine: &dyn Engine| {
        let mut all = Vec::new();
        engine.changes(&mut |key, value, time| {
            all.push((key.to_vec(), value.map(<[u8]>::to_vec), time));
        });
        all
    };
    let before = changes(engine);
    let outcome = engine.step(input);
    if outcome != Outcome::Applied {
        assert_eq!(changes(engine), before);
    }
    if let Outcome::Rejected(rejection) = outcome {
        assert!(rejection.message.len() <= 250, "{rejection}");
        assert!(!rejection.message.is_empty());
    }
    let counts = engine.counts();
    assert_eq!(
        counts.input,
        counts.applied + counts.duplicate + counts.late + counts.dead
    );
}

proptest! {
    #![proptest_config(config(2000))]

    #[test]
    fn any_bytes_at_any_time_are_a_record(
        view in select(VIEWS), window in prop_oneof![select(WINDOWS), extreme().prop_map(Some)],
        skew in extreme(),
        records in vec((any::<i32>(), extreme(), extreme(), prop_oneof![vec(any::<u8>(), 0..80), mutated()]), 1..12),
    ) {
        let mut options = options(window);
        options.max_future_skew_ms = skew;
        let mut restored = (find(view).expect("a view").engine)(options.clone());
        let mut engine = (find(view).expect("a view").engine)(options);
        for (partition, offset, timestamp, value) in &records {
            let (partition, offset) = (partition % 3, *offset);
            let input = Input { partition, offset, timestamp: *timestamp, value: Some(value) };
            step(&mut *engine, &input);
            restored.restore(&engine.progress(), engine.counts());
            restored.restore_sighting(&input);
            restored.progress();
            engine.redrive(&input, Reason::Late);
            engine.step_redriven(&input);
            engine.skip_to(partition, offset);
            if offset % 3 == 0 {
                engine.rollback();
            } else if offset % 3 == 1 {
                engine.commit(0);
            }
            engine.progress();
        }
    }
}

#[test]
fn mutations_still_leave_many_events_good() {
    let mut engine = (find("daily_revenue").expect("a view").engine)(options(Some(0)));
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    for offset in 0..1000 {
        let value = mutated().new_tree(&mut runner).unwrap().current();
        let input = Input {
            partition: 0,
            offset,
            timestamp: -1,
            value: Some(&value),
        };
        engine.step(&input);
    }
    let counts = engine.counts();
    assert!(
        counts.dead > 100 && counts.applied + counts.duplicate > 20,
        "{counts:?}"
    );
}
