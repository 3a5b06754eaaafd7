//! The counts of the members are those that counting gives, and a stable group is what the
//! journal says, whatever happens.
use super::super::classic::{Group, State};
use super::journal::facts;
use super::stage::*;

fn check(group: &Group) {
    let joining = group.members.iter().filter(|it| it.join.is_some());
    assert_eq!(group.members.joining(), joining.count());
    for name in ["range", "sticky"] {
        let supports = |it: &super::super::member::Member| {
            it.protocols.iter().any(|protocol| &*protocol.name == name)
        };
        let by_all = !group.members.is_empty() && group.members.iter().all(supports);
        assert_eq!(group.members.support(&[protocol(name)]), by_all);
    }
    let leader = group.leader.as_deref();
    assert_eq!(leader.is_some(), !group.members.is_empty());
    assert!(leader.is_none_or(|id| group.members.contains(id)));
}

/// A storm of joins, syncs, heartbeats, lost connections and silence, by a seeded generator.
#[test]
fn counts_hold_in_a_storm() {
    for seed in 1..200u64 {
        let mut bits = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut random = move |below: u64| {
            bits ^= bits << 13;
            bits ^= bits >> 7;
            bits ^= bits << 17;
            bits % below
        };
        let mut stage = Stage::with_delay(random(2) * 1_000);
        let mut waiting = Vec::new();
        for _ in 0..200 {
            let ids: Vec<_> = stage.group.members.iter().map(|it| it.id.clone()).collect();
            let id = ids.get(random(8) as usize).cloned();
            match (random(7), id) {
                (0, _) => waiting.push(stage.enter().1),
                (1 | 2, Some(id)) => {
                    let mut join = join(&id);
                    if random(2) == 0 {
                        join.protocols.push(protocol("sticky"));
                    }
                    waiting.push(stage.send_join(join));
                }
                (3 | 4, Some(id)) => {
                    let joined = stage.group.joined(&id, stage.group.is_leader(&id));
                    drop(stage.send_sync(&joined));
                }
                (5, Some(id)) => {
                    let _ = stage.beat(&id, stage.group.generation);
                }
                (6, _) if !waiting.is_empty() => {
                    drop(waiting.swap_remove(random(waiting.len() as u64) as usize));
                    let ticket = random(stage.last_ticket() + 1);
                    stage.turn(|group, turn| group.abandon_join(turn, ticket));
                }
                _ => stage.pass(random(SESSION_MS)),
            }
            check(&stage.group);
            if stage.group.state == State::Stable {
                let replayed = stage.replayed().expect("a generation is written down");
                assert_eq!(facts(&replayed), facts(&stage.group));
            }
        }
        // Silence ends everything.
        stage.pass(10 * 60_000);
        assert_eq!(stage.group.members.len(), 0, "seed {seed}");
        assert_eq!(stage.group.earliest_ms, None, "seed {seed}");
    }
}
