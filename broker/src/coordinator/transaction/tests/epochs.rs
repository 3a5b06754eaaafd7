//! Epochs: who is shut out, what is a retry, and what happens when they are used up (KIP-360,
//! KIP-890).
use super::*;

#[test]
fn a_zombie_is_shut_out_by_the_next_producer() {
    let mut stage = Stage::in_state(State::Ongoing, 0);
    let zombie = epoch(0);
    stage.init(None).unwrap_err();
    stage.complete();
    assert_eq!(stage.init(None), Ok(epoch(2)));
    let fenced = ErrorCode::ProducerFenced;
    assert_eq!(stage.add(zombie, &[0]), Err(fenced));
    assert_eq!(stage.end(zombie, true, 0), Err(fenced));
    assert_eq!(stage.end(zombie, true, TV2), Err(fenced));
    assert_eq!(stage.now.admits(zombie, "t", 0), Err(fenced));
    // It says who it is, and is told that somebody else is.
    assert_eq!(stage.init(Some(zombie)), Err(fenced));
    // Also while that one has a transaction open, which goes on.
    let heir = stage.now.producer;
    stage.add(heir, &[0]).unwrap();
    assert_eq!(stage.init(Some(zombie)), Err(fenced));
    assert_eq!(stage.now.admits(heir, "t", 0), Ok(()));
    // Who it is that asks may end its own.
    let again = Err(ErrorCode::ConcurrentTransactions);
    assert_eq!(stage.init(Some(heir)), again);
    assert_eq!(stage.now.state, State::PrepareAbort);
}

#[test]
fn a_producer_goes_on_after_a_timeout_only_by_saying_who_it_is() {
    let mut stage = Stage::in_state(State::Ongoing, 0);
    let next = stage.now.fence(9);
    stage.become_next(next);
    stage.complete();
    assert_eq!(stage.end(epoch(0), true, 0), Err(ErrorCode::ProducerFenced));
    assert_eq!(stage.init(Some(epoch(0))), Err(ErrorCode::ProducerFenced));
    assert_eq!(stage.init(None), Ok(epoch(2)));
}

#[test]
fn a_retry_of_init_producer_id_gets_the_same_epoch() {
    let mut stage = Stage::new();
    assert_eq!(stage.init(Some(epoch(0))), Ok(epoch(1)));
    assert_eq!(stage.init(Some(epoch(0))), Ok(epoch(1)));
    assert_eq!(stage.init(Some(epoch(1))), Ok(epoch(2)));
    assert_eq!(stage.init(Some(epoch(0))), Err(ErrorCode::ProducerFenced));
    // Somebody else came in between: no retry any more.
    assert_eq!(stage.init(None), Ok(epoch(3)));
    assert_eq!(stage.init(Some(epoch(2))), Err(ErrorCode::ProducerFenced));
}

#[test]
fn an_unknown_producer_may_say_that_it_is_somebody() {
    let mut stage = Stage {
        now: Transaction::new(5, TIMEOUT_MS, 1),
        at_ms: 1,
    };
    let of_old = Identity { id: 3, epoch: 7 };
    assert_eq!(stage.init(Some(of_old)), Ok(epoch(0)));
    assert_eq!(stage.init(Some(of_old)), Err(ErrorCode::ProducerFenced));
}

#[test]
fn used_up_epochs_bring_a_new_producer_id() {
    let mut stage = Stage::new();
    stage.now.producer.epoch = i16::MAX - 2;
    assert_eq!(stage.init(None), Ok(epoch(i16::MAX - 1)));
    let last = stage.now.producer;
    let rotated = Identity {
        id: SPARE,
        epoch: 0,
    };
    assert_eq!(stage.init(Some(last)), Ok(rotated));
    assert_eq!(stage.now.previous_id, 5);
    // The answer was lost: it comes again with what it had.
    assert_eq!(stage.init(Some(last)), Ok(rotated));
    assert_eq!(stage.init(Some(epoch(3))), Err(ErrorCode::ProducerFenced));
}

#[test]
fn the_last_epoch_can_be_fenced() {
    for commits in [true, false] {
        let mut stage = Stage::new();
        stage.now.producer.epoch = i16::MAX - 1;
        stage.add(stage.now.producer, &[0]).unwrap();
        if commits {
            stage.init(None).unwrap_err();
        } else {
            let next = stage.now.fence(9);
            stage.become_next(next);
        }
        assert_eq!(stage.now.producer.epoch, i16::MAX);
        stage.complete();
        assert_eq!(
            stage.init(None),
            Ok(Identity {
                id: SPARE,
                epoch: 0
            })
        );
    }
}

#[test]
fn every_transaction_has_its_epoch() {
    let mut stage = Stage::new();
    for nth in 0..5 {
        stage.add(epoch(nth), &[0]).unwrap();
        assert_eq!(stage.end(epoch(nth), true, TV2), Ok(epoch(nth + 1)));
        // The markers carry the new epoch: what comes late of the old one is shut out.
        assert_eq!(stage.now.producer, epoch(nth + 1));
        stage.complete();
    }
}

