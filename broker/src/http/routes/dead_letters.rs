//! `/v1/dlq/{view}`: what a view rejected, and why.
use std::collections::VecDeque;
use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use projection::Reason;
use serde::Deserialize;
use serde_json::json;

use super::projections::reason;
use super::views::limit;
use crate::http::problem::Problem;
use crate::http::reading;
use crate::http::rooms::Rooms;
use crate::partition::Partition;
use letter::Letter;

mod letter;

/// Letters of a page unless told otherwise.
const LETTERS: usize = 100;
/// Most letters of a page.
const MAX_LETTERS: usize = 1000;
/// Offsets that are looked at for one page; a page of a rare reason may be short or empty.
const LOOKED_AT: i64 = 20_000;
/// Offsets that are looked at together, from the lowest to the highest.
const WINDOW: i64 = 1_000;
/// Bytes of keys and values after which a page ends early.
const PAGE_BYTES: usize = 4 << 20;

/// Which letters are asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    limit: Option<usize>,
    cursor: Option<i64>,
    reason: Option<String>,
    #[serde(default)]
    order: Order,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Order {
    #[default]
    Newest,
    Oldest,
}

/// Letters as they are found, from the lowest offset to the highest.
#[derive(Debug)]
struct Gathered {
    wanted: usize,
    reason: Option<Reason>,
    /// Whether the lowest letters make room for higher ones, instead of the other way round.
    keeps_highest: bool,
    letters: VecDeque<Letter>,
    bytes: usize,
    /// Offset of the letter nearest to the page that found no room in it.
    left_out: Option<i64>,
}

/// `GET /v1/dlq/{view}`: a page of dead letters.
pub(super) async fn page(
    State(rooms): State<Rooms>,
    Path(name): Path<String>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(asked) = asked?;
    rooms.view(&name)?;
    let limit = limit(asked.limit, LETTERS, MAX_LETTERS)?;
    let reason = asked.reason.as_deref().map(reason).transpose()?;
    // The topic is made with the first letter.
    let topics = &rooms.broker()?.topics;
    let (letters, cursor) = match topics.partition(&format!("{name}.dlq"), 0) {
        Some(partition) => gather(&partition, limit, reason, asked.order, asked.cursor).await?,
        None => (Vec::new(), None),
    };
    let cursor = cursor.map(|cursor| cursor.to_string());
    Ok(axum::Json(json!({"letters": letters, "cursor": cursor})).into_response())
}

/// A page of letters and the cursor of the next: the end of what is left for the newest first, its
/// start for the oldest first.
async fn gather(
    partition: &Arc<Partition>,
    limit: usize,
    reason: Option<Reason>,
    order: Order,
    cursor: Option<i64>,
) -> Result<(Vec<Letter>, Option<i64>), Problem> {
    let (start, end) = (partition.log.start_offset(), partition.high_watermark());
    let newest = order == Order::Newest;
    let (mut low, mut high) = match cursor {
        Some(cursor) if newest => (start, cursor.clamp(start, end)),
        Some(cursor) => (cursor.clamp(start, end), end),
        None => (start, end),
    };
    let mut page: Vec<Letter> = Vec::new();
    let (mut looked_at, mut bytes) = (0, 0);
    while low < high && page.len() < limit && looked_at < LOOKED_AT && bytes < PAGE_BYTES {
        let window = if newest {
            (high.saturating_sub(WINDOW).max(low), high)
        } else {
            (low, low.saturating_add(WINDOW).min(high))
        };
        looked_at += window.1 - window.0;
        let gathered = Gathered::new(limit - page.len(), reason, newest, bytes);
        let gathered = gathered.window(partition, window).await?;
        bytes = gathered.bytes;
        if newest {
            page.extend(gathered.letters.into_iter().rev());
            high = gathered.left_out.map_or(window.0, |offset| offset + 1);
        } else {
            page.extend(gathered.letters);
            low = gathered.left_out.unwrap_or(window.1);
        }
        if gathered.left_out.is_some() {
            break;
        }
    }
    let cursor = if newest { high } else { low };
    Ok((page, (low < high).then_some(cursor)))
}

impl Gathered {
    fn new(wanted: usize, reason: Option<Reason>, keeps_highest: bool, bytes: usize) -> Self {
        Self {
            wanted,
            reason,
            keeps_highest,
            letters: VecDeque::new(),
            bytes,
            left_out: None,
        }
    }

    async fn window(
        mut self,
        partition: &Arc<Partition>,
        (low, high): (i64, i64),
    ) -> Result<Self, Problem> {
        let mut next = low;
        while next < high && (self.keeps_highest || self.left_out.is_none()) {
            let read = reading::read(partition, next, high, self, |gathered, found| {
                if let Some(letter) = Letter::of(found) {
                    gathered.take(letter);
                }
            });
            let (gathered, further) = read.await?;
            // Many reads may give nothing: the thread is for others, too.
            tokio::task::yield_now().await;
            self = gathered;
            if further == next {
                break;
            }
            next = further;
        }
        Ok(self)
    }

    fn take(&mut self, letter: Letter) {
        if self
            .reason
            .is_some_and(|reason| letter.reason != reason.as_str())
        {
            return;
        }
        if !self.keeps_highest && (self.left_out.is_some() || self.is_full()) {
            self.left_out.get_or_insert(letter.dlq_offset);
            return;
        }
        self.bytes += letter.bytes();
        self.letters.push_back(letter);
        while self.keeps_highest
            && self.letters.len() > 1
            && (self.letters.len() > self.wanted || self.bytes > PAGE_BYTES)
            && let Some(lowest) = self.letters.pop_front()
        {
            self.bytes -= lowest.bytes();
            self.left_out = Some(lowest.dlq_offset);
        }
    }

    fn is_full(&self) -> bool {
        self.letters.len() >= self.wanted || self.bytes >= PAGE_BYTES
    }
}

#[cfg(test)]
mod tests;
