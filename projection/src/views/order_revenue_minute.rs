//! What each minute of event time brought in, in each currency.
use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::View;
use crate::event_time::Window;
use crate::revenue::{Purchase, count, sum};
use crate::{Decimal, Event, Projection, Rejection, materialize};

pub(super) const VIEW: View = View {
    name: "order_revenue_minute",
    source: "orders.enriched",
    about: "revenue and orders of each minute, currencies apart; two minutes of grace",
    engine: |options| materialize(OrderRevenueMinute, &options),
};

const MINUTES: Window = Window {
    size_ms: 60_000,
    grace_ms: 120_000,
};

struct OrderRevenueMinute;

#[derive(Serialize)]
pub(super) struct Key<'a> {
    /// Start of the minute, epoch ms.
    minute_bucket: i64,
    currency: Option<Cow<'a, str>>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Revenue {
    revenue: Decimal,
    order_count: u64,
}

impl Projection for OrderRevenueMinute {
    type Key<'a> = Key<'a>;
    type Row = Revenue;

    fn definition(&self) -> &'static str {
        "SELECT window_start AS minute_bucket, data->>'currency' AS currency, \
         SUM(CAST(data->>'amount' AS DECIMAL)) AS revenue, COUNT(*) AS order_count \
         FROM TUMBLE(timestamp, INTERVAL '1' MINUTE) WITH (grace = '2 minutes') \
         WHERE event_type = 'purchase' GROUP BY window_start, data->>'currency'"
    }

    fn window(&self) -> Option<Window> {
        Some(MINUTES)
    }

    fn selects(&self, event: &Event<'_>) -> bool {
        Purchase::is(event)
    }

    fn read<'a>(&self, event: &'a Event<'_>) -> Result<(Key<'a>, Revenue), Rejection> {
        let Purchase { amount, currency } = Purchase::of(event)?;
        let key = Key {
            minute_bucket: MINUTES.start(event.timestamp),
            currency,
        };
        Ok((
            key,
            Revenue {
                revenue: amount,
                order_count: 1,
            },
        ))
    }

    fn merge(&self, row: &Revenue, other: &Revenue) -> Result<Revenue, Rejection> {
        Ok(Revenue {
            revenue: sum(row.revenue, other.revenue)?,
            order_count: count(row.order_count, other.order_count)?,
        })
    }
}
