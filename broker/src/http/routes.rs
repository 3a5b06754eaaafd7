//! Paths and who answers them.
mod dead_letters;
mod health;
mod key_range;
mod metrics;
mod projections;
mod row_text;
mod view_stream;
mod views;

use axum::Router;
use axum::http::{StatusCode, Uri};
use axum::routing::{get, post};

use super::problem::Problem;
use super::rooms::Rooms;

/// All routes.
pub(super) fn all(rooms: Rooms) -> Router {
    Router::new()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(metrics::page))
        .route("/v1/projections", get(projections::list))
        .route("/v1/projections/{view}", get(projections::describe))
        .route("/v1/projections/{view}/pause", post(projections::pause))
        .route("/v1/projections/{view}/resume", post(projections::resume))
        .route("/v1/projections/{view}/rebuild", post(projections::rebuild))
        .route("/v1/projections/{view}/promote", post(projections::promote))
        .route("/v1/projections/{view}/redrive", post(projections::redrive))
        .route("/v1/views", get(views::list))
        .route("/v1/views/{view}/rows", get(views::rows))
        .route("/v1/views/{view}/digest", get(views::digest))
        .route("/v1/views/{view}/stream", get(view_stream::open))
        .route("/v1/dlq/{view}", get(dead_letters::page))
        .fallback(nothing_there)
        .method_not_allowed_fallback(wrong_method)
        .with_state(rooms)
}

async fn nothing_there(uri: Uri) -> Problem {
    Problem::missing(format!("there is nothing at {}", uri.path()))
}

async fn wrong_method(uri: Uri) -> Problem {
    let message = format!("{} does not take this method", uri.path());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, message)
}
