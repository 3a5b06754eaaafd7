//! One transactional producer: small and wide transactions, aborts, and pauses beyond the
//! transaction's timeout. Some producers consume what they write.
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use harness::{PATIENCE, Random};

use crate::clients::{Answer, Client, Kind, Name};
use crate::history::{Feed, Id, Outcome, Source, Transaction, Write};
use crate::inputs::Inputs;
use crate::run::PARTITIONS;
use crate::writers::Share;

/// A transactional id.
pub(crate) struct Identity {
    pub(crate) name: Name,
    pub(crate) kind: Kind,
    /// The group for which it copies the input.
    pub(crate) group: Option<u32>,
}

/// One producer, until it is shut out or fails.
pub(crate) struct Life<'a> {
    share: &'a Share,
    kind: Kind,
    client: Box<dyn Client>,
    inputs: Option<Inputs>,
    pub(crate) number: u32,
    next: u32,
    timeout: Duration,
    /// Its transactions are wide and take their time: another producer is about to meet them.
    pub(crate) is_slow: bool,
}

impl<'a> Life<'a> {
    pub(crate) fn begin(share: &'a Share, identity: &Identity) -> Result<Self> {
        let (name, kind) = (&identity.name, identity.kind);
        let deadline = Instant::now() + PATIENCE;
        let client = loop {
            let client = share.programs.client(kind, &share.place, name)?;
            match patiently(share, kind, "init", || client.init())? {
                Answer::Done => break client,
                // It comes back with a new process.
                Answer::Gone if Instant::now() < deadline => {}
                other => bail!("init of {name:?}, {kind:?}: {other:?}"),
            }
        };
        let mut life = Self {
            share,
            kind,
            client,
            inputs: None,
            number: share.next_number(),
            next: 0,
            timeout: Duration::from_millis(name.timeout_ms),
            is_slow: false,
        };
        if let Some(group) = identity.group {
            let (inputs, told) = Inputs::of(&share.place, share.clock, group)?;
            share.note(|notes| notes.told.extend(told));
            life.inputs = Some(inputs);
        }
        Ok(life)
    }

    /// One transaction; whether this producer can go on.
    pub(crate) fn transaction(&mut self, chance: &mut Random) -> Result<bool> {
        let begun = self.client.begin();
        if begun != Answer::Done {
            self.share.note_answer(self.kind, "begin", &begun);
            return Ok(false);
        }
        let sources = match &mut self.inputs {
            Some(inputs) if chance.below(6) != 0 && !self.is_slow => inputs.take(chance)?,
            _ => Vec::new(),
        };
        let offsets = next_offsets(&sources);
        let offsets_first = chance.below(3) == 0;
        let mut good = !offsets_first || self.send_offsets(&offsets)?;
        let mut offsets_taken = self.share.clock.now();
        let writes = self.write(&sources, chance);
        good &= writes.len() >= sources.len();
        if good && !offsets_first {
            good = self.send_offsets(&offsets)?;
            offsets_taken = self.share.clock.now();
        }
        self.pause(chance);
        let (outcome, goes_on) = if good && chance.below(5) != 0 {
            self.commit()?
        } else {
            (Outcome::Aborted, self.give_up(chance)?)
        };
        self.share.note(|notes| {
            notes.transactions.push(Transaction {
                writes,
                offsets,
                offsets_taken: good.then_some(offsets_taken),
                outcome,
            });
        });
        self.share.count(self.kind);
        if goes_on {
            self.reposition(outcome, &sources, chance)?;
        }
        Ok(goes_on)
    }

    /// After a transaction without effect its input is to be read again.
    fn reposition(
        &mut self,
        outcome: Outcome,
        sources: &[Source],
        chance: &mut Random,
    ) -> Result<()> {
        let Some(inputs) = &mut self.inputs else {
            return Ok(());
        };
        match outcome {
            Outcome::Committed { .. } => {}
            Outcome::Aborted if chance.below(4) != 0 => inputs.put_back(sources),
            // Whether it had an effect, the broker knows.
            _ => {
                let told = inputs.rewind()?;
                self.share.note(|notes| notes.told.extend(told));
            }
        }
        Ok(())
    }

