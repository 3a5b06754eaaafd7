//! One generation of a view: its engine, its reader, and what a commit says of it.
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use projection::{
    Commit, ENGINE_VERSION, Engine, Input, Options, OutputPosition, Progress, Row, SourcePosition,
    View,
};

use super::output::Output;
use super::scan::{ScanError, scan, scan_source};
use super::source::{Source, timestamp};
use crate::metadata::{Topic, Topics, uuid_text};

/// See the module.
pub struct Generation {
    /// The first one is 1.
    pub number: u64,
    /// Rows and what else it knows.
    pub engine: Box<dyn Engine>,
    /// What it reads; `None` if that is gone.
    pub source: Option<Source>,
    /// The source's name.
    pub topic: Arc<str>,
    /// The source's id.
    pub topic_id: Box<str>,
    /// What its definition leaves open.
    pub options: Options,
    /// First offset that was read, by partition.
    pub firsts: BTreeMap<i32, i64>,
    /// Number of the last commit.
    pub sequence: u64,
    /// Keys in the view's topic that this engine cannot read.
    pub strays: BTreeSet<Vec<u8>>,
    /// Why it takes no more records, if it does not.
    pub frozen: Option<String>,
}

impl Generation {
    /// One without rows, at the start of `topic`.
    pub fn fresh(
        number: u64,
        view: &View,
        options: &Options,
        topic: Arc<Topic>,
        durable: bool,
    ) -> Self {
        let mut generation = Self {
            number,
            engine: (view.engine)(options.clone()),
            topic: Arc::clone(&topic.name),
            topic_id: uuid_text::to_text(topic.id).into(),
            source: Some(Source::new(topic, durable, BTreeMap::new())),
            options: options.clone(),
            firsts: BTreeMap::new(),
            sequence: 0,
            strays: BTreeSet::new(),
            frozen: None,
        };
        generation.take_in_partitions();
        generation
    }

    /// The one that made `commit`, with the rows that stand in its topic.
    pub fn restored(
        view: &View,
        commit: &Commit,
        choices: &[Options],
        topics: &Topics,
        (rows, durable): (&Output, bool),
    ) -> Result<Self, ScanError> {
        let fitting = choices
            .iter()
            .map(|options| (options, (view.engine)(options.clone())))
            .find(|(_, engine)| engine.definition_hash() == commit.definition);
        let frozen = fitting.is_none().then(|| {
            "the definition changed, and the one that made the rows is not known any more"
                .to_owned()
        });
        let (options, engine) = match fitting {
            Some((options, engine)) => (options.clone(), engine),
            None => (choices[0].clone(), (view.engine)(choices[0].clone())),
        };
        let named = commit.sources.first();
        let topic = named.map_or("", |source| &source.topic);
        let topic_id = named.map_or("", |source| &source.topic_id);
        let served = topics.get(topic);
        let served = served.filter(|topic| uuid_text::to_text(topic.id) == topic_id);
        let next = commit.sources.iter();
        let next = next.map(|source| (source.partition, source.next));
        let firsts = commit.sources.iter();
        let mut generation = Self {
            number: commit.generation,
            engine,
            source: served.map(|topic| Source::new(topic, durable, next.collect())),
            topic: topic.into(),
            topic_id: topic_id.into(),
            options,
            firsts: firsts.map(|it| (it.partition, it.first)).collect(),
            sequence: commit.sequence,
            strays: BTreeSet::new(),
            frozen,
        };
        generation.read_rows_back(rows)?;
        if !generation.strays.is_empty() && generation.frozen.is_none() {
            generation.frozen = Some("its topic holds records that are no rows of it".to_owned());
        }
        let progress = commit.sources.iter();
        let progress = progress.map(|source| (source.partition, progress_of(source)));
        let progress = progress.collect();
        generation.engine.restore(&progress, commit.counts);
        generation.see_again(&progress)?;
        Ok(generation)
    }

    fn read_rows_back(&mut self, rows: &Output) -> Result<(), ScanError> {
        let Some(partition) = rows.partition() else {
            return Ok(());
        };
        let (engine, strays) = (&mut self.engine, &mut self.strays);
        scan(partition, 0, rows.next(), |header, record, offset| {
            let key = record.key.unwrap_or_default();
            let row = Row {
                key: key.into(),
                value: record.value.unwrap_or_default().to_vec(),
                timestamp: timestamp(header, record),
                offset,
            };
            match engine.restore_row(&row, record.value.is_none()) {
                Ok(()) => drop(strays.remove(key)),
                Err(_) if record.value.is_none() => drop(strays.remove(key)),
                Err(_) => drop(strays.insert(key.to_vec())),
            }
        })
    }

