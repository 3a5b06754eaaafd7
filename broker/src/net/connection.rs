//! One connection: frames in, requests overlapping, replies out in request order.
//!
//! A connection has two states. *Idle*, it holds no buffer at all and waits for its socket to become
//! readable: ten thousand of them cost little more than their sockets. *Busy*, it reads frames,
//! starts every whole one that its buffer holds, and writes what is ready with one system call; when
//! nothing is left it becomes idle again.
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::OptionFuture;
use futures_util::stream::{FuturesOrdered, Stream};
use tokio::io::{Interest, Ready};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::budget::{More, Share};
use super::incoming::{BadSize, Incoming, ReadError, Taken};
use super::outgoing::Outgoing;
use crate::broker::Broker;
use crate::client_info::ClientInfo;
use crate::dispatch::{DispatchError, Outcome, Running, dispatch};
use crate::metrics::OpenConnection;

/// No more frames are started while this many bytes of replies wait for the socket.
const UNSENT_BYTES: usize = 4 << 20;
/// No more frames are started while replies take this much of the broker's own memory.
const OWN_UNSENT_BYTES: usize = 1 << 20;
/// While all connections together hold too many replies, one that holds some and gets rid of none
/// for so long ends: others are kept from asking.
const STALLED: Duration = Duration::from_secs(5);
/// How long a connection without work stays busy before it becomes idle. What many that spoke at the
/// same time held stays with the allocator when they fall silent, between what lasts: so not long.
const LINGER: Duration = Duration::from_millis(50);
/// Long enough to stand for no limit, short enough for a timer.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);
/// How long half a frame waits for its share of the budget. Whoever is given up gives back what he
/// holds, so that halves of frames do not wait for each other for ever.
const BUDGET_PATIENCE: Duration = Duration::from_secs(30);

/// Why a connection ended, other than by its client closing it.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Dispatch(#[from] DispatchError),
    #[error(transparent)]
    FrameSize(#[from] BadSize),
    #[error("a request that expects no response failed")]
    Silent,
    #[error("{bytes} bytes of replies were not taken while no others could be made")]
    Stalled { bytes: usize },
}

impl From<ReadError> for Ended {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Io(error) => Self::Io(error),
            ReadError::BadSize(error) => Self::FrameSize(error),
        }
    }
}

/// What a busy phase ended with.
enum Quiet {
    Idle,
    Closed,
}

/// Serves one connection to its end.
pub async fn run(
    stream: TcpStream,
    broker: Arc<Broker>,
    client: Arc<ClientInfo>,
    mut stopping: watch::Receiver<bool>,
    _open: OpenConnection,
) {
    let idle_limit = match u64::try_from(broker.settings.connections_max_idle_ms) {
        Ok(ms) => Duration::from_millis(ms),
        Err(_) => NEVER,
    };
    loop {
        let readable = tokio::select! {
            readable = timeout(idle_limit, stream.readable()) => readable,
            _ = stopping.wait_for(|stop| *stop) => return,
        };
        if !matches!(readable, Ok(Ok(()))) {
            return;
        }
        // Boxed, so that an idle connection does not carry the size of a busy one.
        let busy = Box::pin(Busy::new(&stream, &broker, &client).run(stopping.clone(), idle_limit));
        match busy.await {
            Ok(Quiet::Idle) => {}
            Ok(Quiet::Closed) => return,
            Err(Ended::Io(error)) => {
                tracing::debug!(peer = %client.peer, %error, "connection lost");
                return;
            }
            Err(ended) => {
                let software = client.software();
                tracing::warn!(peer = %client.peer, software, reason = %ended, "connection closed");
                return;
            }
        }
    }
}

struct Busy<'a> {
    stream: &'a TcpStream,
    broker: &'a Arc<Broker>,
    client: &'a Arc<ClientInfo>,
    incoming: Incoming,
    running: FuturesOrdered<Running>,
    outgoing: Outgoing,
    /// What `incoming` lacks, and when it is given up; nothing is read or started before it is there.
    lacking: Option<(More, Instant)>,
    /// When the frame at the head of `incoming` has to be whole.
    frame_due: Option<Instant>,
    /// Since when replies wait and none of their bytes went out.
    unmoved: Option<Instant>,
}

impl<'a> Busy<'a> {
    fn new(stream: &'a TcpStream, broker: &'a Arc<Broker>, client: &'a Arc<ClientInfo>) -> Self {
        Self {
            stream,
            broker,
            client,
            incoming: Incoming::new(),
            running: FuturesOrdered::new(),
            outgoing: Outgoing::default(),
            lacking: None,
            frame_due: None,
            unmoved: None,
        }
    }

