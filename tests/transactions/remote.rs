//! Producers of foreign libraries, each kind in a process of its own, which can be killed.
//!
//! The process is told steps, a line each, and answers each with a line; words have tabs between
//! them, and the first one names the producer:
//!
//! | step | answer |
//! |---|---|
//! | `N init ID TIMEOUT_MS`, `N begin`, `N send TOPIC PARTITION VALUE`, `N flush` | `N done` |
//! | `N offsets GROUP TOPIC PARTITION OFFSET …` | `N again ERROR`: may be asked again |
//! | `N commit`, `N abort` | `N abort ERROR`: the transaction has to be aborted |
//! | `N close` | `N over ERROR`: of no more use |
//!
//! All choices are made, and all times taken, on this side.
use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use harness::PATIENCE;

use crate::clients::{Answer, Client, Name};
use crate::inputs::Inputs;
use crate::run::Place;

/// One program, which is started again when a producer is needed after it was killed.
pub(crate) struct Remote {
    command: fn() -> Result<Command>,
    running: Mutex<Option<Arc<Running>>>,
    next: AtomicU32,
}

impl Remote {
    pub(crate) fn new(command: fn() -> Result<Command>) -> Self {
        Self {
            command,
            running: Mutex::default(),
            next: AtomicU32::new(0),
        }
    }

    /// A producer in it.
    pub(crate) fn session(&self, place: &Place, name: &Name) -> Result<Session> {
        let mut current = locked(&self.running);
        let alive = current.take().filter(|running| running.is_alive());
        let running = match alive {
            Some(running) => running,
            None => Running::start((self.command)()?, &place.bootstrap)?,
        };
        *current = Some(Arc::clone(&running));
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, answers) = sync_channel(1);
        if let Some(waiting) = locked(&running.waiting).as_mut() {
            waiting.insert(number, sender);
        }
        Ok(Session {
            running,
            number,
            answers,
            topic: place.topic.clone(),
            name: name.clone(),
        })
    }

    /// Kills it without warning, if it runs.
    pub(crate) fn kill9(&self) -> Result<()> {
        if let Some(running) = locked(&self.running).take() {
            locked(&running.child).kill()?;
        }
        Ok(())
    }

    /// Lets it stand still for a while, if it runs.
    pub(crate) fn pause(&self, pause: Duration) -> Result<()> {
        let Some(running) = locked(&self.running).clone() else {
            return Ok(());
        };
        let id = locked(&running.child).id().to_string();
        let signal = |name| Command::new("kill").args([name, id.as_str()]).status();
        signal("-STOP")?;
        std::thread::sleep(pause);
        signal("-CONT")?;
        Ok(())
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        // What cannot be killed has ended.
        let _ = self.kill9();
    }
}

/// A process.
struct Running {
    child: Mutex<Child>,
    input: Mutex<ChildStdin>,
    /// Who waits for an answer; none once it has ended.
    waiting: Mutex<Option<HashMap<u32, SyncSender<Answer>>>>,
}

impl Running {
    fn start(mut command: Command, bootstrap: &str) -> Result<Arc<Self>> {
        command
            .args([bootstrap, "steps"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command
            .spawn()
            .with_context(|| format!("cannot start {command:?}: run tests/setup"))?;
        let input = child.stdin.take().context("no standard input")?;
        let output = child.stdout.take().context("no standard output")?;
        let running = Arc::new(Self {
            child: Mutex::new(child),
            input: Mutex::new(input),
            waiting: Mutex::new(Some(HashMap::new())),
        });
        let listener = Arc::clone(&running);
        std::thread::spawn(move || listener.listen(output));
        Ok(running)
    }

    fn listen(&self, output: ChildStdout) {
        for line in BufReader::new(output).lines() {
            let Ok(line) = line else { break };
            if let (Some((number, answer)), Some(waiting)) =
                (parse(&line), locked(&self.waiting).as_ref())
                && let Some(sender) = waiting.get(&number)
            {
                // Who has given up needs no answer.
                let _ = sender.try_send(answer);
            }
        }
        // Whoever waits is told by the end of its channel.
        locked(&self.waiting).take();
        let _ = locked(&self.child).wait();
    }

    fn is_alive(&self) -> bool {
        locked(&self.waiting).is_some()
    }
}

/// A producer in a [`Remote`].
pub(crate) struct Session {
    running: Arc<Running>,
    number: u32,
    answers: Receiver<Answer>,
    topic: String,
    name: Name,
}

impl Session {
    fn ask(&self, step: &str) -> Answer {
        let line = format!("{}\t{step}\n", self.number);
        if locked(&self.running.input)
            .write_all(line.as_bytes())
            .is_err()
        {
            return Answer::Gone;
        }
        match self.answers.recv_timeout(2 * PATIENCE) {
            Ok(answer) => answer,
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => Answer::Gone,
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {
                Answer::Over(format!("no answer to {step:?}"))
            }
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(waiting) = locked(&self.running.waiting).as_mut() {
            waiting.remove(&self.number);
        }
        let line = format!("{}\tclose\n", self.number);
        // If it is gone, it is closed.
        let _ = locked(&self.running.input).write_all(line.as_bytes());
    }
}

impl Client for Session {
    fn init(&self) -> Answer {
        self.ask(&format!("init\t{}\t{}", self.name.id, self.name.timeout_ms))
    }

    fn begin(&self) -> Answer {
        self.ask("begin")
    }

    fn send(&self, partition: i32, value: &str) -> Answer {
        self.ask(&format!("send\t{}\t{partition}\t{value}", self.topic))
    }

    fn offsets(&self, inputs: &Inputs, next: &[(i32, i64)]) -> Answer {
        let mut step = format!("offsets\t{}\t{}", inputs.group(), inputs.name());
        for (partition, offset) in next {
            // Writing to a string cannot fail.
            let _ = write!(step, "\t{partition}\t{offset}");
        }
        self.ask(&step)
    }

    fn flush(&self) -> Answer {
        self.ask("flush")
    }

    fn commit(&self) -> Answer {
        self.ask("commit")
    }

    fn abort(&self) -> Answer {
        self.ask("abort")
    }
}

fn parse(line: &str) -> Option<(u32, Answer)> {
    let mut words = line.splitn(3, '\t');
    let number = words.next()?.parse().ok()?;
    let outcome = words.next()?;
    let error = words.next().unwrap_or_default().to_owned();
    let answer = match outcome {
        "done" => Answer::Done,
        "again" => Answer::Again(error),
        "abort" => Answer::MustAbort(error),
        "over" => Answer::Over(error),
        _ => return None,
    };
    Some((number, answer))
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
