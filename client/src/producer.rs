//! Producing to one topic: records are gathered into a batch per partition.
use std::time::{Duration, Instant};

use bytes::Bytes;
use protocol::error::ErrorCode;
use protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use protocol::messages::{
    ApiKey, InitProducerIdRequest, ProduceRequest, ProduceResponse, ProducerId,
};
use protocol::record::{BatchBuilder, Compression};

use crate::connection::Connection;
use crate::error::{ClientError, check};
use crate::metadata::Topic;
use crate::partitioner::partition_of;
use crate::topics::topic_name;

/// Time between attempts.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);

/// Whose word counts as delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acks {
    /// Nobody's: no answer.
    None,
    /// The leader's.
    Leader,
    /// All in-sync replicas', on klamm: the disk's.
    All,
}

/// How to produce.
#[derive(Debug, Clone)]
pub struct ProducerOptions {
    /// Whose word counts as delivered.
    pub acks: Acks,
    /// Codec of batches.
    pub compression: Compression,
    /// Whether the broker drops duplicates of a retried batch; needs [`Acks::All`].
    pub idempotent: bool,
    /// Uncompressed bytes at which a batch is sent.
    pub batch_bytes: usize,
    /// How long to try.
    pub timeout: Duration,
}

impl Default for ProducerOptions {
    fn default() -> Self {
        ProducerOptions {
            acks: Acks::All,
            compression: Compression::None,
            idempotent: true,
            batch_bytes: 512 * 1024,
            timeout: Duration::from_secs(30),
        }
    }
}

/// A record to be produced.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outgoing {
    /// Partition; `None` to go by the key.
    pub partition: Option<i32>,
    /// Key.
    pub key: Option<Vec<u8>>,
    /// Value; `None` is a tombstone.
    pub value: Option<Vec<u8>>,
    /// Headers.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Epoch milliseconds.
    pub timestamp_ms: i64,
}

impl Outgoing {
    /// Bytes that it adds to a batch, but for a few of framing.
    fn bytes(&self) -> usize {
        let headers = self.headers.iter();
        self.key.as_ref().map_or(0, Vec::len)
            + self.value.as_ref().map_or(0, Vec::len)
            + headers.map(|(k, v)| k.len() + v.len()).sum::<usize>()
    }
}

/// Where a batch went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery {
    /// Partition.
    pub partition: i32,
    /// Offset of its first record; -1 with [`Acks::None`].
    pub base_offset: i64,
    /// How many records it has.
    pub records: usize,
}

/// A batch that is being gathered, and the sequence that it will start with.
#[derive(Debug)]
struct Open {
    partition: i32,
    batch: BatchBuilder,
    sequence: i32,
}

/// A producer to one topic.
#[derive(Debug)]
pub struct Producer {
    connection: Connection,
    topic: Topic,
    options: ProducerOptions,
    identity: Option<(i64, i16)>,
    open: Vec<Open>,
    /// Place in `open` of the partition that records without a key go to for now.
    keyless: usize,
}

impl Producer {
    /// A producer to `topic`, which the broker may make.
    pub async fn open(
        mut connection: Connection,
        topic: &str,
        options: ProducerOptions,
    ) -> Result<Producer, ClientError> {
        let topic = connection.topic(topic, true).await?;
        let identity = if options.idempotent && options.acks == Acks::All {
            Some(producer_id(&mut connection).await?)
        } else {
            None
        };
        let open = topic
            .partitions
            .iter()
            .map(|p| Open {
                partition: p.index,
                batch: fresh(&options, identity, 0),
                sequence: 0,
            })
            .collect();
        Ok(Producer {
            connection,
            topic,
            options,
            identity,
            open,
            keyless: 0,
        })
    }

    /// Adds a record; sends what is gathered when its batch is full, or would be too full with it:
    /// a record that is allowed alone must not be refused for its neighbours.
    pub async fn send(&mut self, record: &Outgoing) -> Result<Vec<Delivery>, ClientError> {
        let mut delivered = Vec::new();
        let mut place = self.place(record)?;
        let batch = &self.open[place].batch;
        if !batch.is_empty() && batch.size() + record.bytes() > self.options.batch_bytes {
            delivered = self.flush().await?;
            place = self.place(record)?;
        }
        let batch = &mut self.open[place].batch;
        let headers: Vec<(&[u8], Option<&[u8]>)> = record
            .headers
            .iter()
            .map(|(name, value)| (name.as_bytes(), Some(value.as_slice())))
            .collect();
        let (key, value) = (record.key.as_deref(), record.value.as_deref());
        batch.push_with_headers(record.timestamp_ms, key, value, &headers);
        if batch.size() >= self.options.batch_bytes {
            delivered.extend(self.flush().await?);
        }
        Ok(delivered)
    }