    async fn run(
        mut self,
        mut stopping: watch::Receiver<bool>,
        idle_limit: Duration,
    ) -> Result<Quiet, Ended> {
        self.read()?;
        loop {
            self.start_frames().await?;
            self.collect_replies().await?;
            let moved = self.outgoing.write_to(self.stream)?;
            self.check_progress(moved)?;
            if self.can_start()? {
                // It came long ago, and replies have only now made room for it.
                continue;
            }
            let stop = *stopping.borrow();
            if self.incoming.ended && self.outgoing.bytes() == 0 {
                // Nobody is there to answer: what still runs is dropped.
                return Ok(Quiet::Closed);
            }
            let unanswered = !self.running.is_empty() || self.outgoing.bytes() > 0;
            if !unanswered && stop {
                return Ok(Quiet::Closed);
            }
            self.incoming.shrink();
            let quiet = !unanswered && self.incoming.is_empty();
            let until = self.give_up_at(quiet, idle_limit);
            let interest = self.interest(stop);
            // What nobody reads says nothing of its end; its end alone can be watched for.
            let takes_more = interest.is_some_and(Interest::is_readable);
            let watches = !takes_more && !self.incoming.ended && !self.running.is_empty();
            let is_full = self.broker.unsent.is_full();
            // Boxed, since they are seldom there and every busy connection would be larger by them.
            let gone = watches.then(|| Box::pin(self.stream.ready(Interest::PRIORITY)));
            let room = is_full.then(|| Box::pin(self.broker.unsent.room()));
            let (gone, room) = (OptionFuture::from(gone), OptionFuture::from(room));
            tokio::select! {
                biased;
                reply = next(&mut self.running), if !self.running.is_empty() => self.take(reply)?,
                ready = ready(self.stream, interest) => {
                    if ready?.is_readable() && takes_more {
                        self.read()?;
                    }
                }
                Some(gone) = gone => {
                    gone?;
                    self.incoming.ended = true;
                }
                more = granted(&mut self.lacking) => {
                    self.lacking = None;
                    self.incoming.add(more);
                }
                Some(()) = room => {}
                _ = stopping.wait_for(|stop| *stop), if !stop => {}
                () = tokio::time::sleep_until(until.at) => match until.then {
                    Then::Idle => return Ok(Quiet::Idle),
                    Then::Close => return Ok(Quiet::Closed),
                    Then::Look => {}
                }
            }
        }
    }

    /// When to stop waiting for something to happen, and what is then.
    fn give_up_at(&mut self, quiet: bool, idle_limit: Duration) -> Until {
        let now = Instant::now();
        if self.incoming.is_empty() {
            self.frame_due = None;
        }
        if quiet {
            return Until::new(now + LINGER, Then::Idle);
        }
        let mut until = Until::new(now + NEVER, Then::Look);
        if self.running.is_empty() || self.incoming.ended {
            until = Until::new(now + idle_limit, Then::Close);
            if !self.incoming.is_empty() && self.has_room() {
                // Byte by byte is too slow, however regular.
                until.at = *self.frame_due.get_or_insert(until.at);
            }
        }
        if let Some((_, due)) = &self.lacking {
            until = until.or(*due, Then::Close);
        }
        if let Some(since) = self.unmoved {
            // Past that, others may yet fill up what there is.
            let at = (since + STALLED).max(now + STALLED / 4);
            until = until.or(at, Then::Look);
        }
        until
    }

    /// Notes whether replies move, and ends a connection whose replies keep others from asking.
    fn check_progress(&mut self, moved: bool) -> Result<(), Ended> {
        let bytes = self.client.unsent_bytes.load(Ordering::Relaxed);
        if bytes == 0 {
            self.unmoved = None;
        } else if moved || self.unmoved.is_none() {
            self.unmoved = Some(Instant::now());
        }
        let stalled = self.unmoved.is_some_and(|since| since.elapsed() >= STALLED);
        if stalled && self.broker.unsent.is_full() {
            return Err(Ended::Stalled { bytes });
        }
        Ok(())
    }

    /// What the socket should be watched for; `None` if only replies can bring progress.
    fn interest(&self, stop: bool) -> Option<Interest> {
        let may_read = !stop && !self.incoming.ended && self.has_room() && self.lacking.is_none();
        match (may_read, self.outgoing.bytes() > 0) {
            (true, true) => Some(Interest::READABLE | Interest::WRITABLE),
            (true, false) => Some(Interest::READABLE),
            (false, true) => Some(Interest::WRITABLE),
            (false, false) => None,
        }
    }

