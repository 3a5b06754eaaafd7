//! `/healthz`: the process answers. `/readyz`: it takes work, or the reason why not.
use axum::extract::State;
use axum::http::StatusCode;

use crate::broker::Broker;
use crate::http::Serving;

/// 200 as long as the process answers at all.
pub async fn alive() -> &'static str {
    "alive\n"
}

/// 200 when clients are served; else 503 and why not.
pub async fn ready(State(serving): State<Serving>) -> (StatusCode, String) {
    let hindrance = match serving.get() {
        None => Some("recovering the logs".to_owned()),
        Some(broker) => hindrance(broker),
    };
    match hindrance {
        None => (StatusCode::OK, "ready\n".to_owned()),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
    }
}

fn hindrance(broker: &Broker) -> Option<String> {
    if *broker.stopping().borrow() {
        return Some("stopping".to_owned());
    }
    for topic in broker.topics.all() {
        for partition in topic.partitions().iter() {
            if partition.log.is_poisoned() {
                let (name, index) = (&topic.name, partition.index);
                return Some(format!(
                    "a flush of {name}-{index} failed: it takes no writes"
                ));
            }
        }
    }
    None
}
