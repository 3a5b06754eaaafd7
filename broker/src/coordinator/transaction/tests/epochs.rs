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
        let again = stage.end(last, commits, TV2);
        assert_eq!(again, Err(ErrorCode::ConcurrentTransactions));
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