    /// Sends everything gathered and waits until it is delivered.
    pub async fn flush(&mut self) -> Result<Vec<Delivery>, ClientError> {
        let mut pending = self.take_batches();
        let mut delivered = Vec::with_capacity(pending.len());
        let deadline = Instant::now() + self.options.timeout;
        while !pending.is_empty() {
            let request = self.request(&pending);
            if self.options.acks == Acks::None {
                self.connection.send_unanswered(&request).await?;
                delivered.extend(pending.drain(..).map(|sent| sent.delivered(-1)));
                break;
            }
            let retry_at = Instant::now() + RETRY_INTERVAL;
            match self.connection.send(&request).await {
                Ok(answer) => pending = self.sort(&answer, pending, &mut delivered, deadline)?,
                // The batches may be in the log: only a broker that knows their sequences can be
                // sent them again.
                Err(error)
                    if error.is_unreachable()
                        && self.identity.is_some()
                        && Instant::now() < deadline => {}
                Err(error) => return Err(error),
            }
            if !pending.is_empty() {
                tokio::time::sleep_until(retry_at.into()).await;
            }
        }
        Ok(delivered)
    }

    /// Reads what became of each batch; answers those to be tried again.
    fn sort(
        &self,
        answer: &ProduceResponse,
        pending: Vec<Sent>,
        delivered: &mut Vec<Delivery>,
        deadline: Instant,
    ) -> Result<Vec<Sent>, ClientError> {
        let results: Vec<_> = answer
            .responses
            .iter()
            .flat_map(|topic| &topic.partition_responses)
            .collect();
        let mut again = Vec::new();
        for sent in pending {
            let result = results
                .iter()
                .find(|result| result.index == sent.partition)
                .ok_or(ClientError::Incomplete(ApiKey::Produce))?;
            match ErrorCode::try_from_code(result.error_code) {
                None => delivered.push(sent.delivered(result.base_offset)),
                Some(code) if code.is_retriable() && Instant::now() < deadline => again.push(sent),
                Some(_) => check(result.error_code, result.error_message.as_ref(), || {
                    format!("produce to {}-{}", self.topic.name, sent.partition)
                })?,
            }
        }
        Ok(again)
    }

    fn place(&self, record: &Outgoing) -> Result<usize, ClientError> {
        match (record.partition, &record.key) {
            (Some(partition), _) => {
                let place = self
                    .open
                    .iter()
                    .position(|open| open.partition == partition);
                place.ok_or_else(|| ClientError::Refused {
                    what: format!("produce to {}-{partition}", self.topic.name),
                    code: ErrorCode::UnknownTopicOrPartition,
                    message: None,
                })
            }
            (None, Some(key)) => Ok(partition_of(key, self.open.len())),
            (None, None) => Ok(self.keyless),
        }
    }

    fn take_batches(&mut self) -> Vec<Sent> {
        let mut taken = Vec::new();
        for open in &mut self.open {
            if open.batch.is_empty() {
                continue;
            }
            let records = open.batch.len();
            // Sequences wrap to 0 after the largest (KIP-98).
            let next = (i64::from(open.sequence) + records as i64) % (1 << 31);
            open.sequence = next as i32;
            let empty = fresh(&self.options, self.identity, open.sequence);
            let batch = std::mem::replace(&mut open.batch, empty).build();
            taken.push(Sent {
                partition: open.partition,
                records,
                batch,
            });
        }
        self.keyless = (self.keyless + 1) % self.open.len();
        taken
    }

    fn request(&self, batches: &[Sent]) -> ProduceRequest {
        let partitions = batches
            .iter()
            .map(|sent| {
                PartitionProduceData::default()
                    .with_index(sent.partition)
                    .with_records(Some(sent.batch.clone()))
            })
            .collect();
        let acks = match self.options.acks {
            Acks::None => 0,
            Acks::Leader => 1,
            Acks::All => -1,
        };
        ProduceRequest::default()
            .with_acks(acks)
            .with_timeout_ms(self.options.timeout.as_millis() as i32)
            .with_topic_data(vec![
                TopicProduceData::default()
                    .with_name(topic_name(&self.topic.name))
                    .with_partition_data(partitions),
            ])
    }
}

/// A batch on its way.
#[derive(Debug)]
struct Sent {
    partition: i32,
    records: usize,
    batch: Bytes,
}

impl Sent {
    fn delivered(&self, base_offset: i64) -> Delivery {
        Delivery {
            partition: self.partition,
            base_offset,
            records: self.records,
        }
    }
}

fn fresh(options: &ProducerOptions, identity: Option<(i64, i16)>, sequence: i32) -> BatchBuilder {
    let batch = BatchBuilder::new().compression(options.compression);
    match identity {
        Some((id, epoch)) => batch.producer(id, epoch, sequence),
        None => batch,
    }
}

async fn producer_id(connection: &mut Connection) -> Result<(i64, i16), ClientError> {
    let request = InitProducerIdRequest::default()
        .with_transactional_id(None)
        .with_transaction_timeout_ms(i32::MAX)
        .with_producer_id(ProducerId(-1))
        .with_producer_epoch(-1);
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let answer = connection.send(&request).await?;
        match ErrorCode::try_from_code(answer.error_code) {
            None => return Ok((answer.producer_id.0, answer.producer_epoch)),
            Some(code) if code.is_retriable() && Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Some(_) => check(answer.error_code, None, || "producer id".to_owned())?,
        }
    }
}
