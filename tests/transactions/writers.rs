//! All transactional producers: each transactional id goes from one to the next, and sometimes a
//! second one takes it over while the first goes on.
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use harness::{Random, unique};

use crate::clients::{Answer, Kind, Name, Programs};
use crate::history::{Clock, Told, Transaction};
use crate::life::{Identity, Life};
use crate::run::Place;

/// How many of a kind there are, and how many transactions they are to end.
#[derive(Debug)]
pub(crate) struct Quota {
    pub(crate) kind: Kind,
    pub(crate) writers: u32,
    pub(crate) wanted: u64,
    /// How many of the writers copy the input, each in a group of its own.
    pub(crate) copying: u32,
}

/// What the producers share.
pub(crate) struct Share {
    pub(crate) place: Place,
    pub(crate) clock: Clock,
    pub(crate) programs: Programs,
    /// How many transactions are to be ended, and how many were.
    quotas: BTreeMap<Kind, (u64, AtomicU64)>,
    next_producer: AtomicU32,
    /// How many commits are asked for and not answered.
    committing: AtomicU32,
    failed: AtomicBool,
    notes: Mutex<Notes>,
}

/// What the producers did.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    pub(crate) transactions: Vec<Transaction>,
    /// When a producer was shut out.
    pub(crate) fenced: BTreeMap<u32, u64>,
    /// How often which library gave which error.
    pub(crate) errors: BTreeMap<String, u64>,
    /// What they were told of their groups.
    pub(crate) told: Vec<Told>,
}

impl Share {
    fn over(&self, kind: Kind) -> bool {
        let (wanted, ended) = &self.quotas[&kind];
        ended.load(Ordering::Relaxed) >= *wanted || self.failed.load(Ordering::Relaxed)
    }

    pub(crate) fn count(&self, kind: Kind) {
        self.quotas[&kind].1.fetch_add(1, Ordering::Relaxed);
    }

    /// Makes a call that commits.
    pub(crate) fn committing<R>(&self, call: impl FnOnce() -> R) -> R {
        self.committing.fetch_add(1, Ordering::Relaxed);
        let result = call();
        self.committing.fetch_sub(1, Ordering::Relaxed);
        result
    }

