//! The process itself, as `/proc` shows it, under the names that every Prometheus client library
//! gives them.
use std::fs;

use super::page::Page;

/// Ticks per second in `/proc/self/stat`: `USER_HZ`, 100 on every architecture in use.
const USER_HZ: f64 = 100.0;

/// Writes version, memory, CPU time and descriptors. What `/proc` does not show is left out.
pub fn write(page: &mut Page) {
    page.gauge(
        "klamm_build_info",
        "Always 1; the label says which version runs.",
    )
    .sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    if let Some(seconds) = cpu_seconds() {
        page.counter(
            "process_cpu_seconds_total",
            "CPU time used, user and system.",
        )
        .sample(&[], seconds);
    }
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let memory = [
        (
            "VmRSS",
            "process_resident_memory_bytes",
            "Resident memory, mapped segments included.",
        ),
        (
            "RssAnon",
            "klamm_anonymous_memory_bytes",
            "Resident memory without mapped files.",
        ),
        (
            "VmSize",
            "process_virtual_memory_bytes",
            "Address space in use, mapped segments included.",
        ),
    ];
    for (line, name, help) in memory {
        if let Some(kibibytes) = field(&status, line) {
            page.gauge(name, help).sample(&[], kibibytes * 1024);
        }
    }
    if let Some(threads) = field(&status, "Threads") {
        page.gauge("process_threads", "Threads.")
            .sample(&[], threads);
    }
    if let Ok(entries) = fs::read_dir("/proc/self/fd") {
        // One of them is the look itself.
        page.gauge("process_open_fds", "Open file descriptors.")
            .sample(&[], entries.count().saturating_sub(1));
    }
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    if let Some(limit) = limit {
        page.gauge(
            "process_max_fds",
            "File descriptors that may be open at once.",
        )
        .sample(&[], limit);
    }
}

fn field(status: &str, name: &str) -> Option<u64> {
    let value = status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    value.split_whitespace().next()?.parse().ok()
}

fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the program's name in brackets and may hold blanks.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut ticks = fields.split_whitespace().skip(11);
    let user: u64 = ticks.next()?.parse().ok()?;
    let system: u64 = ticks.next()?.parse().ok()?;
    Some((user + system) as f64 / USER_HZ)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_cpu_time_and_descriptors() {
        let mut page = Page::default();
        write(&mut page);
        let text = page.finish();
        for name in [
            "process_resident_memory_bytes",
            "klamm_anonymous_memory_bytes",
            "process_cpu_seconds_total",
            "process_threads",
            "process_open_fds",
            "process_max_fds",
        ] {
            let sample = text
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
                .unwrap_or_else(|| panic!("{name} is missing"));
            assert!(sample.parse::<f64>().unwrap() >= 0.0, "{name} {sample}");
        }
    }
}
