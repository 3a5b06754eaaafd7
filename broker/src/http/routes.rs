//! Paths and who answers them.
mod health;
mod metrics;

use axum::Router;
use axum::routing::get;

use super::Serving;

/// All routes.
pub fn all(serving: Serving) -> Router {
    Router::new()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(metrics::page))
        .with_state(serving)
}
