//! How long one record takes when there is no hurry: 1 000 records per second, each its own batch.
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use workload::payload::payload;
use workload::process::{Broker, Error};
use workload::quantiles::Quantiles;

#[derive(Default)]
struct Reports(Mutex<Vec<Duration>>);

impl ClientContext for Reports {}

impl ProducerContext for Reports {
    type DeliveryOpaque = Box<Instant>;

    fn delivery(&self, result: &DeliveryResult<'_>, sent: Box<Instant>) {
        if result.is_ok() {
            let mut times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            times.push(sent.elapsed());
        }
    }
}

/// From handing a record to the client to its delivery report.
pub(crate) fn at_1000_per_second(
    broker: &Broker,
    acks: &str,
    records: u64,
) -> Result<Quantiles, Error> {
    let producer: ThreadedProducer<Reports> = ClientConfig::new()
        .set("bootstrap.servers", &broker.bootstrap)
        .set("acks", acks)
        .set("linger.ms", "0")
        .create_with_context(Reports::default())?;
    let value = payload(100, 3);
    let topic = format!("latency-{acks}");
    let warm_up = 500;
    let mut next = Instant::now();
    for _ in 0..records + warm_up {
        let record = BaseRecord::<[u8], [u8], _>::with_opaque_to(&topic, Box::new(Instant::now()));
        let record = record.partition(0).payload(&value[..]);
        producer.send(record).map_err(|(error, _)| error)?;
        next += Duration::from_millis(1);
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    producer.flush(Duration::from_secs(30))?;
    let times = producer.context().0.lock();
    let mut times = times.unwrap_or_else(PoisonError::into_inner).clone();
    if times.len() as u64 != records + warm_up {
        return Err(format!("{} of {} records arrived", times.len(), records + warm_up).into());
    }
    Ok(Quantiles::of(times.split_off(warm_up as usize)))
}
