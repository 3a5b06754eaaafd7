//! What readers and the rest of the broker are shown after a commit.
use std::sync::Arc;
use std::time::Instant;

use projection::{Commit, Counts};

use super::runner::Runner;
use super::shown::{Position, Shown};

/// One more commit is visible; `before` is the one that was so far.
pub fn committed(runner: &Runner, before: Option<&Commit>) {
    observe_latency(runner, before);
    let counts = before.map_or_else(Counts::default, |commit| commit.counts);
    if let Some(commit) = &runner.commit {
        runner.handle.stats().committed(counts, commit.counts);
    }
    show(runner, |shown| {
        if shown.is_fresh() {
            shown.caught_up = Some(Instant::now());
        }
    });
    runner.handle.tell();
}

/// The rows were read back.
pub fn restored(runner: &Runner) {
    // It was up to date before the restart, as far as anybody knows.
    show(runner, |shown| shown.caught_up = Some(Instant::now()));
    runner.handle.tell();
}

/// There is nothing more to read.
pub fn caught_up(runner: &Runner) {
    let name = runner.name();
    runner.handle.show(|shown| {
        if shown.caught_up.is_none() {
            tracing::info!(
                view = name,
                generation = shown.generation,
                "a view is up to date"
            );
        }
        shown.caught_up = Some(Instant::now());
    });
    look(runner);
}

fn show(runner: &Runner, change: impl FnOnce(&mut Shown)) {
    let (Some(serving), Some(commit)) = (&runner.serving, &runner.commit) else {
        return;
    };
    let positions = commit.sources.iter().map(|source| Position {
        partition: source.partition,
        first: source.first,
        next: source.next,
        stream_time: source.stream_time,
    });
    let positions: Arc<[Position]> = positions.collect();
    let table = serving.engine.table();
    let memory_bytes = serving.engine.memory_bytes() as u64;
    let rows_next = runner.outputs.rows.next();
    runner.handle.show(|shown| {
        shown.table = Some(table);
        shown.generation = commit.generation;
        shown.positions = positions;
        shown.rows_next = rows_next;
        shown.counts = commit.counts;
        shown.memory_bytes = memory_bytes;
        if *shown.definition != *commit.definition {
            shown.definition = commit.definition.as_str().into();
        }
        if *shown.source != *serving.topic {
            shown.source = Arc::clone(&serving.topic);
        }
        shown.topic = serving.source.as_ref().map(|it| Arc::clone(&it.topic));
        change(shown);
    });
    look(runner);
}

/// Notes how much came into the source.
fn look(runner: &Runner) {
    let (_, total) = runner.handle.ingested();
    runner.handle.stats().ingest.look(total, Instant::now());
}

/// From the append of the oldest event of a commit to now, for each partition.
fn observe_latency(runner: &Runner, before: Option<&Commit>) {
    let (Some(serving), Some(commit)) = (&runner.serving, &runner.commit) else {
        return;
    };
    let Some(source) = &serving.source else {
        return;
    };
    for now in &commit.sources {
        let earlier = before.and_then(|commit| {
            let mut sources = commit.sources.iter();
            sources.find(|it| it.partition == now.partition)
        });
        let since = earlier.map_or(now.first, |it| it.next);
        if since >= now.next {
            continue;
        }
        let partition = source.topic.partition(now.partition);
        if let Some(at) = partition.and_then(|it| it.appended_at(since)) {
            runner.handle.stats().latency.observe(at.elapsed());
        }
    }
}
