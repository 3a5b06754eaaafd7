//! That the foreign clients really spoke version 2 of transactions: there the producer's epoch rises
//! with each transaction, in version 1 only when a producer begins or is shut out.
use anyhow::{Context, Result, ensure};
use harness::{Broker, ask};
use kafka_protocol::messages::{DescribeTransactionsRequest, TransactionalId};

use crate::clients::Kind;
use crate::writers::Quota;

/// Compares the last epochs with the transactions that each kind of client ended.
pub(crate) fn check(broker: &Broker, names: &[(Kind, String)], quotas: &[Quota]) -> Result<()> {
    let mut wire = broker.wire()?;
    for quota in quotas {
        let of_kind = names.iter().filter(|(kind, _)| *kind == quota.kind);
        let ids = of_kind.map(|(_, name)| TransactionalId(ask::text(name)));
        let request = DescribeTransactionsRequest::default().with_transactional_ids(ids.collect());
        let response = wire.call(0, &request)?;
        let mut epochs = 0;
        for state in &response.transaction_states {
            ensure!(state.error_code == 0, "{state:?}");
            epochs += u64::try_from(state.producer_epoch).context("no epoch")?;
        }
        let (kind, wanted) = (quota.kind, quota.wanted);
        eprintln!("transactions: epochs of {kind:?} up to {epochs} for {wanted} transactions");
        // Epochs begin anew when they are used up; runs on demand may be that long.
        if wanted > 100_000 {
            continue;
        }
        match kind {
            Kind::Librdkafka => ensure!(epochs < wanted / 4, "version 2 of {kind:?}"),
            Kind::Java | Kind::Franz | Kind::Raw => {
                ensure!(epochs >= wanted * 9 / 10, "not version 2 of {kind:?}");
            }
        }
    }
    Ok(())
}
