//! One connection: frames in, requests overlapping, replies out in request order.
//!
//! A connection has two states. *Idle*, it holds no buffer at all and waits for its socket to become
//! readable: ten thousand of them cost little more than their sockets. *Busy*, it reads frames,
//! starts every whole one that its buffer holds, and writes what is ready with one system call; when
//! nothing is left it becomes idle again.
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use futures_util::stream::{FuturesOrdered, Stream};
use protocol::messages::ApiKey;
use tokio::io::{Interest, Ready};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::budget::{More, Share};
use super::outgoing::Outgoing;
use crate::broker::Broker;
use crate::client_info::ClientInfo;
use crate::dispatch::{DispatchError, Outcome, Running, dispatch};
use crate::metrics::OpenConnection;

/// First read of a busy phase: most requests are smaller, and ten thousand connections may have one.
const FIRST_READ: usize = 1 << 10;
/// Reads that fill their buffer double the next one up to this.
const LARGEST_READ: usize = 64 << 10;
/// The buffer grows by at most this much ahead of what has come in.
const READ_AHEAD: usize = 1 << 20;
/// No more frames are started while this many bytes of replies wait for the socket.
const UNSENT_BYTES: usize = 4 << 20;
/// How long a connection without work keeps its buffer before it becomes idle.
const LINGER: Duration = Duration::from_millis(250);
/// Long enough to stand for no limit, short enough for a timer.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);
/// Buffers up to this are not counted against the budget before their frame is whole.
const UNCOUNTED: usize = 16 << 10;
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
    #[error("a frame of {size} bytes, API key {key} allows 8 to {limit}")]
    FrameSize { key: i16, size: i32, limit: usize },
    #[error("a request that expects no response failed")]
    Silent,
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
    incoming: BytesMut,
    running: FuturesOrdered<Running>,
    outgoing: Outgoing,
    end_of_input: bool,
    read_size: usize,
    /// Covers the frame at the head of `incoming`.
    share: Share,
    /// What `share` lacks; nothing is read or started before it is there.
    lacking: Option<More>,
    /// When the frame at the head of `incoming` has to be whole.
    frame_due: Option<Instant>,
}

impl<'a> Busy<'a> {
    fn new(stream: &'a TcpStream, broker: &'a Arc<Broker>, client: &'a Arc<ClientInfo>) -> Self {
        Self {
            stream,
            broker,
            client,
            incoming: BytesMut::new(),
            running: FuturesOrdered::new(),
            outgoing: Outgoing::default(),
            end_of_input: false,
            read_size: FIRST_READ,
            share: Share::default(),
            lacking: None,
            frame_due: None,
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
            self.outgoing.write_to(self.stream)?;
            if self.lacking.is_none() && self.has_room() && self.whole_frame()?.is_some() {
                // It came long ago, and replies have only now made room for it.
                continue;
            }
            let stop = *stopping.borrow();
            let unanswered = !self.running.is_empty() || self.outgoing.bytes() > 0;
            if self.end_of_input && self.outgoing.bytes() == 0 {
                // Nobody is there to answer: what still runs is dropped.
                return Ok(Quiet::Closed);
            }
            if !unanswered && stop {
                return Ok(Quiet::Closed);
            }
            let quiet = !unanswered && self.incoming.is_empty();
            if quiet {
                self.incoming = BytesMut::new();
                self.share = Share::default();
            }
            let until = self.give_up_at(quiet, idle_limit);
            let interest = self.interest(stop);
            tokio::select! {
                biased;
                reply = next(&mut self.running), if !self.running.is_empty() => self.take(reply)?,
                ready = ready(self.stream, interest) => {
                    if ready?.is_readable() && interest.is_some_and(Interest::is_readable) {
                        self.read()?;
                    }
                }
                more = granted(&mut self.lacking) => {
                    self.lacking = None;
                    self.share.add(more);
                }
                _ = stopping.wait_for(|stop| *stop), if !stop => {}
                () = tokio::time::sleep_until(until), if self.running.is_empty() => {
                    return Ok(if quiet { Quiet::Idle } else { Quiet::Closed });
                }
            }
        }
    }

    /// When to stop waiting for something to happen.
    fn give_up_at(&mut self, quiet: bool, idle_limit: Duration) -> Instant {
        let now = Instant::now();
        if self.incoming.is_empty() {
            self.frame_due = None;
        }
        if quiet {
            return now + LINGER;
        }
        let mut until = now + idle_limit;
        if !self.incoming.is_empty() && self.has_room() {
            // Byte by byte is too slow, however regular.
            until = *self.frame_due.get_or_insert(until);
        }
        if self.lacking.is_some() {
            until = until.min(now + BUDGET_PATIENCE);
        }
        until
    }

