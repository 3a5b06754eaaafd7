//! Every state and every request.
use std::time::Duration;

use super::*;

use ErrorCode::{
    ConcurrentTransactions, InvalidProducerIdMapping, InvalidTxnState, ProducerFenced,
    TransactionAbortable,
};
use State::{CompleteAbort, CompleteCommit, Empty, Ongoing, PrepareAbort, PrepareCommit};

fn expected<T: Copy>(table: &[(State, T)]) -> impl Iterator<Item = (State, T)> {
    assert_eq!(table.len(), State::ALL.len());
    table.iter().copied()
}

#[test]
fn init_producer_id() {
    let table = [
        (Empty, Ok(epoch(1))),
        (Ongoing, Err(ConcurrentTransactions)),
        (PrepareCommit, Err(ConcurrentTransactions)),
        (PrepareAbort, Err(ConcurrentTransactions)),
        (CompleteCommit, Ok(epoch(1))),
        (CompleteAbort, Ok(epoch(1))),
    ];
    for (state, answer) in expected(&table) {
        let mut stage = Stage::in_state(state, 0);
        assert_eq!(stage.init(None), answer, "{state:?}");
        if answer.is_ok() {
            assert_eq!(stage.now.state, Empty);
            assert_eq!((stage.now.started_ms, stage.now.partitions.len()), (-1, 0));
        }
    }
    // The transaction that was open is being aborted, and its producer is shut out.
    let mut stage = Stage::in_state(Ongoing, 0);
    stage.init(None).unwrap_err();
    assert_eq!(
        (stage.now.state, stage.now.producer),
        (PrepareAbort, epoch(1))
    );
    assert_eq!(stage.init(None), Err(ConcurrentTransactions));
    stage.complete();
    assert_eq!(stage.init(None), Ok(epoch(2)));
}

#[test]
fn partitions_join() {
    let table = [
        (Empty, Ok(())),
        (Ongoing, Ok(())),
        (PrepareCommit, Err(ConcurrentTransactions)),
        (PrepareAbort, Err(ConcurrentTransactions)),
        (CompleteCommit, Ok(())),
        (CompleteAbort, Ok(())),
    ];
    for (state, answer) in expected(&table) {
        let mut stage = Stage::in_state(state, 0);
        let before = stage.now.clone();
        let stranger = Identity { id: 6, epoch: 0 };
        assert_eq!(stage.add(stranger, &[1]), Err(InvalidProducerIdMapping));
        assert_eq!(stage.add(epoch(1), &[1]), Err(ProducerFenced));
        assert_eq!(stage.now, before);
        assert_eq!(stage.add(epoch(0), &[1, 2]), answer, "{state:?}");
        if answer.is_ok() {
            assert_eq!(stage.now.state, Ongoing);
            assert_eq!(stage.now.admits(epoch(0), "t", 2), Ok(()));
            let earlier = if state == Ongoing {
                Ok(())
            } else {
                Err(TransactionAbortable)
            };
            assert_eq!(stage.now.admits(epoch(0), "t", 0), earlier, "{state:?}");
            assert_eq!(stage.now.started_ms == before.started_ms, state == Ongoing);
        }
    }
    let mut stage = Stage::in_state(Ongoing, 0);
    let before = stage.now.clone();
    stage.add(epoch(0), &[0]).unwrap();
    assert_eq!(stage.now, before, "it has joined already");
}

#[test]
fn batches_are_admitted_only_while_the_transaction_is_open() {
    let table = [
        (Empty, Err(TransactionAbortable)),
        (Ongoing, Ok(())),
        (PrepareCommit, Err(ConcurrentTransactions)),
        (PrepareAbort, Err(ConcurrentTransactions)),
        (CompleteCommit, Err(TransactionAbortable)),
        (CompleteAbort, Err(TransactionAbortable)),
    ];
    for (state, answer) in expected(&table) {
        let stage = Stage::in_state(state, 0);
        assert_eq!(stage.now.admits(epoch(0), "t", 0), answer, "{state:?}");
        let stranger = Identity { id: 6, epoch: 0 };
        let mapping = Err(InvalidProducerIdMapping);
        assert_eq!(stage.now.admits(stranger, "t", 0), mapping);
        assert_eq!(stage.now.admits(epoch(1), "t", 0), Err(ProducerFenced));
    }
    let stage = Stage::in_state(Ongoing, 0);
    let elsewhere = Err(TransactionAbortable);
    assert_eq!(stage.now.admits(epoch(0), "t", 1), elsewhere);
    assert_eq!(stage.now.admits(epoch(0), "u", 0), elsewhere);
}

