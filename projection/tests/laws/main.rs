//! What holds for every view over every log, whatever happens in between.
mod bytes;
mod driver;
mod generations;
mod logs;
mod naive;

use std::collections::BTreeMap;

use driver::{Driver, Turn};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

const VIEWS: &[&str] = &["user_activity", "daily_revenue", "order_revenue_minute"];
const WINDOWS: &[Option<i64>] = &[Some(600_000), Some(0), Some(60_000), None];

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

fn turns() -> impl Strategy<Value = Vec<Turn>> {
    let turn = prop_oneof![
        20 => (0..3_usize).prop_map(Turn::Step),
        2 => Just(Turn::Commit),
        1 => Just(Turn::Rollback),
        1 => Just(Turn::Crash),
    ];
    vec(turn, 0..300)
}

fn assert_rows(driver: &Driver<'_>, truth: &naive::Truth) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("JSON is UTF-8");
    let rows = driver.rows().into_iter();
    let rows = rows.map(|row| (text(&row.key), (text(&row.value), row.timestamp)));
    assert_eq!(rows.collect::<BTreeMap<_, _>>(), truth.rows);
}

proptest! {
    #![proptest_config(config(3000))]

    /// Interleavings, batches, rollbacks and restarts show nowhere: rows, counts and the outcome of
    /// every record are those of the naive view, and an engine that was restored goes on exactly as
    /// one that never stopped.
    #[test]
    fn a_view_is_a_function_of_its_logs(
        view in select(VIEWS), window in select(WINDOWS), logs in logs::logs(), turns in turns(),
    ) {
        let truth = naive::truth(view, &logs, window, false);
        let mut driver = Driver::new(view, window, &logs);
        let mut steady = Driver::new(view, window, &logs);
        for turn in turns {
            match turn {
                Turn::Step(partition) => {
                    let step = driver.step(partition);
                    prop_assert_eq!(&step, &steady.step(partition));
                    if let Some((partition, offset, outcome)) = step {
                        prop_assert_eq!(outcome, truth.outcomes[partition][offset as usize]);
                    }
                }
                Turn::Commit => {
                    driver.commit();
                    steady.commit();
                }
                Turn::Rollback => {
                    driver.engine.rollback();
                    steady.engine.rollback();
                }
                Turn::Crash => {
                    driver.crash();
                    steady.engine.rollback();
                }
            }
            prop_assert_eq!(driver.engine.progress(), steady.engine.progress());
            prop_assert_eq!(driver.engine.counts(), steady.engine.counts());
        }
        driver.finish();
        steady.finish();
        assert_rows(&driver, &truth);
        prop_assert_eq!(driver.engine.table().digest(), steady.engine.table().digest());
        let counts = driver.engine.counts();
        let outcomes: Vec<&str> = truth.outcomes.concat();
        let count = |word| outcomes.iter().filter(|outcome| **outcome == word).count() as u64;
        prop_assert_eq!(counts.input, outcomes.len() as u64);
        prop_assert_eq!(counts.applied, count("APPLIED"));
        prop_assert_eq!(counts.duplicate, count("DUPLICATE"));
        prop_assert_eq!(counts.late, count("LATE"));
        prop_assert_eq!(counts.input, counts.applied + counts.duplicate + counts.late + counts.dead);
    }
}
