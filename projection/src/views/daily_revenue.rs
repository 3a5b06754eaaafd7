//! What each day brought in, in each currency.
use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::View;
use crate::event_time::utc_day;
use crate::revenue::{Purchase, count, sum};
use crate::{Decimal, Event, Projection, Rejection, materialize};

pub(super) const VIEW: View = View {
    name: "daily_revenue",
    source: "events",
    about: "revenue and orders of each UTC day, currencies apart",
    engine: |options| materialize(DailyRevenue, &options),
};

struct DailyRevenue;

#[derive(Serialize)]
pub(super) struct Key<'a> {
    day: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    currency: Option<Cow<'a, str>>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Revenue {
    revenue: Decimal,
    orders: u64,
}

impl Projection for DailyRevenue {
    type Key<'a> = Key<'a>;
    type Row = Revenue;

    fn definition(&self) -> &'static str {
        "SELECT UTC_DAY(timestamp) AS day, data->>'currency' AS currency, \
         SUM(CAST(data->>'amount' AS DECIMAL)) AS revenue, COUNT(*) AS orders \
         WHERE event_type = 'purchase' GROUP BY UTC_DAY(timestamp), data->>'currency'"
    }

    fn selects(&self, event: &Event<'_>) -> bool {
        Purchase::is(event)
    }

    fn read<'a>(&self, event: &'a Event<'_>) -> Result<(Key<'a>, Revenue), Rejection> {
        let Purchase { amount, currency } = Purchase::of(event)?;
        let key = Key {
            day: utc_day(event.timestamp),
            currency,
        };
        Ok((
            key,
            Revenue {
                revenue: amount,
                orders: 1,
            },
        ))
    }

    fn merge(&self, row: &Revenue, other: &Revenue) -> Result<Revenue, Rejection> {
        Ok(Revenue {
            revenue: sum(row.revenue, other.revenue)?,
            orders: count(row.orders, other.orders)?,
        })
    }
}
