//! The composition root: builds the rooms bottom-up and stops them top-down.
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use config::{Settings, TopicConfig};
use storage::Logs;
use tokio::sync::watch;

use crate::client_info::ClientInfo;
use crate::coordinator::{Groups, Transactions};
use crate::fetch::Sessions;
use crate::handlers::TABLE;
use crate::metadata::{self, ProducerIds, Topics};
use crate::metrics::Metrics;
use crate::net::{Budget, Unsent};
use crate::projector::{self, Projector};

/// The rooms that handlers work with.
pub struct Broker {
    /// All settings.
    pub settings: Arc<Settings>,
    /// The logs on disk.
    pub logs: Arc<Logs>,
    /// Topics, their configs and ids.
    pub topics: Arc<Topics>,
    /// Ids of idempotent producers.
    pub producer_ids: Arc<ProducerIds>,
    /// Consumer groups and their offsets.
    pub groups: Arc<Groups>,
    /// Transactional ids and their transactions.
    pub transactions: Arc<Transactions>,
    /// Views and who keeps them.
    pub projector: Projector,
    /// Fetch sessions (KIP-227).
    pub sessions: Sessions,
    /// Bytes of requests in flight.
    pub budget: Budget,
    /// Bytes of replies that nobody has taken yet.
    pub unsent: Arc<Unsent>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    stopping: watch::Sender<bool>,
}

impl Broker {
    /// Opens the data directory and builds everything above it.
    pub fn open(settings: Settings) -> anyhow::Result<Arc<Self>> {
        // A mistake in the settings is told before anything is touched.
        let wanted = projector::wanted(&settings)?;
        let settings = Arc::new(settings);
        let metrics = Arc::new(Metrics::new(TABLE.len()));
        let (logs, recovery) = Logs::open(
            metadata::storage_options(&settings),
            &metadata::log_config(&TopicConfig::resolve(&BTreeMap::new(), &settings)?),
        )?;
        let logs = Arc::new(logs);
        let flushes = Arc::clone(&metrics.flushes);
        logs.on_flush_latency(Box::new(move |seconds| {
            flushes.observe(Duration::try_from_secs_f64(seconds).unwrap_or_default());
        }));
        let topics = Arc::new(Topics::open(Arc::clone(&logs), &settings, recovery)?);
        let groups = Arc::new(Groups::open(Arc::clone(&topics), &settings)?);
        let stopping = watch::Sender::new(false);
        let producer_ids = Arc::new(ProducerIds::new(Arc::clone(&topics)));
        let transactions = Transactions::open(
            &settings,
            Arc::clone(&topics),
            Arc::clone(&groups),
            Arc::clone(&producer_ids),
        )?;
        let projector = Projector::open(wanted, &settings, &topics, &groups, stopping.subscribe())?;
        Ok(Arc::new(Self {
            groups,
            transactions,
            projector,
            producer_ids,
            sessions: Sessions::new(settings.max_incremental_fetch_session_cache_slots as usize),
            budget: Budget::new(settings.queued_max_request_bytes as usize),
            unsent: Arc::new(Unsent::new(settings.queued_max_response_bytes as usize)),
            stopping,
            settings,
            logs,
            topics,
            metrics,
        }))
    }

    /// Becomes true when the broker stops.
    pub fn stopping(&self) -> watch::Receiver<bool> {
        self.stopping.subscribe()
    }

    /// Tells everyone to finish.
    pub fn stop(&self) {
        self.stopping.send_replace(true);
    }

    /// Closes the logs once nobody writes to them any more; blocks.
    pub fn close(&self) -> Result<(), storage::StorageError> {
        self.stop();
        let timeout_ms = self.settings.shutdown_timeout_ms.unsigned_abs();
        self.projector.join(Duration::from_millis(timeout_ms));
        self.logs.close()
    }

    /// Host and port that `client` should use to come back: the advertised address if one is set,
    /// else the address that the client itself dialled.
    pub fn advertised(&self, client: &ClientInfo) -> (String, i32) {
        match self
            .settings
            .advertise
            .as_deref()
            .and_then(|address| address.rsplit_once(':'))
        {
            // Brackets are for the colons of an IPv6 address: clients want it without.
            Some((host, port)) => (
                host.trim_matches(['[', ']']).to_owned(),
                port.parse().unwrap_or(0),
            ),
            None => dialled(client.local),
        }
    }
}

fn dialled(local: SocketAddr) -> (String, i32) {
    (
        local.ip().to_canonical().to_string(),
        i32::from(local.port()),
    )
}
