//! What an engine knows of one partition of its source: how far it is, its stream time, and which
//! events were seen.
use crate::Progress;
use crate::sightings::Sightings;

/// One partition of the source.
#[derive(Debug)]
pub(crate) struct Partition {
    at: Position,
    /// As of the last commit; `None` when there was none since the partition was first read.
    committed: Option<Position>,
    sightings: Sightings,
    /// Stream time of the records taken again at start-up.
    replayed: Option<i64>,
}

#[derive(Debug, Clone, Copy)]
struct Position {
    next: i64,
    stream_time: Option<i64>,
    /// Number of the first sighting within the window of deduplication.
    live: u32,
    /// Stream time just before that one.
    before_live: Option<i64>,
}

impl Partition {
    /// One of which nothing was read.
    pub(crate) fn new(next: i64) -> Self {
        let at = Position {
            next,
            stream_time: None,
            live: 0,
            before_live: None,
        };
        Self {
            at,
            committed: None,
            sightings: Sightings::default(),
            replayed: None,
        }
    }

    /// One as a commit has it, before the sightings are known again.
    pub(crate) fn restored(progress: &Progress) -> Self {
        let at = Position {
            next: progress.next,
            stream_time: progress.stream_time,
            live: 0,
            before_live: progress.dedup_stream_time,
        };
        Self {
            at,
            committed: Some(at),
            sightings: Sightings::default(),
            replayed: progress.dedup_stream_time,
        }
    }

    pub(crate) fn reach(&mut self, next: i64) {
        self.at.next = self.at.next.max(next);
    }

    pub(crate) fn stream_time(&self) -> Option<i64> {
        self.at.stream_time
    }

    /// Takes an event for seen, and moves stream time to its time. Whether it was seen before,
    /// within the window.
    pub(crate) fn sight(
        &mut self,
        event_id: &str,
        event_time: i64,
        offset: i64,
        window_ms: Option<i64>,
    ) -> bool {
        let before = self.at.stream_time;
        let stream_time = before.map_or(event_time, |before| before.max(event_time));
        self.at.stream_time = Some(stream_time);
        let last = self.sightings.push(event_id, stream_time, offset);
        let oldest = |stream_time: i64| window_ms.map(|window| stream_time.saturating_sub(window));
        if let Some(oldest) = oldest(stream_time) {
            self.pass(oldest);
        }
        let (Some(last), Some(before)) = (last, before) else {
            return false;
        };
        oldest(before).is_none_or(|oldest| last >= oldest)
    }

    /// Moves `live` past sightings whose stamp lies before `oldest`.
    fn pass(&mut self, oldest: i64) {
        while self.at.live != self.sightings.end() {
            let (stamp, _) = self.sightings.at(self.at.live);
            if stamp >= oldest {
                break;
            }
            self.at.before_live = Some(stamp);
            self.at.live = self.at.live.wrapping_add(1);
        }
    }

    /// Start-up: takes an event again that was seen before the last commit.
    pub(crate) fn restore(&mut self, event_id: &str, event_time: i64, offset: i64) {
        let stamp = self
            .replayed
            .map_or(event_time, |before| before.max(event_time));
        self.replayed = Some(stamp);
        self.sightings.push(event_id, stamp, offset);
        self.sightings.commit(self.at.live);
    }

    pub(crate) fn commit(&mut self) {
        self.sightings.commit(self.at.live);
        self.committed = Some(self.at);
    }

    /// Back to the last commit; whether there was one.
    pub(crate) fn rollback(&mut self) -> bool {
        self.sightings.rollback();
        if let Some(committed) = self.committed {
            self.at = committed;
        }
        self.committed.is_some()
    }

    pub(crate) fn progress(&self) -> Progress {
        let Position {
            next,
            stream_time,
            live,
            before_live,
        } = self.at;
        let (dedup_from, dedup_stream_time) = if live == self.sightings.end() {
            (next, stream_time)
        } else {
            (self.sightings.at(live).1, before_live)
        };
        Progress {
            next,
            stream_time,
            dedup_from,
            dedup_stream_time,
        }
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.sightings.memory_bytes()
    }
}
