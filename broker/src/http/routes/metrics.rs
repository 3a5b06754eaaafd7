//! `/metrics`: Prometheus text.
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;

use crate::http::Serving;
use crate::scrape;

/// Everything that is counted.
pub async fn page(State(serving): State<Serving>) -> impl IntoResponse {
    let text = scrape::page(serving.get().map(AsRef::as_ref));
    ([(CONTENT_TYPE, scrape::CONTENT_TYPE)], text)
}
