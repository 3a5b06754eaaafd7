//! At the start, before anybody reads: every view's outputs go back to its last commit.
use std::collections::VecDeque;

use projection::{Commit, OutputPosition, SourcePosition};
use tracing::{error, info, warn};

use super::output::{Kind, last_batch};
use crate::metadata::{Topics, uuid_text};
use crate::partition::Partition;

/// What the logs say of a view.
#[derive(Debug, Default)]
pub struct Recovered {
    /// The last commit, with its outputs as they are.
    pub commit: Option<Commit>,
    /// Why the outputs are not what any commit says.
    pub broken: Option<String>,
    /// What the source lacks.
    pub lost: Option<String>,
    /// Why nothing is known of the view at all.
    pub unreadable: Option<String>,
}

/// Finds the last commit of a view that holds, and cuts its outputs back to it.
pub fn recover(topics: &Topics, view: &str, mut commits: VecDeque<Commit>) -> Recovered {
    let newest = commits.back().cloned();
    while let Some(commit) = commits.pop_back() {
        if let Some(reason) = refutation(topics, view, &commit) {
            warn!(
                view,
                sequence = commit.sequence,
                reason,
                "a commit does not hold"
            );
            continue;
        }
        cut_all(topics, view, &commit.outputs);
        let lost = commit
            .sources
            .iter()
            .find_map(|source| lost(topics, source));
        return Recovered {
            commit: Some(commit),
            lost,
            ..Recovered::default()
        };
    }
    let Some(mut commit) = newest else {
        cut_all(topics, view, &[]);
        return Recovered::default();
    };
    // Readers go on seeing what there is, until a new generation takes its place.
    commit.outputs = outputs_as_they_are(topics, view);
    cut_all(topics, view, &commit.outputs);
    let broken = "its topics are not what any of its commits says";
    error!(view, "{broken}");
    Recovered {
        commit: Some(commit),
        broken: Some(broken.to_owned()),
        ..Recovered::default()
    }
}

/// Why a commit does not hold, if it does not.
fn refutation(topics: &Topics, view: &str, commit: &Commit) -> Option<String> {
    commit.outputs.iter().find_map(|output| {
        let name = &output.topic;
        let topic = topics
            .get(name)
            .filter(|topic| topic.owner() == Some(view))
            .and_then(|topic| topic.partition(output.partition));
        let Some(partition) = topic else {
            return Some(format!("{name} is not there"));
        };
        let (start, end) = (partition.log.start_offset(), partition.log.end_offset());
        if end < output.next {
            return Some(format!("{name} ends at {end}, below {}", output.next));
        }
        // Retention may have taken all of it.
        if output.next <= start {
            return None;
        }
        let crc = last_batch(&partition, output.next).map(|header| header.crc);
        (crc != output.crc).then(|| format!("{name} holds another batch below {}", output.next))
    })
}

/// What the source lacks of what a commit says of it.
fn lost(topics: &Topics, position: &SourcePosition) -> Option<String> {
    let name = &position.topic;
    let Some(topic) = topics.get(name) else {
        return Some(format!("{name} is gone"));
    };
    if uuid_text::to_text(topic.id) != position.topic_id {
        return Some(format!("{name} was deleted and made again"));
    }
    let Some(partition) = topic.partition(position.partition) else {
        return Some(format!("{name}-{} is gone", position.partition));
    };
    let (start, end) = (partition.log.start_offset(), partition.high_watermark());
    let (next, partition) = (position.next, position.partition);
    if end < next {
        return Some(format!(
            "{name}-{partition} ends at {end}, but was read up to {next}"
        ));
    }
    (start > next).then(|| {
        format!(
            "records {next} to {start} of {name}-{partition} were deleted before they were read"
        )
    })
}

fn owned(topics: &Topics, view: &str, kind: Kind) -> Option<std::sync::Arc<Partition>> {
    let topic = topics.get(&kind.topic(view))?;
    let topic = Some(topic).filter(|topic| topic.owner() == Some(view))?;
    topic.partition(0)
}

fn outputs_as_they_are(topics: &Topics, view: &str) -> Vec<OutputPosition> {
    let position = |kind: Kind| {
        let partition = owned(topics, view, kind)?;
        let next = partition.log.end_offset();
        Some(OutputPosition {
            topic: kind.topic(view),
            partition: 0,
            next,
            crc: last_batch(&partition, next).map(|header| header.crc),
        })
    };
    Kind::ALL.into_iter().filter_map(position).collect()
}

/// Hides, then cuts, what lies above the positions; an output without one has nothing committed.
fn cut_all(topics: &Topics, view: &str, positions: &[OutputPosition]) {
    for kind in Kind::ALL {
        let Some(partition) = owned(topics, view, kind) else {
            continue;
        };
        let name = kind.topic(view);
        let position = positions.iter().find(|position| position.topic == name);
        let next = position.map_or(0, |position| position.next);
        partition.hide_from(next);
        if let Some(last) = last_batch(&partition, next) {
            partition.log.set_cleanable_end(last.base_offset);
        }
        let end = partition.log.end_offset();
        if end <= next {
            continue;
        }
        match partition.cut(next) {
            Ok(()) => info!(
                topic = name,
                from = next,
                end,
                "cut off what was not committed"
            ),
            // It stays hidden, and is cut before anything is appended.
            Err(error) => error!(topic = name, %error, "cannot cut off what was not committed"),
        }
    }
}
