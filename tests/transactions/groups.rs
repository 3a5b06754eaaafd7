//! How far the groups have come, as the broker tells while transactions commit and abort offsets.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use harness::{PATIENCE, Random, Wire, ask};
use kafka_protocol::messages::OffsetFetchRequest;
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};

use crate::history::{Clock, Feed, Told};
use crate::run::Place;

/// Partitions of the input.
pub(crate) const INPUT_PARTITIONS: i32 = 2;
/// First version that asks for many groups.
const VERSION: i16 = 8;

/// What one answer tells of some groups. Partitions with an offset in doubt are not in it, nor are
/// those that the broker cannot tell of.
fn told(
    wire: &mut Wire,
    place: &Place,
    clock: Clock,
    groups: &[u32],
    stable: bool,
) -> Result<Vec<Told>> {
    let topic = OffsetFetchRequestTopics::default()
        .with_name(ask::topic(&place.input))
        .with_partition_indexes((0..INPUT_PARTITIONS).collect());
    let of_group = |group: &u32| {
        OffsetFetchRequestGroup::default()
            .with_group_id(ask::group(&place.group(*group)))
            .with_topics(Some(vec![topic.clone()]))
    };
    let request = OffsetFetchRequest::default()
        .with_require_stable(stable)
        .with_groups(groups.iter().map(of_group).collect());
    let asked = clock.now();
    let response = wire.call(VERSION, &request)?;
    let answered = clock.now();
    ensure!(response.groups.len() == groups.len(), "{response:?}");
    let mut all = Vec::new();
    for (group, answer) in groups.iter().zip(&response.groups) {
        ensure!(*answer.group_id.0 == *place.group(*group), "{answer:?}");
        let good = answer.error_code == 0;
        for partition in answer.topics.iter().flat_map(|topic| &topic.partitions) {
            if good && partition.error_code == 0 {
                all.push(Told {
                    feed: Feed {
                        group: *group,
                        partition: partition.partition_index,
                    },
                    asked,
                    answered,
                    offset: partition.committed_offset,
                    stable,
                });
            }
        }
    }
    Ok(all)
}

/// How far a group has come, once nothing of it is in doubt.
pub(crate) fn settled(place: &Place, clock: Clock, group: u32) -> Result<Vec<Told>> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        // The broker may be away.
        let wire = Wire::connect(&place.bootstrap);
        let all = wire.and_then(|mut wire| told(&mut wire, place, clock, &[group], true));
        match all {
            Ok(all) if all.len() == INPUT_PARTITIONS as usize => return Ok(all),
            other => ensure!(
                Instant::now() < deadline,
                "group {group} has offsets in doubt for ever: {other:?}"
            ),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Asks again and again how far random groups have come.
pub(crate) struct Watcher {
    over: Arc<AtomicBool>,
    thread: JoinHandle<Result<Vec<Told>>>,
}

impl Watcher {
    pub(crate) fn start(place: &Place, clock: Clock, groups: &[u32], chance: &mut Random) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let (place, groups, flag) = (place.clone(), groups.to_vec(), Arc::clone(&over));
        let mut chance = Random::new(chance.next_number());
        let thread = std::thread::spawn(move || {
            let (mut all, mut wire) = (Vec::new(), None);
            while !flag.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(chance.below(10)));
                let Some(open) = &mut wire else {
                    wire = Wire::connect(&place.bootstrap).ok();
                    continue;
                };
                let (first, stable) = (chance.pick(&groups), chance.below(2) == 0);
                match told(open, &place, clock, &[first], stable) {
                    Ok(some) => all.extend(some),
                    Err(_) => wire = None,
                }
            }
            Ok(all)
        });
        Self { over, thread }
    }

    /// Ends it: what it was told.
    pub(crate) fn finish(self) -> Result<Vec<Told>> {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().ok().context("a watcher panicked")?
    }
}
