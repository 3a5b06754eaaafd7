//! Crash points for tests: the process aborts at a numbered step of a commit.
//!
//! `KLAMM_TEST_PROJECTION_CRASH=<step>[:<n>]` aborts at the n-th passage (the first without `:n`):
//! steps 1 to 6 before what the step does, 7 after all of it. See `sink.rs` for the steps.
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

const VARIABLE: &str = "KLAMM_TEST_PROJECTION_CRASH";

struct Point {
    step: u8,
    left: AtomicU64,
}

static POINT: OnceLock<Option<Point>> = OnceLock::new();

/// A commit comes to this step.
pub fn passage(step: u8) {
    let Some(point) = POINT.get_or_init(|| parse(&std::env::var(VARIABLE).ok()?)) else {
        return;
    };
    if point.step == step && point.left.fetch_sub(1, Ordering::Relaxed) == 1 {
        tracing::error!(step, "{VARIABLE}: aborting");
        std::process::abort();
    }
}

fn parse(text: &str) -> Option<Point> {
    let (step, nth) = text.split_once(':').unwrap_or((text, "1"));
    Some(Point {
        step: step.parse().ok()?,
        left: AtomicU64::new(nth.parse().ok().filter(|nth| *nth > 0)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_a_step_and_a_count() {
        let of = |text| parse(text).map(|point| (point.step, point.left.into_inner()));
        assert_eq!(of("3"), Some((3, 1)));
        assert_eq!(of("6:20"), Some((6, 20)));
        assert_eq!(of("6:0"), None);
        assert_eq!(of("x"), None);
    }
}
