//! What purchases bring in: the columns that the views of revenue share.
use std::borrow::Cow;

use crate::{Decimal, Event, Reason, Rejection};

/// A purchase: what it cost, in which currency.
pub(crate) struct Purchase<'a> {
    pub(crate) amount: Decimal,
    pub(crate) currency: Option<Cow<'a, str>>,
}

impl<'a> Purchase<'a> {
    pub(crate) fn is(event: &Event<'_>) -> bool {
        event.event_type == "purchase"
    }

    pub(crate) fn of(event: &Event<'a>) -> Result<Self, Rejection> {
        let [amount, currency] = event.data(["amount", "currency"])?;
        Ok(Self {
            amount: amount.amount()?,
            currency: currency.optional_string()?,
        })
    }
}

/// The sum of two amounts.
pub(crate) fn sum(one: Decimal, other: Decimal) -> Result<Decimal, Rejection> {
    let overflow = || Rejection::new(Reason::Overflow, "revenue: past 128 bits");
    one.checked_add(other).ok_or_else(overflow)
}

/// The sum of two counts of orders.
pub(crate) fn count(one: u64, other: u64) -> Result<u64, Rejection> {
    let overflow = || Rejection::new(Reason::Overflow, "orders: past 64 bits");
    one.checked_add(other).ok_or_else(overflow)
}
