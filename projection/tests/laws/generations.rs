//! Two generations of a view: what turns one into the other, and dead letters that are redriven.
use std::collections::BTreeMap;

use projection::{Outcome, Reason, Row};
use proptest::prelude::*;
use proptest::sample::select;

use crate::driver::Driver;
use crate::{VIEWS, WINDOWS, assert_rows, config, logs, naive};

fn by_key(rows: Vec<Row>) -> BTreeMap<Box<[u8]>, Row> {
    rows.into_iter().map(|row| (row.key.clone(), row)).collect()
}

proptest! {
    #![proptest_config(config(400))]

    #[test]
    fn a_difference_makes_one_generation_the_other(
        view in select(VIEWS), old in logs::logs(), new in logs::logs(), same in any::<bool>(),
        windows in (select(WINDOWS), select(WINDOWS)),
    ) {
        let new = if same { old.clone() } else { new };
        let mut serving = Driver::new(view, windows.0, &old);
        serving.finish();
        let mut next = Driver::new(view, windows.1, &new);
        next.finish();
        let mut rows = by_key(serving.rows());
        let mut at = 1000;
        let mut last: Option<Vec<u8>> = None;
        next.engine.difference(&*serving.engine.table(), &mut |key, value, timestamp| {
            assert!(last.as_deref().is_none_or(|last| last < key), "in the order of the keys");
            last = Some(key.to_vec());
            match value {
                Some(value) => {
                    let row = Row { key: key.into(), value: value.to_vec(), timestamp, offset: at };
                    assert_ne!(rows.insert(key.into(), row.clone()), Some(row));
                }
                None => assert!(rows.remove(key).is_some(), "only what is there can go"),
            }
            at += 1;
        });
        next.engine.take_place(&*serving.engine.table(), 1000);
        prop_assert_eq!(by_key(next.rows()), rows);
        let mut none = true;
        next.engine.difference(&*next.engine.table(), &mut |_, _, _| none = false);
        prop_assert!(none);
    }

    /// Late events that are redriven once are in the view as if they had been in time, and a later
    /// generation that knows of them comes to the same.
    #[test]
    fn redriven_letters_are_in_the_view_once(logs in logs::logs(), window in select(WINDOWS)) {
        let view = "order_revenue_minute";
        let truth = naive::truth(view, &logs, window, false);
        let forgiving = naive::truth(view, &logs, window, true);
        let mut live = Driver::new(view, window, &logs);
        live.finish();
        let mut again = Driver::new(view, window, &logs);
        for (partition, outcomes) in truth.outcomes.iter().enumerate() {
            for (offset, outcome) in (0..).zip(outcomes) {
                let input = live.input(partition, offset).expect("it is in the log");
                if *outcome == "LATE" {
                    let before = live.engine.counts();
                    let redriven = live.engine.redrive(&input, Reason::Late);
                    let applied = redriven == Outcome::Applied;
                    let after = live.engine.counts();
                    prop_assert_eq!(after.applied - before.applied, u64::from(applied));
                    prop_assert_eq!(before.late - after.late, u64::from(applied));
                    prop_assert_eq!(after.input, before.input);
                    prop_assert_eq!(again.engine.step_redriven(&input), redriven);
                } else {
                    again.engine.step(&input);
                }
            }
        }
        prop_assert_eq!(live.engine.progress(), again.engine.progress());
        live.commit();
        again.commit();
        assert_rows(&live, &forgiving);
        assert_rows(&again, &forgiving);
        prop_assert_eq!(live.engine.counts().applied, again.engine.counts().applied);
    }
}

#[test]
fn a_letter_of_an_earlier_generation_counts_as_read_when_it_is_redriven() {
    let value = r#"{"event_id":"e","user_id":"u","type":"login","ts":1}"#.to_owned();
    let logs = vec![vec![logs::Record {
        timestamp: -1,
        value: Some(value),
    }]];
    let mut driver = Driver::new("user_activity", None, &logs);
    let input = driver.input(0, 0).unwrap();
    assert_eq!(
        driver.engine.redrive(&input, Reason::BadJson),
        Outcome::Applied
    );
    let counts = driver.engine.counts();
    assert_eq!((counts.input, counts.applied, counts.dead), (1, 1, 0));
    assert!(driver.engine.progress().is_empty());
}