    /// What the socket should be watched for; `None` if only replies can bring progress.
    fn interest(&self, stop: bool) -> Option<Interest> {
        let may_read = !stop && !self.end_of_input && self.has_room() && self.lacking.is_none();
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
    }

    /// Reads what the socket has, once.
    fn read(&mut self) -> Result<(), Ended> {
        let missing = self
            .frame_size()?
            .map(|size| size.saturating_sub(self.incoming.len()));
        let wanted = missing.unwrap_or(0).min(READ_AHEAD).max(self.read_size);
        let grown = self.incoming.len() + wanted;
        if grown > UNCOUNTED && !self.covers(grown) {
            return Ok(());
        }
        self.incoming.reserve(wanted);
        match self.stream.try_read_buf(&mut self.incoming) {
            Ok(0) => self.end_of_input = true,
            Ok(_) if self.incoming.len() == self.incoming.capacity() => {
                self.read_size = (self.read_size * 2).min(LARGEST_READ);
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Bytes of the frame at the head of the buffer, size prefix included, once that is known and
    /// allowed.
    fn frame_size(&self) -> Result<Option<usize>, Ended> {
        let Some((size, rest)) = self.incoming.split_first_chunk::<4>() else {
            return Ok(None);
        };
        let size = i32::from_be_bytes(*size);
        let Some((key, _)) = rest.split_first_chunk::<2>() else {
            // Even the shortest header has eight bytes.
            return if size < 8 {
                Err(Ended::FrameSize {
                    key: -1,
                    size,
                    limit: 0,
                })
            } else {
                Ok(None)
            };
        };
        let key = i16::from_be_bytes(*key);
        let limit = if key == ApiKey::Produce as i16 {
            self.broker.settings.socket_request_max_bytes as usize
        } else {
            self.broker.settings.request_max_bytes as usize
        };
        match usize::try_from(size) {
            Ok(size) if (8..=limit).contains(&size) => Ok(Some(size + 4)),
            _ => Err(Ended::FrameSize { key, size, limit }),
        }
    }

    /// Bytes of the frame at the head of the buffer, if all of them are there.
    fn whole_frame(&self) -> Result<Option<usize>, Ended> {
        let size = self.frame_size()?;
        Ok(size.filter(|size| self.incoming.len() >= *size))
    }

    /// Whether the share covers so many bytes; if it does not, it will when `lacking` has come.
    fn covers(&mut self, bytes: usize) -> bool {
        self.lacking = self.broker.budget.raise(&mut self.share, bytes);
        self.lacking.is_none()
    }

    /// Starts every whole frame in the buffer, as far as there is room.
    async fn start_frames(&mut self) -> Result<(), Ended> {
        while self.lacking.is_none() && self.has_room() {
            let Some(size) = self.whole_frame()? else {
                return Ok(());
            };
            if !self.covers(size) {
                return Ok(());
            }
            let mut frame = self.incoming.split_to(size).freeze();
            frame.advance(4);
            self.frame_due = None;
            let share = std::mem::take(&mut self.share);
            self.start(frame, share).await?;
        }
        Ok(())
    }

    /// Starts one request. It is polled once right here, so that requests take effect in the order
    /// in which they came, and a reply that is ready costs no place in the queue.
    async fn start(&mut self, frame: Bytes, share: Share) -> Result<(), Ended> {
        let mut running = dispatch(self.broker, self.client, frame)?;
        let first = std::future::poll_fn(|cx| match running.as_mut().poll(cx) {
            Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
            Poll::Pending => Poll::Ready(None),
        })
        .await;
        match first {
            Some(outcome) if self.running.is_empty() => self.take(Some(outcome)),
            Some(outcome) => {
                self.running
                    .push_back(Box::pin(std::future::ready(outcome)));
                Ok(())
            }
            None => {
                self.running.push_back(Box::pin(async move {
                    let outcome = running.await;
                    drop(share);
                    outcome
                }));
                Ok(())
            }
        }
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
            Some(Outcome::Frame(pieces)) => self.outgoing.push(pieces),
            Some(Outcome::Disconnect) => return Err(Ended::Silent),
            Some(Outcome::Silent) | None => {}
        }
        Ok(())
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
async fn granted(lacking: &mut Option<More>) -> Share {
    match lacking {
        Some(more) => more.await,
        None => std::future::pending().await,
    }
}