#[test]
fn used_up_epochs_bring_a_new_producer_id_with_the_end() {
    for commits in [true, false] {
        let mut stage = Stage::new();
        stage.now.producer.epoch = i16::MAX - 1;
        let last = stage.now.producer;
        stage.add(last, &[0]).unwrap();
        let rotated = Identity {
            id: SPARE,
            epoch: 0,
        };
        assert_eq!(stage.end(last, commits, TV2), Ok(rotated));
        assert_eq!(stage.now.producer, epoch(i16::MAX));
        let concurrent = ErrorCode::ConcurrentTransactions;
        let again = stage.end(last, commits, TV2);
        assert_eq!(again, Err(concurrent));
        // The markers take long, and the producer has its answer.
        assert_eq!(stage.now.admits(rotated, "t", 0), Err(concurrent));
        assert_eq!(stage.add_by(rotated, &[0], TV2), Err(concurrent));
        assert_eq!(stage.end(rotated, false, TV2), Err(concurrent));
        assert_eq!(stage.init(Some(rotated)), Err(concurrent));
        stage.complete();
        assert_eq!(stage.now.producer, rotated);
        assert_eq!(stage.end(last, commits, TV2), Ok(rotated));
        stage.add(rotated, &[0]).unwrap();
    }
}

#[test]
fn clients_of_old_keep_their_epoch() {
    let mut stage = Stage::new();
    for _ in 0..3 {
        stage.add(epoch(0), &[0]).unwrap();
        assert_eq!(stage.end(epoch(0), true, 0), Ok(epoch(0)));
        stage.complete();
        assert_eq!(stage.end(epoch(0), true, 0), Ok(epoch(0)));
    }
}

/// With an epoch per transaction an EndTxn of the epoch before is a retry, but not after somebody else
/// has ended the transaction.
#[test]
fn what_was_fenced_is_no_retry() {
    for commits in [true, false] {
        let mut stage = Stage::new();
        stage.add_by(epoch(0), &[0], TV2).unwrap();
        stage.end(epoch(0), true, TV2).unwrap();
        stage.complete();
        stage.add_by(epoch(1), &[0], TV2).unwrap();
        if commits {
            stage.become_next(stage.now.fence(9));
        } else {
            stage.init(None).unwrap_err();
        }
        let fenced = Err(ErrorCode::ProducerFenced);
        for _ in 0..2 {
            for version in [0, TV2] {
                assert_eq!(stage.end(epoch(1), commits, version), fenced);
            }
            if stage.now.state == State::PrepareAbort {
                stage.complete();
            }
        }
        assert_eq!(stage.init(None), Ok(epoch(3)));
        assert_eq!(stage.end(epoch(1), commits, TV2), fenced);
        assert_eq!(stage.end(epoch(2), commits, TV2), fenced);
    }
}

#[test]
fn a_new_producer_id_is_not_given_to_a_zombie() {
    let mut stage = Stage::new();
    stage.now.producer.epoch = i16::MAX - 1;
    let zombie = stage.now.producer;
    let heir = stage.init(None).unwrap();
    stage.add(heir, &[0]).unwrap();
    stage.end(heir, true, 0).unwrap();
    stage.complete();
    let mapping = Err(ErrorCode::InvalidProducerIdMapping);
    assert_eq!(stage.end(zombie, true, TV2), mapping);
}

/// An epoch that only a fence has: nobody was told of it.
#[test]
fn the_epoch_after_the_last_is_nobodys() {
    for state in [State::Empty, State::Ongoing] {
        let mut stage = Stage::new();
        stage.now.producer.epoch = i16::MAX - 1;
        if state == State::Ongoing {
            stage.add(stage.now.producer, &[0]).unwrap();
            stage.become_next(stage.now.fence(9));
            stage.complete();
        } else {
            stage.now.producer.epoch = i16::MAX;
        }
        let nobody = epoch(i16::MAX);
        assert_eq!(stage.now.producer, nobody);
        let fenced = Err(ErrorCode::ProducerFenced);
        assert_eq!(stage.add(nobody, &[0]), fenced);
        assert_eq!(stage.now.admits(nobody, "t", 0), fenced);
        for (commits, version) in [(true, 0), (false, 0), (true, TV2), (false, TV2)] {
            let error = stage.end(nobody, commits, version);
            assert_eq!(error, Err(ErrorCode::ProducerFenced));
        }
    }
}

/// What a log holds open is of the transaction or of the next one, which markers that are written
/// again must not end.
#[test]
fn a_transaction_knows_its_own_batches() {
    let holds = |stage: &Stage, it| stage.now.holds(it, "t", 0);
    let mut stage = Stage::in_state(State::Ongoing, TV2);
    assert!(holds(&stage, epoch(0)) && !holds(&stage, epoch(1)));
    assert!(!stage.now.holds(epoch(0), "t", 1) && !stage.now.holds(epoch(0), "u", 0));
    assert!(!holds(&stage, Identity { id: 6, epoch: 0 }));
    stage.end(epoch(0), true, TV2).unwrap();
    assert!(holds(&stage, epoch(0)) && !holds(&stage, epoch(1)));
    stage.complete();
    assert!(!holds(&stage, epoch(0)) && !holds(&stage, epoch(1)));
    stage.add_by(epoch(1), &[0], TV2).unwrap();
    assert!(!holds(&stage, epoch(0)) && holds(&stage, epoch(1)));
    let mut stage = Stage::in_state(State::PrepareCommit, 0);
    assert!(holds(&stage, epoch(0)) && stage.now.keeps_epoch());
    stage.complete();
    stage.add(epoch(0), &[0]).unwrap();
    stage.become_next(stage.now.fence(9));
    assert!(holds(&stage, epoch(0)));
}
