//! A million damaged bodies over every API and version: no abort, no panic, memory in bounds.
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use harness::{Broker, Options};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::frames::{Served, check_alive, frame, served, sized};
use crate::generate::{Generator, Style};
use crate::memory::Peak;
use crate::random::Random;

/// Connections at once.
const CONNECTIONS: u64 = 48;
/// Frames that go out in one write.
const PIPELINED: usize = 24;
/// Silence after which the rest of a pipeline is taken for parked (a fetch, a join).
const PARKED: Duration = Duration::from_millis(100);
/// What the broker may have in memory of its own at any time.
const MEMORY_BYTES: u64 = 160 << 20;

#[test]
fn a_million_mutated_bodies_leave_the_broker_well() -> Result<()> {
    // A quarter of them are left whole, to reach what lies behind a good body.
    let bodies = number("KLAMM_WIRE_BODIES", 1_340_000)?;
    let seed = number("KLAMM_WIRE_SEED", 1)?;
    println!("KLAMM_WIRE_SEED={seed} KLAMM_WIRE_BODIES={bodies}");
    let mut broker = Broker::start(
        Options::default()
            .set("auto.create.topics.enable", "false")
            .set("log.segment.bytes", "1048576")
            .set("queued.max.request.bytes", "67108864"),
    )?;
    let served: Arc<[Served]> = served(&mut broker.wire()?)?.into();
    let address = broker.bootstrap().parse()?;
    let done = Arc::new(AtomicU64::new(0));
    let peak = Peak::watch(broker.process()?.id());
    let sent = run(address, &served, seed, bodies, &done);
    let peak = peak.bytes()?;
    if let Some(status) = broker.process()?.ended()? {
        anyhow::bail!("the broker ended: {status}; {sent:?}");
    }
    sent?;
    let judged = done.load(Ordering::Relaxed);
    println!("{judged} bodies, at most {} KiB of memory", peak >> 10);
    ensure!(judged >= bodies, "only {judged} bodies");
    ensure!(peak <= MEMORY_BYTES, "{peak} bytes of memory");
    check_alive(&mut broker)?;
    broker.terminate(Duration::from_secs(30))?;
    Ok(())
}

fn number(variable: &str, default: u64) -> Result<u64> {
    std::env::var(variable).map_or(Ok(default), |text| Ok(text.parse()?))
}

#[tokio::main(flavor = "current_thread")]
async fn run(
    address: std::net::SocketAddr,
    served: &Arc<[Served]>,
    seed: u64,
    bodies: u64,
    done: &Arc<AtomicU64>,
) -> Result<()> {
    let mut workers = JoinSet::new();
    for number in 0..CONNECTIONS {
        let share = bodies.div_ceil(CONNECTIONS);
        let mut worker = Worker {
            address,
            served: Arc::clone(served),
            random: Random::new(seed << 32 | number),
            number,
            next: number as usize,
        };
        let done = Arc::clone(done);
        workers.spawn(async move { worker.run(share, &done).await });
    }
    while let Some(ended) = workers.join_next().await {
        ended??;
    }
    Ok(())
}

/// One connection after the other, each used until the broker closes it.
struct Worker {
    address: std::net::SocketAddr,
    served: Arc<[Served]>,
    random: Random,
    number: u64,
    /// Which API and version comes next: all of them in turn.
    next: usize,
}

impl Worker {
    async fn run(&mut self, share: u64, done: &AtomicU64) -> Result<()> {
        let mut judged = 0;
        while judged < share {
            let frames: Vec<Vec<u8>> = (0..PIPELINED).map(|_| self.make()).collect();
            let mut at = 0;
            while at < frames.len() {
                let replies = self.send(&frames[at..]).await?;
                // The one that got no reply closed the connection, or is parked.
                at += (replies + 1).min(frames.len() - at);
            }
            judged += frames.len() as u64;
            done.fetch_add(frames.len() as u64, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Three of four frames are damaged, some of them in the header.
    fn make(&mut self) -> Vec<u8> {
        let served = self.served[self.next % self.served.len()];
        self.next += 1;
        let body = Generator::new(self.random.next(), Style::Mixed);
        let body = body.body(served.request, served.version);
        match self.random.below(16) {
            0..4 => frame(served, 1, &body),
            4 => {
                let whole = frame(served, 1, &body);
                let damaged = self.random.mutate(&whole[4..]);
                sized([&[0; 4][..], &damaged].concat())
            }
            _ => frame(served, 1, &self.random.mutate(&body)),
        }
    }

    /// Sends the frames in one write and counts replies until all came, the connection ends, or
    /// nothing comes any more.
    async fn send(&mut self, frames: &[Vec<u8>]) -> Result<usize> {
        let bytes = frames.concat();
        let stream = self.connect().await?;
        let (read, mut write) = stream.into_split();
        let sending = async {
            // The broker may close at any byte; what counts is what it answered.
            let _ = write.write_all(&bytes).await;
        };
        let ((), replies) = tokio::join!(sending, replies(read, frames.len()));
        Ok(replies)
    }

    /// From an address of the worker's own, so that the ports of closed connections do not run out.
    async fn connect(&mut self) -> Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        let host = 2 + self.number as u8;
        socket.bind((std::net::Ipv4Addr::new(127, 0, 1, host), 0).into())?;
        timeout(Duration::from_secs(20), socket.connect(self.address))
            .await
            .context("the broker accepts no more connections")?
            .context("the broker refuses connections")
    }
}

async fn replies(read: OwnedReadHalf, wanted: usize) -> usize {
    let mut read = BufReader::with_capacity(16 << 10, read);
    for count in 0..wanted {
        let Ok(Ok(size)) = timeout(PARKED, read.read_i32()).await else {
            return count;
        };
        let mut body = (&mut read).take(size as u64);
        let skipped = tokio::io::copy(&mut body, &mut tokio::io::sink()).await;
        if skipped.ok() != Some(size as u64) {
            return count;
        }
    }
    wanted
}
