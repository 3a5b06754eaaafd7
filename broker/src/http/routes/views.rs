//! `/v1/views`: which there are, their rows, their digests.
use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::key_range::{KeyRange, Page};
use super::{projections, row_text};
use crate::http::position::{self, Least};
use crate::http::problem::Problem;
use crate::http::rooms::{self, Rooms};
use crate::projector::{Done, Handle, Order, Serving};

mod canonical;

/// Rows of a page unless told otherwise.
const ROWS: usize = 100;
/// Most rows of a page.
const MAX_ROWS: usize = 1000;
/// How long `min_position` is waited for unless told otherwise, ms.
const PATIENCE_MS: u64 = 5_000;
/// The longest that it is waited for, ms.
const MAX_PATIENCE_MS: u64 = 60_000;

/// Which rows are asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    key: Option<String>,
    prefix: Option<String>,
    from: Option<String>,
    to: Option<String>,
    limit: Option<usize>,
    cursor: Option<String>,
    min_position: Option<String>,
    timeout_ms: Option<u64>,
}

/// `GET /v1/views`: all views and where they stand.
pub(super) async fn list(State(rooms): State<Rooms>) -> Result<Response, Problem> {
    let views = rooms.broker()?.projector.all();
    let views: Vec<Value> = views.iter().map(|view| summary(view)).collect();
    Ok(axum::Json(json!({ "views": views })).into_response())
}

fn summary(view: &Handle) -> Value {
    let description = view.describe();
    let serving = view.serving();
    json!({
        "name": description.name,
        "about": description.about,
        "source": description.source,
        "state": description.state,
        "generation": description.generation,
        "rows": description.rows,
        "position": serving.as_ref().map(|serving| position::text(&serving.position)),
        "lag": serving.as_ref().map(|serving| serving.lag),
    })
}

/// `GET /v1/views/{view}/rows`: a page of rows in the order of their keys.
pub(super) async fn rows(
    State(rooms): State<Rooms>,
    Path(name): Path<String>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(asked) = asked?;
    let (view, patience) = (rooms.view(&name)?, asked.patience()?);
    let limit = limit(asked.limit, ROWS, MAX_ROWS)?;
    let range = asked.range()?;
    let serving = match &asked.min_position {
        Some(least) => {
            rooms
                .at_least(view, &Least::parse(least)?, patience)
                .await?
        }
        None => rooms::now(view)?,
    };
    let page = match &asked.key {
        Some(key) => one(&serving, key),
        None => range.page(serving.table.as_ref(), limit),
    };
    let text = row_text::page(&page.rows, page.cursor.as_deref());
    let kind = [(CONTENT_TYPE, "application/json")];
    Ok((kind, rooms::headers(&serving), text).into_response())
}

/// The row of a key, which may be written with other spaces than the row has it.
fn one(serving: &Serving, key: &str) -> Page {
    let exact = serving.table.get(key.as_bytes());
    let row = exact.or_else(|| serving.table.get(canonical::text(key)?.as_bytes()));
    Page {
        rows: row.into_iter().collect(),
        cursor: None,
    }
}

impl Asked {
    fn range(&self) -> Result<KeyRange, Problem> {
        let others = [&self.prefix, &self.from, &self.to, &self.cursor];
        if self.key.is_some() && others.iter().any(|other| other.is_some()) {
            return Err(Problem::bad("key goes without prefix, from, to and cursor"));
        }
        let mut range = KeyRange::all();
        if let Some(prefix) = &self.prefix {
            range = range.beginning_with(prefix.as_bytes());
        }
        if let Some(from) = &self.from {
            range = range.from(from.as_bytes());
        }
        if let Some(to) = &self.to {
            range = range.below(to.as_bytes());
        }
        match &self.cursor {
            Some(cursor) => {
                let after = range.after_cursor(cursor);
                after.ok_or_else(|| Problem::bad("cursor: not one that came with a page"))
            }
            None => Ok(range),
        }
    }

    fn patience(&self) -> Result<Duration, Problem> {
        match self.timeout_ms.unwrap_or(PATIENCE_MS) {
            ms if ms <= MAX_PATIENCE_MS => Ok(Duration::from_millis(ms)),
            ms => Err(Problem::bad(format!(
                "timeout_ms: {ms} is more than {MAX_PATIENCE_MS}"
            ))),
        }
    }
}

/// The number of things that a page should have.
pub(super) fn limit(asked: Option<usize>, default: usize, most: usize) -> Result<usize, Problem> {
    match asked.unwrap_or(default) {
        limit if (1..=most).contains(&limit) => Ok(limit),
        limit => Err(Problem::bad(format!("limit: {limit} is not in 1..={most}"))),
    }
}

/// `GET /v1/views/{view}/digest`: SHA-256 over all rows at a position.
pub(super) async fn digest(
    State(rooms): State<Rooms>,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    let view = rooms.view(&name)?;
    let before = rooms::now(view)?;
    let done = projections::order(&rooms, view, Order::Digest).await?;
    let Done::Digest {
        digest,
        rows,
        position,
        generation,
    } = done
    else {
        let message = "the view answered something else";
        return Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, message));
    };
    let body = json!({
        "digest": digest,
        "rows": rows,
        "position": position::text(&position),
        "generation": generation,
    });
    let at = Serving {
        generation,
        position,
        ..view.serving().unwrap_or(before)
    };
    Ok((rooms::headers(&at), axum::Json(body)).into_response())
}

#[cfg(test)]
pub(super) mod tests;
