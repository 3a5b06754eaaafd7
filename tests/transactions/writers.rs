//! Transactional producers: small and wide transactions, aborts, pauses beyond the transaction's
//! timeout, and second producers that take over a transactional id while the first goes on.
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use harness::rd::{self, TestProducer};
use harness::{PATIENCE, Random, unique};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::producer::Producer;

use crate::history::{Clock, Id, Outcome, Transaction, Write};
use crate::run::{PARTITIONS, Place};

/// What the producers share.
pub(crate) struct Share {
    place: Place,
    clock: Clock,
    /// How many transactions are to be ended.
    wanted: u64,
    next_producer: AtomicU32,
    ended: AtomicU64,
    failed: AtomicBool,
    notes: Mutex<Notes>,
}

/// What the producers did.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    pub(crate) transactions: Vec<Transaction>,
    /// When a producer was shut out.
    pub(crate) fenced: BTreeMap<u32, u64>,
    /// How often librdkafka gave which error.
    pub(crate) errors: BTreeMap<String, u64>,
}

impl Share {
    fn over(&self) -> bool {
        self.ended.load(Ordering::Relaxed) >= self.wanted || self.failed.load(Ordering::Relaxed)
    }

    fn note(&self, note: impl FnOnce(&mut Notes)) {
        note(&mut self.notes.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn note_error(&self, call: &str, error: &KafkaError) {
        let code = match error {
            KafkaError::Transaction(error) => format!("{call}: {:?}", error.code()),
            other => format!("{call}: {:?}", other.rdkafka_error_code()),
        };
        self.note(|notes| *notes.errors.entry(code).or_default() += 1);
    }
}

/// The producers on their threads.
pub(crate) struct Writers {
    share: Arc<Share>,
    threads: Vec<JoinHandle<Result<()>>>,
}

impl Writers {
    /// Starts `count` of them, whose lives are numbered from `first_number` on.
    pub(crate) fn start(
        place: &Place,
        clock: Clock,
        (count, wanted): (u32, u64),
        first_number: u32,
        chance: &mut Random,
    ) -> Self {
        let share = Arc::new(Share {
            place: place.clone(),
            clock,
            wanted,
            next_producer: AtomicU32::new(first_number),
            ended: AtomicU64::new(0),
            failed: AtomicBool::new(false),
            notes: Mutex::default(),
        });
        let start = |nth| {
            let share = Arc::clone(&share);
            let mut chance = Random::new(chance.next_number());
            std::thread::spawn(move || {
                let done = lives(&share, nth, &mut chance);
                if done.is_err() {
                    share.failed.store(true, Ordering::Relaxed);
                }
                done
            })
        };
        let threads = (0..count).map(start).collect();
        Self { share, threads }
    }

    /// How many transactions were ended.
    pub(crate) fn ended(&self) -> u64 {
        self.share.ended.load(Ordering::Relaxed)
    }

    /// Whether there is nothing left to do.
    pub(crate) fn over(&self) -> bool {
        self.share.over()
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

/// One transactional id, from producer to producer.
fn lives(share: &Share, nth: u32, chance: &mut Random) -> Result<()> {
    let name = Name {
        id: unique("writer"),
        // A short one fails under pauses and restarts, a long one lives through them.
        timeout_ms: if nth.is_multiple_of(3) { 1_500 } else { 15_000 },
    };
    let mut life = Life::begin(share, &name)?;
    while !share.over() {
        let goes_on = if chance.below(250) == 0 {
            life = overtake(share, &name, life, chance)?;
            true
        } else {
            life.transaction(chance)?
        };
        if !goes_on {
            life = Life::begin(share, &name)?;
        }
    }
    Ok(())
}

/// A second producer takes over while the first one goes on, which must be shut out then.
fn overtake<'a>(
    share: &'a Share,
    name: &Name,
    mut zombie: Life<'a>,
    chance: &mut Random,
) -> Result<Life<'a>> {
    let number = zombie.number;
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
        let mut heir = Life::begin(share, name)?;
        let now = share.clock.now();
        share.note(|notes| {
            notes.fenced.insert(number, now);
        });
        let goes_on = heir.transaction(chance)?;
        zombie.join().ok().context("a zombie panicked")??;
        if goes_on {
            Ok(heir)
        } else {
            Life::begin(share, name)
        }
    })
}

