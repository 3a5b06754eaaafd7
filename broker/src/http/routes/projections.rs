//! `/v1/projections`: how views are doing, and orders to them.
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use projection::Reason;
use serde::Deserialize;
use serde_json::json;
use tokio::time::timeout;

use crate::http::json_body::JsonBody;
use crate::http::problem::Problem;
use crate::http::rooms::Rooms;
use crate::projector::{Done, Handle, Order, Selection};

/// How long an answer to an order is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
/// Most places of dead letters in one request.
const MAX_IDS: usize = 1000;

type Answer = Result<Response, Problem>;

/// `GET /v1/projections`: everything about every view.
pub(super) async fn list(State(rooms): State<Rooms>) -> Answer {
    let all = rooms.broker()?.projector.all();
    let all: Vec<_> = all.iter().map(|view| view.describe()).collect();
    Ok(axum::Json(json!({ "projections": all })).into_response())
}

/// `GET /v1/projections/{view}`: everything about one.
pub(super) async fn describe(State(rooms): State<Rooms>, Path(name): Path<String>) -> Answer {
    Ok(axum::Json(rooms.view(&name)?.describe()).into_response())
}

/// Nothing to say beside the order itself.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

/// `POST /v1/projections/{view}/pause`.
pub(super) async fn pause(
    State(rooms): State<Rooms>,
    Path(name): Path<String>,
    JsonBody(Nothing {}): JsonBody<Nothing>,
) -> Answer {
    told(&rooms, &name, Order::Pause).await
}

/// `POST /v1/projections/{view}/resume`.
pub(super) async fn resume(
    State(rooms): State<Rooms>,
    Path(name): Path<String>,
    JsonBody(Nothing {}): JsonBody<Nothing>,
) -> Answer {
    told(&rooms, &name, Order::Resume).await
}

/// `POST /v1/projections/{view}/promote`.
pub(super) async fn promote(
    State(rooms): State<Rooms>,
    Path(name): Path<String>,
    JsonBody(Nothing {}): JsonBody<Nothing>,
) -> Answer {
    told(&rooms, &name, Order::Promote).await
}

/// How to build anew.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Rebuild {
    accept_loss: bool,
    hold: bool,
}

/// `POST /v1/projections/{view}/rebuild`.
pub(super) async fn rebuild(
    State(rooms): State<Rooms>,
    Path(name): Path<String>,
    JsonBody(Rebuild { accept_loss, hold }): JsonBody<Rebuild>,
) -> Answer {
    told(&rooms, &name, Order::Rebuild { accept_loss, hold }).await
}

/// `POST /v1/projections/{view}/redrive`.
pub(super) async fn redrive(
    State(rooms): State<Rooms>,
    Path(name): Path<String>,
    JsonBody(chosen): JsonBody<Chosen>,
) -> Answer {
    let order = Order::Redrive(chosen.selection()?);
    told(&rooms, &name, order).await
}

async fn told(rooms: &Rooms, name: &str, order: Order) -> Answer {
    let view = rooms.view(name)?;
    match order_and_status(rooms, view, order).await? {
        (Done::Redriven(redriven), _) => Ok(axum::Json(redriven).into_response()),
        (_, status) => {
            let state = view.describe().state;
            let body = json!({"name": view.name(), "state": state});
            Ok((status, axum::Json(body)).into_response())
        }
    }
}

/// A rebuild and a promotion go on after the answer.
async fn order_and_status(
    rooms: &Rooms,
    view: &Handle,
    what: Order,
) -> Result<(Done, StatusCode), Problem> {
    let status = match what {
        Order::Rebuild { .. } | Order::Promote => StatusCode::ACCEPTED,
        _ => StatusCode::OK,
    };
    Ok((order(rooms, view, what).await?, status))
}

/// Has an order done, and waits for it for a while.
pub(super) async fn order(rooms: &Rooms, view: &Handle, order: Order) -> Result<Done, Problem> {
    let _place = rooms.wait()?;
    match timeout(PATIENCE, view.order(order)).await {
        Ok(done) => Ok(done?),
        Err(_) => Err(Problem::new(
            StatusCode::GATEWAY_TIMEOUT,
            format!("{} is still at it: look again later", view.name()),
        )),
    }
}

/// Dead letters as a client chooses them.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Chosen {
    reason: Option<String>,
    from_ms: Option<i64>,
    to_ms: Option<i64>,
    ids: Option<Vec<String>>,
    all: bool,
}

impl Chosen {
    fn selection(self) -> Result<Selection, Problem> {
        let places = self.ids.as_deref().map(places).transpose()?;
        let reason = self.reason.as_deref().map(reason).transpose()?;
        let selection = Selection {
            reason,
            from_ms: self.from_ms,
            to_ms: self.to_ms,
            places,
        };
        match (self.all, selection == Selection::default()) {
            (true, false) => Err(Problem::bad(
                "all goes without reason, from_ms, to_ms and ids",
            )),
            (false, true) => Err(Problem::bad(
                "nothing is chosen: give reason, from_ms, to_ms or ids, or all",
            )),
            _ => Ok(selection),
        }
    }
}

/// The reason of this name.
pub(super) fn reason(text: &str) -> Result<Reason, Problem> {
    text.parse().map_err(|()| {
        let all: Vec<&str> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        Problem::bad(format!("reason: {text:?} is none of {}", all.join(", ")))
    })
}

fn places(ids: &[String]) -> Result<Vec<(String, i32, i64)>, Problem> {
    if ids.len() > MAX_IDS {
        return Err(Problem::bad(format!("ids: more than {MAX_IDS}")));
    }
    let places = ids.iter().map(|id| {
        let bad = || Problem::bad(format!("ids: {id:?} is not TOPIC-PARTITION@OFFSET"));
        place(id).ok_or_else(bad)
    });
    places.collect()
}

/// `events-0@12`; a topic's name may have dashes of its own.
fn place(id: &str) -> Option<(String, i32, i64)> {
    let (partition, offset) = id.rsplit_once('@')?;
    let (topic, partition) = partition.rsplit_once('-')?;
    let place = (
        topic.to_owned(),
        partition.parse().ok()?,
        offset.parse().ok()?,
    );
    (!topic.is_empty() && place.1 >= 0 && place.2 >= 0).then_some(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selection(body: &str) -> Result<Selection, Problem> {
        serde_json::from_str::<Chosen>(body).unwrap().selection()
    }

    #[test]
    fn letters_are_chosen_or_the_request_is_refused() {
        let chosen = selection(r#"{"reason":"LATE","ids":["my-events-1@12"],"to_ms":5}"#);
        let expected = Selection {
            reason: Some(Reason::Late),
            to_ms: Some(5),
            places: Some(vec![("my-events".to_owned(), 1, 12)]),
            ..Selection::default()
        };
        assert_eq!(chosen, Ok(expected));
        assert_eq!(selection(r#"{"all":true}"#), Ok(Selection::default()));
        for (body, word) in [
            ("{}", "nothing is chosen"),
            (r#"{"all":true,"reason":"LATE"}"#, "all goes without"),
            (r#"{"reason":"late"}"#, "BAD_JSON"),
            (r#"{"ids":["events@12"]}"#, "events@12"),
            (r#"{"ids":["-0@12"]}"#, "-0@12"),
        ] {
            let problem = selection(body).unwrap_err();
            assert!(problem.message.contains(word), "{body}: {problem:?}");
        }
        // An empty list chooses nothing, and is told apart from no list.
        let none = selection(r#"{"ids":[]}"#).unwrap();
        assert_eq!(none.places, Some(Vec::new()));
    }
}
