//! What each user did, how often, and when last.
use serde::{Deserialize, Serialize};

use super::View;
use crate::{Event, Projection, Reason, Rejection, materialize};

pub(super) const VIEW: View = View {
    name: "user_activity",
    source: "events",
    about: "how often each user did each kind of thing, and when last",
    engine: |options| materialize(UserActivity, &options),
};

struct UserActivity;

#[derive(Serialize)]
pub(super) struct Key<'a> {
    user_id: &'a str,
    event_type: &'a str,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Activity {
    count: u64,
    /// Epoch ms.
    last_seen: i64,
}

impl Projection for UserActivity {
    type Key<'a> = Key<'a>;
    type Row = Activity;

    fn definition(&self) -> &'static str {
        "SELECT aggregate_id AS user_id, event_type, COUNT(*) AS count, \
         MAX(timestamp) AS last_seen GROUP BY aggregate_id, event_type"
    }

    fn selects(&self, _: &Event<'_>) -> bool {
        true
    }

    fn read<'a>(&self, event: &'a Event<'_>) -> Result<(Key<'a>, Activity), Rejection> {
        let key = Key {
            user_id: &event.aggregate_id,
            event_type: &event.event_type,
        };
        Ok((
            key,
            Activity {
                count: 1,
                last_seen: event.timestamp,
            },
        ))
    }

    fn merge(&self, row: &Activity, other: &Activity) -> Result<Activity, Rejection> {
        let count = row.count.checked_add(other.count);
        let overflow = || Rejection::new(Reason::Overflow, "count: past 64 bits");
        Ok(Activity {
            count: count.ok_or_else(overflow)?,
            last_seen: row.last_seen.max(other.last_seen),
        })
    }
}