/// Under which name a producer writes.
struct Name {
    id: String,
    timeout_ms: u64,
}

/// One producer, until it is shut out or fails.
struct Life<'a> {
    share: &'a Share,
    producer: TestProducer,
    number: u32,
    next: u32,
    timeout: Duration,
}

impl<'a> Life<'a> {
    fn begin(share: &'a Share, name: &Name) -> Result<Self> {
        let timeout_ms = name.timeout_ms.to_string();
        let settings = [
            ("transactional.id", name.id.as_str()),
            ("transaction.timeout.ms", &timeout_ms),
            ("linger.ms", "0"),
        ];
        let producer = rd::producer(&share.place.bootstrap, &settings)?;
        let life = Self {
            share,
            producer,
            number: share.next_producer.fetch_add(1, Ordering::Relaxed),
            next: 0,
            timeout: Duration::from_millis(name.timeout_ms),
        };
        life.patiently("init", || life.producer.init_transactions(PATIENCE))?
            .with_context(|| format!("init_transactions of {}", name.id))?;
        Ok(life)
    }

    /// One transaction; whether this producer can go on.
    fn transaction(&mut self, chance: &mut Random) -> Result<bool> {
        if let Err(error) = self.producer.begin_transaction() {
            self.share.note_error("begin", &error);
            return Ok(false);
        }
        let writes = self.write(chance);
        if self.timeout < Duration::from_secs(5) && chance.below(150) == 0 {
            let longer = Duration::from_millis(chance.below(500));
            std::thread::sleep(self.timeout + longer);
        }
        let (outcome, goes_on) = if chance.below(5) == 0 {
            if chance.below(2) == 0 {
                // So that there is something to take back. What is wrong shows itself in the abort.
                let _ = self.producer.flush(PATIENCE);
            }
            (Outcome::Aborted, self.abort()?)
        } else {
            self.commit()?
        };
        self.share.note(|notes| {
            notes.transactions.push(Transaction { writes, outcome });
        });
        self.share.ended.fetch_add(1, Ordering::Relaxed);
        Ok(goes_on)
    }

    /// Hands records to the client: what it took.
    fn write(&mut self, chance: &mut Random) -> Vec<Write> {
        let wide = chance.below(20) == 0;
        let count = if wide {
            3 * PARTITIONS as u64
        } else {
            1 + chance.below(3)
        };
        let mut writes = Vec::new();
        for nth in 0..count {
            let id = Id {
                producer: self.number,
                number: self.next,
            };
            let partition = if wide {
                nth
            } else {
                chance.below(PARTITIONS as u64)
            };
            let partition = partition as i32 % PARTITIONS;
            let topic = &self.share.place.topic;
            if rd::send(&self.producer, topic, partition, "", &id.value()).is_err() {
                break;
            }
            self.next += 1;
            writes.push(Write { id, partition });
        }
        writes
    }

    fn commit(&self) -> Result<(Outcome, bool)> {
        let asked = self.share.clock.now();
        match self.patiently("commit", || self.producer.commit_transaction(PATIENCE))? {
            Ok(()) => Ok((Outcome::Committed { asked }, true)),
            Err(KafkaError::Transaction(error)) if error.txn_requires_abort() => {
                Ok((Outcome::Unknown { asked }, self.abort()?))
            }
            Err(_) => Ok((Outcome::Unknown { asked }, false)),
        }
    }

    /// Whether the producer can go on after it.
    fn abort(&self) -> Result<bool> {
        let done = self.patiently("abort", || self.producer.abort_transaction(PATIENCE))?;
        Ok(done.is_ok())
    }

    /// Makes a call again as long as the client says that this makes sense.
    fn patiently(&self, name: &str, call: impl Fn() -> KafkaResult<()>) -> Result<KafkaResult<()>> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let Err(error) = call() else {
                return Ok(Ok(()));
            };
            self.share.note_error(name, &error);
            match error {
                KafkaError::Transaction(error) if error.is_retriable() => {
                    if Instant::now() > deadline {
                        bail!("{name} of producer {} never ends: {error}", self.number);
                    }
                }
                error => return Ok(Err(error)),
            }
        }
    }
}
