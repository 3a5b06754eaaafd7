//! Checking a record batch as it comes from a client, and reading its records.
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use protocol::record::{BatchBuilder, restamp, verify};
use workload::payload::payload;

fn batch(records: usize, record_bytes: usize) -> Vec<u8> {
    let value = payload(record_bytes, 1);
    let mut builder = BatchBuilder::new();
    for at in 0..records {
        builder.push(1_700_000_000_000 + at as i64, None, Some(&value));
    }
    builder.build().to_vec()
}

fn verifying(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("verify");
    for (records, record_bytes) in [(1, 100), (1000, 100), (1000, 1024)] {
        let batch = batch(records, record_bytes);
        group.throughput(Throughput::Bytes(batch.len() as u64));
        group.bench_function(format!("{records} x {record_bytes} B"), |bencher| {
            bencher.iter(|| verify(&batch));
        });
    }
    group.finish();
}

fn restamping(criterion: &mut Criterion) {
    let batch = batch(1, 100);
    criterion.bench_function("restamp", |bencher| {
        bencher.iter_batched_ref(
            || batch.clone(),
            |batch| restamp(batch, 42, 0),
            BatchSize::SmallInput,
        );
    });
}

criterion_group!(benches, verifying, restamping);
criterion_main!(benches);