    pub(crate) fn next_number(&self) -> u32 {
        self.next_producer.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn note(&self, note: impl FnOnce(&mut Notes)) {
        note(&mut self.notes.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn note_answer(&self, kind: Kind, step: &str, answer: &Answer) {
        let answer = format!("{kind:?} {step}: {answer:?}");
        self.note(|notes| *notes.errors.entry(answer).or_default() += 1);
    }
}

/// The producers on their threads.
pub(crate) struct Writers {
    share: Arc<Share>,
    threads: Vec<JoinHandle<Result<()>>>,
    /// The transactional ids.
    pub(crate) names: Vec<(Kind, String)>,
    /// The groups that copy the input.
    pub(crate) groups: Vec<u32>,
}

impl Writers {
    /// Starts them; their lives are numbered from `first_number` on, their groups from 0.
    pub(crate) fn start(
        place: &Place,
        clock: Clock,
        programs: Programs,
        quotas: &[Quota],
        first_number: u32,
        chance: &mut Random,
    ) -> Self {
        let counts = quotas
            .iter()
            .map(|it| (it.kind, (it.wanted, AtomicU64::new(0))));
        let share = Arc::new(Share {
            place: place.clone(),
            clock,
            programs,
            quotas: counts.collect(),
            next_producer: AtomicU32::new(first_number),
            committing: AtomicU32::new(0),
            failed: AtomicBool::new(false),
            notes: Mutex::default(),
        });
        let (mut threads, mut names, mut groups) = (Vec::new(), Vec::new(), Vec::new());
        for identity in identities(quotas) {
            names.push((identity.kind, identity.name.id.clone()));
            groups.extend(identity.group);
            let share = Arc::clone(&share);
            let mut chance = Random::new(chance.next_number());
            threads.push(std::thread::spawn(move || {
                let done = lives(&share, &identity, &mut chance);
                if done.is_err() {
                    share.failed.store(true, Ordering::Relaxed);
                }
                done
            }));
        }
        Self {
            share,
            threads,
            names,
            groups,
        }
    }

    /// How many transactions were ended.
    pub(crate) fn ended(&self) -> Vec<(Kind, u64)> {
        let quotas = self.share.quotas.iter();
        let ended = quotas.map(|(kind, (_, ended))| (*kind, ended.load(Ordering::Relaxed)));
        ended.collect()
    }

    /// Waits for a moment in which many commits are under way, but not for long.
    pub(crate) fn await_commits(&self, many: u32) {
        let until = Instant::now() + Duration::from_millis(300);
        while self.share.committing.load(Ordering::Relaxed) < many && Instant::now() < until {
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    /// Whether there is nothing left to do.
    pub(crate) fn over(&self) -> bool {
        let mut threads = self.threads.iter().zip(&self.names);
        if threads.any(|(thread, (kind, _))| thread.is_finished() && !self.share.over(*kind)) {
            // It panicked, and the others need not go on.
            self.share.failed.store(true, Ordering::Relaxed);
        }
        self.share.quotas.keys().all(|kind| self.share.over(*kind))
    }

    /// The foreign programs, to do them harm.
    pub(crate) fn programs(&self) -> &Programs {
        &self.share.programs
    }

    /// Waits for them.
    pub(crate) fn finish(self) -> Result<Notes> {
        for thread in self.threads {
            thread.join().ok().context("a producer panicked")??;
        }
        let mut notes = self.share.notes.lock();
        let notes = notes.as_mut().map_err(|_| anyhow::anyhow!("a panic"))?;
        Ok(std::mem::take(notes))
    }
}

fn identities(quotas: &[Quota]) -> Vec<Identity> {
    let (mut all, mut groups) = (Vec::new(), 0..);
    for quota in quotas {
        for nth in 0..quota.writers {
            all.push(Identity {
                name: Name {
                    id: unique("writer"),
                    // A short one fails under pauses and restarts, a long one lives through them.
                    timeout_ms: if nth % 3 == 0 { 1_500 } else { 15_000 },
                },
                kind: quota.kind,
                group: groups.next().filter(|_| nth < quota.copying),
            });
        }
    }
    all
}

/// One transactional id, from producer to producer.
fn lives(share: &Share, identity: &Identity, chance: &mut Random) -> Result<()> {
    let mut life = Life::begin(share, identity)?;
    while !share.over(identity.kind) {
        let goes_on = if chance.below(250) == 0 {
            life = overtake(share, identity, life, chance)?;
            true
        } else {
            life.transaction(chance)?
        };
        if !goes_on {
            life = Life::begin(share, identity)?;
        }
    }
    Ok(())
}

/// A second producer takes over while the first one goes on, which must be shut out then.
fn overtake<'a>(
    share: &'a Share,
    identity: &Identity,
    mut zombie: Life<'a>,
    chance: &mut Random,
) -> Result<Life<'a>> {
    let number = zombie.number;
    zombie.is_slow = chance.below(2) == 0;
    let mut zombies_chance = Random::new(chance.next_number());
    std::thread::scope(|scope| {
        let zombie = scope.spawn(move || -> Result<()> {
            for _ in 0..100 {
                if !zombie.transaction(&mut zombies_chance)? {
                    break;
                }
            }
            Ok(())
        });
        std::thread::sleep(Duration::from_millis(chance.below(20)));
        let mut heir = Life::begin(share, identity)?;
        let now = share.clock.now();
        share.note(|notes| {
            notes.fenced.insert(number, now);
        });
        heir.is_slow = true;
        let goes_on = heir.transaction(chance)?;
        heir.is_slow = false;
        zombie.join().ok().context("a zombie panicked")??;
        if goes_on {
            Ok(heir)
        } else {
            Life::begin(share, identity)
        }
    })
}
