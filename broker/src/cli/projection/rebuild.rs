//! `klamm projection rebuild`: orders it, and tells how far it is until it is done.
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::json;

use super::View;

/// How often to look.
const INTERVAL: Duration = Duration::from_millis(250);
/// How often to tell when nobody sees the line change.
const TOLD: Duration = Duration::from_secs(2);
/// How often to look for a rebuild that does not begin.
const LOOKS: u32 = 240;

/// What to build, and how.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct RebuildArgs {
    #[command(flatten)]
    view: View,
    /// Even if records of the source are gone that the rows of now were made of.
    #[arg(long)]
    accept_loss: bool,
    /// Keeps what was built beside the rows of now, until `klamm projection promote`.
    #[arg(long)]
    hold: bool,
    /// Returns at once instead of telling how far it is.
    #[arg(long)]
    no_wait: bool,
}

/// What of a description tells how far a rebuild is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Standing {
    generation: u64,
    state: String,
    reason: Option<String>,
    building: Option<Building>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
struct Building {
    generation: u64,
    read: u64,
    of: u64,
    ready: bool,
}

/// What is known of a rebuild from looking at it.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    /// It goes on.
    Going(Building),
    /// It has not begun.
    Nothing,
    /// It is done: what to say.
    Done(String),
    /// It will not be done: why.
    Stopped(String),
}

impl Standing {
    /// What has become of a rebuild that was ordered when `before` was the generation; `begun` if
    /// it was seen going on.
    fn seen(&self, before: u64, hold: bool, begun: bool) -> Seen {
        match &self.building {
            Some(building) if building.ready && hold => {
                Seen::Done(format!("generation {} is held", building.generation))
            }
            None if self.generation > before => {
                Seen::Done(format!("generation {} is promoted", self.generation))
            }
            _ if self.is_stopped() => Seen::Stopped(self.told()),
            Some(building) => Seen::Going(*building),
            None if begun => Seen::Stopped(format!("it was given up: {}", self.told())),
            None => Seen::Nothing,
        }
    }

    fn is_stopped(&self) -> bool {
        ["FAILED", "PAUSED"].contains(&self.state.as_str())
    }

    fn told(&self) -> String {
        match &self.reason {
            Some(reason) => format!("{}: {reason}", self.state),
            None => self.state.clone(),
        }
    }
}

/// Orders a rebuild and waits for it.
pub(super) async fn run(args: &RebuildArgs) -> Result<()> {
    let view = &args.view;
    let before = standing(view).await?.generation;
    let body = json!({"accept_loss": args.accept_loss, "hold": args.hold});
    view.http.post(&view.path("/rebuild"), &body).await?;
    if args.no_wait {
        return Ok(());
    }
    let mut line = Line::new(&view.name);
    let mut looks = 0;
    loop {
        let standing = standing(view).await?;
        match standing.seen(before, args.hold, line.begun()) {
            Seen::Going(building) => line.tell(building, Instant::now()),
            Seen::Nothing if looks > LOOKS => {
                line.end();
                bail!("the rebuild has not begun: {}", standing.told());
            }
            Seen::Nothing => looks += 1,
            Seen::Done(what) => {
                line.end();
                return Ok(writeln!(io::stdout(), "{} {what}", view.name)?);
            }
            Seen::Stopped(why) => {
                line.end();
                bail!("the rebuild of {} stopped: {why}", view.name);
            }
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

async fn standing(view: &View) -> Result<Standing> {
    let description = view.description().await?;
    serde_json::from_value(description).context("the description lacks something")
}

/// The line of progress on standard error.
struct Line<'a> {
    name: &'a str,
    terminal: bool,
    last: Option<(Instant, u64)>,
}

impl<'a> Line<'a> {
    fn new(name: &'a str) -> Self {
        Self {
            name,
            terminal: io::stderr().is_terminal(),
            last: None,
        }
    }

    /// Whether anything was there to tell.
    fn begun(&self) -> bool {
        self.last.is_some()
    }

    /// Tells, but not too often where every time makes a new line.
    fn tell(&mut self, building: Building, now: Instant) {
        let since = self
            .last
            .map(|(then, read)| (now.duration_since(then), building.read.saturating_sub(read)));
        if !self.terminal && since.is_some_and(|(elapsed, _)| elapsed < TOLD) {
            return;
        }
        self.last = Some((now, building.read));
        let text = progress(self.name, building, since);
        // Without a reader of progress there is nobody to tell.
        let _ = if self.terminal {
            write!(io::stderr(), "\r{text}\x1b[K")
        } else {
            writeln!(io::stderr(), "{text}")
        };
    }

    fn end(&self) {
        if self.terminal && self.begun() {
            eprintln!();
        }
    }
}

/// `v: generation 2, 45 % (450 of 1000 records), 900 records/s`.
fn progress(name: &str, building: Building, since: Option<(Duration, u64)>) -> String {
    let Building {
        generation,
        read,
        of,
        ..
    } = building;
    let percent = read.min(of) * 100 / of.max(1);
    let text = format!("{name}: generation {generation}, {percent} % ({read} of {of} records)");
    match since.filter(|(elapsed, _)| !elapsed.is_zero()) {
        Some((elapsed, records)) => {
            let rate = records as f64 / elapsed.as_secs_f64();
            format!("{text}, {rate:.0} records/s")
        }
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(generation: u64, state: &str, building: Option<(u64, bool)>) -> Standing {
        Standing {
            generation,
            state: state.to_owned(),
            reason: None,
            building: building.map(|(read, ready)| Building {
                generation: 3,
                read,
                of: 10,
                ready,
            }),
        }
    }

    #[test]
    fn the_end_of_a_rebuild_is_seen() {
        let seen = |standing: &Standing, hold, begun| match standing.seen(2, hold, begun) {
            Seen::Going(building) => format!("{}", building.read),
            Seen::Nothing => "nothing".to_owned(),
            Seen::Done(text) | Seen::Stopped(text) => text,
        };
        let going = standing(2, "RUNNING", Some((4, false)));
        assert_eq!(seen(&going, false, false), "4");
        let ready = standing(2, "RUNNING", Some((10, true)));
        assert_eq!(seen(&ready, true, true), "generation 3 is held");
        assert_eq!(seen(&ready, false, true), "10");
        let promoted = standing(3, "RUNNING", None);
        assert_eq!(seen(&promoted, true, false), "generation 3 is promoted");
        let none = standing(2, "RUNNING", None);
        assert_eq!(seen(&none, false, false), "nothing");
        assert_eq!(seen(&none, false, true), "it was given up: RUNNING");
        let paused = standing(2, "PAUSED", Some((4, false)));
        assert_eq!(seen(&paused, false, true), "PAUSED");
        // A rebuild is the way out of it.
        let lost = standing(2, "LOST_INPUT", Some((4, false)));
        assert_eq!(seen(&lost, false, true), "4");
    }

    #[test]
    fn progress_has_per_cent_and_a_rate() {
        let building = Building {
            generation: 2,
            read: 450,
            of: 1000,
            ready: false,
        };
        assert_eq!(
            progress("v", building, Some((Duration::from_millis(500), 450))),
            "v: generation 2, 45 % (450 of 1000 records), 900 records/s"
        );
        let nothing = Building { of: 0, ..building };
        assert!(progress("v", nothing, None).contains(" 0 % "));
    }
}
