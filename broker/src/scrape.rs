//! What monitoring sees: everything that is counted, and what the rooms know at this moment, as
//! Prometheus text (format 0.0.4). Nothing here runs between two scrapes.
mod cleaner;
mod groups;
mod page;
mod process;
mod projections;
mod requests;
mod topics;
mod transactions;

pub use page::CONTENT_TYPE;

use crate::broker::Broker;
use page::Page;

/// The whole page. Before the logs are recovered there is no broker yet: only the process shows.
pub fn page(broker: Option<&Broker>) -> String {
    let mut page = Page::default();
    process::write(&mut page);
    if let Some(broker) = broker {
        requests::write(&mut page, broker);
        topics::write(&mut page, broker);
        cleaner::write(&mut page, broker);
        groups::write(&mut page, broker);
        transactions::write(&mut page, broker);
        projections::write(&mut page, broker);
    }
    page.finish()
}