    fn send_offsets(&self, offsets: &[(Feed, i64)]) -> Result<bool> {
        let Some(inputs) = self.inputs.as_ref().filter(|_| !offsets.is_empty()) else {
            return Ok(true);
        };
        let next: Vec<_> = offsets
            .iter()
            .map(|(feed, it)| (feed.partition, *it))
            .collect();
        let sent = self.patiently("offsets", || self.client.offsets(inputs, &next))?;
        Ok(sent == Answer::Done)
    }

    /// Hands records to the client: what it took.
    fn write(&mut self, sources: &[Source], chance: &mut Random) -> Vec<Write> {
        let wide = sources.is_empty() && (self.is_slow || chance.below(20) == 0);
        let count = match sources.len() {
            0 if wide => 3 * PARTITIONS as usize,
            0 => 1 + chance.below(3) as usize,
            copies => copies,
        };
        let mut writes = Vec::new();
        for nth in 0..count {
            let id = Id {
                producer: self.number,
                number: self.next,
            };
            let partition = if wide {
                nth as i32 % PARTITIONS
            } else {
                chance.below(PARTITIONS as u64) as i32
            };
            // Whatever comes of it, it may have been taken.
            self.next += 1;
            writes.push(Write {
                id,
                partition,
                source: sources.get(nth).copied(),
            });
            if self.client.send(partition, &id.value()) != Answer::Done {
                break;
            }
            if nth + 1 == count.div_ceil(2) {
                self.pause(chance);
            }
        }
        writes
    }

    /// Sometimes waits in the middle: so that the broker is killed meanwhile, or until a short
    /// timeout is over, and the transaction with it.
    fn pause(&self, chance: &mut Random) {
        let pause = if self.is_slow {
            Duration::from_millis(20 + chance.below(80))
        } else if self.timeout < Duration::from_secs(5) && chance.below(300) == 0 {
            self.timeout + Duration::from_millis(chance.below(500))
        } else if chance.below(40) == 0 {
            Duration::from_millis(chance.below(400))
        } else {
            return;
        };
        std::thread::sleep(pause);
    }

    fn commit(&self) -> Result<(Outcome, bool)> {
        let clock = self.share.clock;
        let asked = clock.now();
        let commit = || self.share.committing(|| self.client.commit());
        match self.patiently("commit", commit)? {
            Answer::Done => {
                let answered = clock.now();
                Ok((Outcome::Committed { asked, answered }, true))
            }
            Answer::MustAbort(_) => Ok((Outcome::Unknown { asked }, self.abort()?)),
            _ => Ok((Outcome::Unknown { asked }, false)),
        }
    }

    /// Aborts, or goes away without a word; whether the producer can go on.
    fn give_up(&self, chance: &mut Random) -> Result<bool> {
        if chance.below(2) == 0 {
            // So that there is something to take back. What is wrong shows itself in the abort.
            self.client.flush();
        }
        if chance.below(40) == 0 {
            return Ok(false);
        }
        self.abort()
    }

    /// Whether the producer can go on after it.
    fn abort(&self) -> Result<bool> {
        Ok(self.patiently("abort", || self.client.abort())? == Answer::Done)
    }

    fn patiently(&self, step: &str, call: impl Fn() -> Answer) -> Result<Answer> {
        let answer = patiently(self.share, self.kind, step, call);
        answer.with_context(|| format!("producer {}", self.number))
    }
}

/// Takes a step again as long as the client says that this makes sense.
fn patiently(share: &Share, kind: Kind, step: &str, call: impl Fn() -> Answer) -> Result<Answer> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = call();
        if answer == Answer::Done {
            return Ok(answer);
        }
        share.note_answer(kind, step, &answer);
        match answer {
            Answer::Again(error) if Instant::now() > deadline => {
                bail!("{step} by {kind:?} never ends: {error}");
            }
            Answer::Again(_) => std::thread::sleep(Duration::from_millis(5)),
            other => return Ok(other),
        }
    }
}

/// The next offset of each feed that something was taken from.
fn next_offsets(sources: &[Source]) -> Vec<(Feed, i64)> {
    let last = sources.last();
    last.map(|last| (last.feed, last.offset + 1))
        .into_iter()
        .collect()
}