    fn has_room(&self) -> bool {
        self.running.len() < self.broker.settings.max_requests_in_flight as usize
            && self.outgoing.bytes() < UNSENT_BYTES
            && self.client.unsent_bytes.load(Ordering::Relaxed) < OWN_UNSENT_BYTES
            && !self.broker.unsent.is_full()
    }

    fn can_start(&self) -> Result<bool, Ended> {
        let free = self.lacking.is_none() && self.has_room();
        let settings = &self.broker.settings;
        Ok(free && self.incoming.whole_frame(settings)?.is_some())
    }

    /// Reads what the socket has, once.
    fn read(&mut self) -> Result<(), Ended> {
        let broker = self.broker;
        let lacking = self
            .incoming
            .read(self.stream, &broker.budget, &broker.settings)?;
        self.lack(lacking);
        Ok(())
    }

    fn lack(&mut self, lacking: Option<More>) {
        self.lacking = lacking.map(|more| (more, Instant::now() + BUDGET_PATIENCE));
    }

    /// Starts every whole frame in the buffer, as far as there is room.
    async fn start_frames(&mut self) -> Result<(), Ended> {
        let broker = self.broker;
        while self.lacking.is_none() && self.has_room() {
            match self.incoming.take(&broker.budget, &broker.settings)? {
                Taken::Frame(frame, share) => {
                    self.frame_due = None;
                    self.start(frame, share).await?;
                }
                Taken::Nothing => return Ok(()),
                Taken::Lacking(more) => self.lack(Some(more)),
            }
        }
        Ok(())
    }

    /// Starts one request. It is polled once right here, so that requests take effect in the order
    /// in which they came, and a reply that is ready costs no place in the queue.
    async fn start(&mut self, frame: Bytes, share: Share) -> Result<(), Ended> {
        let mut running = dispatch(self.broker, self.client, frame, share)?;
        let first = std::future::poll_fn(|cx| match running.as_mut().poll(cx) {
            Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
            Poll::Pending => Poll::Ready(None),
        })
        .await;
        match first {
            Some(outcome) if self.running.is_empty() => return self.take(Some(outcome)),
            Some(outcome) => {
                let ready = Box::pin(std::future::ready(outcome));
                self.running.push_back(ready);
            }
            None => self.running.push_back(running),
        }
        Ok(())
    }

    /// Takes over the replies that are ready, in order, without waiting.
    async fn collect_replies(&mut self) -> Result<(), Ended> {
        while !self.running.is_empty() {
            let running = &mut self.running;
            let ready = std::future::poll_fn(|cx| {
                Poll::Ready(match Pin::new(&mut *running).poll_next(cx) {
                    Poll::Ready(reply) => reply,
                    Poll::Pending => None,
                })
            })
            .await;
            match ready {
                Some(reply) => self.take(Some(reply))?,
                None => return Ok(()),
            }
        }
        Ok(())
    }

    fn take(&mut self, reply: Option<Result<Outcome, DispatchError>>) -> Result<(), Ended> {
        match reply.transpose()? {
            Some(Outcome::Frame(reply)) => self.outgoing.push(reply),
            Some(Outcome::Disconnect) => return Err(Ended::Silent),
            Some(Outcome::Silent) | None => {}
        }
        Ok(())
    }
}

/// How long to wait for something to happen.
struct Until {
    at: Instant,
    then: Then,
}

/// What to do when nothing did.
enum Then {
    Idle,
    Close,
    Look,
}

impl Until {
    fn new(at: Instant, then: Then) -> Self {
        Self { at, then }
    }

    /// This, or what comes before.
    fn or(self, at: Instant, then: Then) -> Self {
        if at < self.at {
            Self { at, then }
        } else {
            self
        }
    }
}

async fn next(running: &mut FuturesOrdered<Running>) -> Option<Result<Outcome, DispatchError>> {
    std::future::poll_fn(|cx| Pin::new(&mut *running).poll_next(cx)).await
}

/// Waits for what `interest` says, if it says anything.
async fn ready(stream: &TcpStream, interest: Option<Interest>) -> io::Result<Ready> {
    match interest {
        Some(interest) => stream.ready(interest).await,
        None => std::future::pending().await,
    }
}

/// Waits for a share of the budget, if one is lacking.
async fn granted(lacking: &mut Option<(More, Instant)>) -> Share {
    match lacking {
        Some((more, _)) => more.await,
        None => std::future::pending().await,
    }
}