#[test]
fn end_by_clients_of_old() {
    let commit = [
        (Empty, Err(InvalidTxnState)),
        (Ongoing, Ok(epoch(0))),
        (PrepareCommit, Err(ConcurrentTransactions)),
        (PrepareAbort, Err(InvalidTxnState)),
        (CompleteCommit, Ok(epoch(0))),
        (CompleteAbort, Err(InvalidTxnState)),
    ];
    let abort = [
        (Empty, Err(InvalidTxnState)),
        (Ongoing, Ok(epoch(0))),
        (PrepareCommit, Err(InvalidTxnState)),
        (PrepareAbort, Err(ConcurrentTransactions)),
        (CompleteCommit, Err(InvalidTxnState)),
        (CompleteAbort, Ok(epoch(0))),
    ];
    for (commits, table) in [(true, commit), (false, abort)] {
        for (state, answer) in expected(&table) {
            let mut stage = Stage::in_state(state, 0);
            let before = stage.now.clone();
            assert_eq!(stage.end(epoch(1), commits, 0), Err(ProducerFenced));
            let stranger = Identity { id: 6, epoch: 0 };
            let mapping = Err(InvalidProducerIdMapping);
            assert_eq!(stage.end(stranger, commits, 0), mapping);
            assert_eq!(stage.end(epoch(0), commits, 0), answer, "{state:?}");
            if state == Ongoing {
                assert_eq!(stage.now.state.prepared(), Some(commits));
                assert_eq!(stage.now.partitions, before.partitions);
            } else {
                assert_eq!(stage.now, before, "{state:?}");
            }
        }
    }
}

/// `epoch(0)` is who ended the transaction, `epoch(1)` who is to begin the next.
#[test]
fn end_by_clients_with_an_epoch_per_transaction() {
    let commit_again = [
        (Empty, Err(InvalidTxnState)),
        (Ongoing, Ok(epoch(1))),
        (PrepareCommit, Err(ConcurrentTransactions)),
        (PrepareAbort, Err(InvalidTxnState)),
        (CompleteCommit, Ok(epoch(1))),
        (CompleteAbort, Err(InvalidTxnState)),
    ];
    let abort_again = [
        // Nothing was in it: it is aborted all the same.
        (Empty, Ok(epoch(1))),
        (Ongoing, Ok(epoch(1))),
        (PrepareCommit, Err(InvalidTxnState)),
        (PrepareAbort, Err(ConcurrentTransactions)),
        (CompleteCommit, Err(InvalidTxnState)),
        (CompleteAbort, Ok(epoch(1))),
    ];
    for (commits, table) in [(true, commit_again), (false, abort_again)] {
        for (state, answer) in expected(&table) {
            let mut stage = Stage::in_state(state, TV2);
            assert_eq!(stage.end(epoch(0), commits, TV2), answer, "{state:?}");
        }
    }
    let next = [
        (CompleteCommit, true, Err(InvalidTxnState)),
        (CompleteAbort, true, Err(InvalidTxnState)),
        (CompleteCommit, false, Ok(epoch(2))),
        (CompleteAbort, false, Ok(epoch(2))),
        // The markers of the one before are not all written yet.
        (PrepareCommit, true, Err(ConcurrentTransactions)),
        (PrepareCommit, false, Err(ConcurrentTransactions)),
        (PrepareAbort, true, Err(ConcurrentTransactions)),
        (PrepareAbort, false, Err(ConcurrentTransactions)),
    ];
    for (state, commits, answer) in next {
        let mut stage = Stage::in_state(state, TV2);
        assert_eq!(stage.end(epoch(1), commits, TV2), answer, "{state:?}");
    }
}

#[test]
fn only_what_is_prepared_completes() {
    for state in State::ALL {
        let stage = Stage::in_state(state, 0);
        let completed = stage.now.complete(9).map(|it| it.state);
        let answer = match state {
            PrepareCommit => Some(CompleteCommit),
            PrepareAbort => Some(CompleteAbort),
            _ => None,
        };
        assert_eq!(completed, answer);
    }
}

#[test]
fn only_what_is_at_rest_expires() {
    for state in State::ALL {
        let stage = Stage::in_state(state, 0);
        let at_rest = matches!(state, Empty | CompleteCommit | CompleteAbort);
        let expired = |unused_ms| {
            let [unused, expiration] = [unused_ms, 100].map(Duration::from_millis);
            stage.now.is_expired(unused, expiration)
        };
        assert_eq!(expired(100), at_rest);
        assert!(!expired(99));
    }
}
