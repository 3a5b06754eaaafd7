//! Questions about partition 0 of a topic over a raw connection, reduced to the part of the answer
//! that tests look at.
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::{Buf, Bytes};
use kafka_protocol::messages::FetchRequest;
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::produce_response::PartitionProduceResponse;

use crate::{PATIENCE, Wire, ask};

/// What a broker answers for a moment after a topic was made or the broker was started; clients ask
/// again: topic, leader or coordinator not known yet, not available, or loading.
const TRANSIENT: &[i16] = &[3, 5, 6, 14, 15, 16];

/// Asks until the error code of the answer is not a transient one.
pub fn settled<T>(mut ask: impl FnMut() -> Result<(i16, T)>) -> Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (code, answer) = ask()?;
        if !TRANSIENT.contains(&code) {
            return Ok(answer);
        }
        ensure!(
            Instant::now() < deadline,
            "still error {code} after {PATIENCE:?}"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

impl Wire {
    /// Creates a topic and waits until its partitions are served.
    pub fn create_topic(
        &mut self,
        name: &str,
        partitions: i32,
        configs: &[(&str, &str)],
    ) -> Result<()> {
        let request = ask::create_topics(vec![ask::new_topic(name, partitions, configs)]);
        let response = self.call(7, &request)?;
        let result = response.topics.first().context("no result")?;
        ensure!(
            result.error_code == 0,
            "topic {name} was refused: {result:?}"
        );
        for partition in 0..partitions {
            crate::eventually("the new partition", || {
                let (error, _, _) = self.list_offset_of(name, partition, -1).ok()?;
                (error == 0).then_some(())
            })?;
        }
        Ok(())
    }

    /// Produces one batch with acks=all and gives the partition's answer.
    pub fn produce(&mut self, topic: &str, batch: Bytes) -> Result<PartitionProduceResponse> {
        let request = ask::produce(topic, batch);
        settled(|| {
            let response = self.call(9, &request)?;
            let topic = response
                .responses
                .into_iter()
                .next()
                .context("no topic answered")?;
            let answer = topic.partition_responses.into_iter().next();
            let answer = answer.context("no partition answered")?;
            Ok((answer.error_code, answer))
        })
    }

    /// Fetches and gives the first partition's answer.
    pub fn fetch(&mut self, request: &FetchRequest) -> Result<PartitionData> {
        settled(|| {
            let response = self.call(12, request)?;
            ensure!(response.error_code == 0, "{response:?}");
            let topic = response
                .responses
                .into_iter()
                .next()
                .context("no topic answered")?;
            let answer = topic
                .partitions
                .into_iter()
                .next()
                .context("no partition answered")?;
            Ok((answer.error_code, answer))
        })
    }

    /// The (error code, timestamp, offset) in partition 0 for a timestamp or a special one.
    pub fn list_offset(&mut self, topic: &str, timestamp: i64) -> Result<(i16, i64, i64)> {
        settled(|| {
            let found = self.list_offset_of(topic, 0, timestamp)?;
            Ok((found.0, found))
        })
    }

    fn list_offset_of(
        &mut self,
        topic: &str,
        partition: i32,
        timestamp: i64,
    ) -> Result<(i16, i64, i64)> {
        let mut request = ask::list_offsets(topic, timestamp);
        request.topics[0].partitions[0].partition_index = partition;
        let response = self.call(8, &request)?;
        let topic = response
            .topics
            .into_iter()
            .next()
            .context("no topic answered")?;
        let found = topic
            .partitions
            .into_iter()
            .next()
            .context("no partition answered")?;
        Ok((found.error_code, found.timestamp, found.offset))
    }
}

/// The base offsets and record counts of the whole batches in a fetched record set.
pub fn batches(partition: &PartitionData) -> Result<Vec<(i64, i32)>> {
    let mut rest = partition.records.clone().context("records are null")?;
    let mut found = Vec::new();
    while rest.len() >= 61 {
        let base_offset = rest.slice(0..8).get_i64();
        let size = rest.slice(8..12).get_i32() as usize + 12;
        if size > rest.len() {
            break;
        }
        found.push((base_offset, rest.slice(57..61).get_i32()));
        rest.advance(size);
    }
    Ok(found)
}