    /// Knows again which events were seen lately.
    fn see_again(&mut self, progress: &BTreeMap<i32, Progress>) -> Result<(), ScanError> {
        let Some(source) = &self.source else {
            return Ok(());
        };
        for (index, progress) in progress {
            let Some(partition) = source.topic.partition(*index) else {
                continue;
            };
            let start = partition.log.start_offset();
            if start > progress.dedup_from {
                tracing::warn!(
                    topic = &*self.topic,
                    partition = index,
                    from = progress.dedup_from,
                    start,
                    "retention took records that tell which events were seen: duplicates of them \
                     would count again"
                );
            }
            let engine = &mut self.engine;
            let (from, to) = (progress.dedup_from, progress.next);
            scan_source(&partition, from, to, |header, record, offset| {
                engine.restore_sighting(&Input {
                    partition: *index,
                    offset,
                    timestamp: timestamp(header, record),
                    value: record.value,
                });
            })?;
        }
        Ok(())
    }

    /// Whether it takes records.
    pub fn is_live(&self) -> bool {
        self.frozen.is_none()
    }

    /// New partitions of the source are read from where they begin now.
    pub fn take_in_partitions(&mut self) {
        let Some(source) = &mut self.source else {
            return;
        };
        let partitions = source.topic.partitions();
        for partition in partitions.iter() {
            let first = *self.firsts.entry(partition.index).or_insert_with(|| {
                partition.watch_appends();
                partition.log.start_offset()
            });
            source.begin(partition.index, first);
        }
    }

    /// Offset of the next record of each partition.
    pub fn positions(&self) -> BTreeMap<i32, i64> {
        let progress = self.engine.progress();
        let next = |(index, first): (&i32, &i64)| {
            let next = progress.get(index).map_or(*first, |it| it.next);
            (*index, next)
        };
        self.firsts.iter().map(next).collect()
    }

    /// Takes back what was not committed.
    pub fn rollback(&mut self) {
        self.engine.rollback();
        let positions = self.positions();
        if let Some(source) = &mut self.source {
            source.seek(positions);
        }
    }

    /// The record of the next commit.
    pub fn record(&self, view: &str, outputs: Vec<OutputPosition>) -> Commit {
        let progress = self.engine.progress();
        let source = |(index, first): (&i32, &i64)| {
            let known = progress.get(index);
            SourcePosition {
                topic: self.topic.to_string(),
                topic_id: self.topic_id.to_string(),
                partition: *index,
                first: *first,
                next: known.map_or(*first, |it| it.next),
                stream_time: known.and_then(|it| it.stream_time),
                dedup_from: known.map_or(*first, |it| it.dedup_from),
                dedup_stream_time: known.and_then(|it| it.dedup_stream_time),
            }
        };
        Commit {
            projection: view.to_owned(),
            definition: self.engine.definition_hash().to_owned(),
            engine: ENGINE_VERSION,
            generation: self.number,
            sequence: self.sequence + 1,
            sources: self.firsts.iter().map(source).collect(),
            outputs,
            counts: self.engine.counts(),
        }
    }

    /// Records of the source that this generation read, or began above, and that are gone: what a
    /// new generation would lack.
    pub fn missing_history(&self) -> Option<String> {
        let Some(source) = &self.source else {
            return Some(format!("{} as it was read is gone", self.topic));
        };
        let partitions = source.topic.partitions();
        partitions.iter().find_map(|partition| {
            let start = partition.log.start_offset();
            let first = *self.firsts.get(&partition.index)?;
            (start > first).then(|| {
                format!(
                    "records {first} to {start} of {}-{} are gone",
                    self.topic, partition.index
                )
            })
        })
    }
}

fn progress_of(source: &SourcePosition) -> Progress {
    Progress {
        next: source.next,
        stream_time: source.stream_time,
        dedup_from: source.dedup_from,
        dedup_stream_time: source.dedup_stream_time,
    }
}
