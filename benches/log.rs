//! Appends to a log and reads from it, without sockets. Flushing is left to the operating system.
use std::sync::Arc;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use protocol::record::{BatchBuilder, TimestampType};
use storage::{Append, Cleanup, FlushPolicy, Log, LogConfig, Logs, Origin, StorageOptions};
use tempfile::TempDir;
use workload::payload::payload;

/// Reads and appends stay within so many bytes of log.
const LOG_BYTES: i64 = 512 << 20;

fn config() -> LogConfig {
    LogConfig {
        segment_bytes: 64 << 20,
        segment_ms: i64::MAX,
        segment_index_bytes: 10 << 20,
        index_interval_bytes: 4096,
        retention_ms: -1,
        retention_bytes: -1,
        max_message_bytes: 16 << 20,
        timestamp_type: TimestampType::CreateTime,
        timestamp_before_max_ms: i64::MAX,
        timestamp_after_max_ms: i64::MAX,
        cleanup: Cleanup {
            delete: true,
            compact: false,
        },
        flush_messages: i64::MAX,
        flush_ms: i64::MAX,
        file_delete_delay_ms: 0,
        delete_retention_ms: 86_400_000,
        min_compaction_lag_ms: 0,
        max_compaction_lag_ms: i64::MAX,
        min_cleanable_dirty_ratio: 0.5,
    }
}

struct Opened {
    log: Arc<Log>,
    logs: Logs,
    _folder: TempDir,
}

fn open() -> Opened {
    let folder = TempDir::with_prefix("klamm-bench-").expect("a temporary folder can be made");
    let options = StorageOptions {
        data_dir: folder.path().to_owned(),
        flush: FlushPolicy::Os,
        producer_id_expiration_ms: 86_400_000,
        retention_check_interval_ms: 300_000,
        cleaner_backoff_ms: 3_600_000,
        cleaner_bytes_per_second: f64::MAX,
        cleaner_map_bytes: 1 << 20,
    };
    let (logs, _) = Logs::open(options, &config()).expect("an empty folder can be opened");
    let log = logs.create("bench", 0, [1; 16], config());
    Opened {
        log: log.expect("a log can be made in an empty folder"),
        logs,
        _folder: folder,
    }
}

fn batch(records: usize, record_bytes: usize) -> Bytes {
    let value = payload(record_bytes, 1);
    let mut builder = BatchBuilder::new();
    for _ in 0..records {
        builder.push(1_700_000_000_000, None, Some(&value));
    }
    builder.build()
}

const HOW: Append = Append {
    origin: Origin::Client,
    leader_epoch: 0,
    now_ms: 1_700_000_000_000,
};

fn append(opened: &Opened, batch: &[u8]) {
    let appended = opened
        .log
        .append(batch, HOW)
        .expect("a good batch is taken");
    if opened.log.size_bytes() > LOG_BYTES as u64 {
        let freed = opened.log.delete_records(appended.last_offset);
        freed.expect("what was appended can be deleted");
    }
}

fn appending(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("append");
    for (records, record_bytes) in [(1, 100), (1, 1024), (1000, 100), (1000, 1024)] {
        let opened = open();
        let batch = batch(records, record_bytes);
        group.throughput(Throughput::Bytes(batch.len() as u64));
        group.bench_function(format!("{records} x {record_bytes} B"), |bencher| {
            bencher.iter(|| append(&opened, &batch));
        });
        opened.logs.close().expect("the log can be closed");
    }
    group.finish();
}

fn reading(criterion: &mut Criterion) {
    let opened = open();
    let batch = batch(100, 100);
    for _ in 0..20_000 {
        append(&opened, &batch);
    }
    let (start, end) = (opened.log.start_offset(), opened.log.end_offset());
    let mut group = criterion.benchmark_group("read");
    for max_bytes in [1, 64 << 10, 1 << 20] {
        let mut offset = start;
        group.bench_function(format!("at most {max_bytes} B"), |bencher| {
            bencher.iter(|| {
                // A prime step, so that it is rarely the same page of the index.
                offset = start + (offset - start + 700_001) % (end - start);
                let read = opened.log.read(offset, end, max_bytes, true);
                read.expect("the offset is in the log").records.len()
            });
        });
    }
    group.finish();
    opened.logs.close().expect("the log can be closed");
}

criterion_group!(benches, appending, reading);
criterion_main!(benches);
