//! What AlterConfigs and IncrementalAlterConfigs do alike: each resource is altered on its own, and
//! one that is named twice not at all.
use std::collections::BTreeMap;

use protocol::StrBytes;
use protocol::error;

use crate::dispatch::Context;
use crate::metadata::{Alteration, Resource, TopicError};

/// What a request asks of one resource.
pub struct Asked {
    /// Its type (`ConfigResource.Type`).
    pub kind: i8,
    /// Its name.
    pub name: StrBytes,
    /// What is to become of its configs, or why that cannot be understood.
    pub alteration: Result<Alteration, TopicError>,
}

/// What became of one resource.
pub struct Answered {
    /// As asked.
    pub kind: i8,
    /// As asked.
    pub name: StrBytes,
    /// 0, or why nothing was altered.
    pub error_code: i16,
    /// The error in words.
    pub error_message: Option<StrBytes>,
}

/// Alters what is asked, in order, and waits until that lasts; `None` if it broke off.
pub async fn alter(
    context: Context,
    asked: impl Iterator<Item = Asked> + Send + 'static,
    validate_only: bool,
) -> Option<Vec<Answered>> {
    let altering = tokio::task::spawn_blocking(move || {
        let asked: Vec<Asked> = asked.collect();
        let mut times: BTreeMap<(i8, StrBytes), usize> = BTreeMap::new();
        for one in &asked {
            *times.entry((one.kind, one.name.clone())).or_default() += 1;
        }
        let answers = asked.into_iter().map(|one| {
            let (kind, name) = (one.kind, one.name.clone());
            let altered = match times[&(kind, name.clone())] {
                1 => alter_one(&context, one, validate_only),
                _ => refused("Each resource must appear at most once."),
            };
            let error = altered.err();
            Answered {
                kind,
                name,
                error_code: error
                    .as_ref()
                    .map_or(0, |error| context.error(error.code())),
                error_message: error.as_ref().map(error::message),
            }
        });
        answers.collect()
    });
    altering.await.ok()
}

/// The error of a request that is wrong in itself.
pub fn refused<T>(message: impl Into<String>) -> Result<T, TopicError> {
    Err(TopicError::Request(message.into()))
}

/// The error of configs that need a value and have none; nothing if there are none.
pub fn refuse_nulls(names: &[&str]) -> Result<(), TopicError> {
    match names {
        [] => Ok(()),
        _ => refused(format!(
            "Null value not supported for : {}",
            names.join(", ")
        )),
    }
}

fn alter_one(context: &Context, asked: Asked, validate_only: bool) -> Result<(), TopicError> {
    let alteration = asked.alteration?;
    let resource = Resource::of(asked.kind, &asked.name, &context.broker.settings)?;
    context
        .broker
        .topics
        .alter(&resource, alteration, validate_only)
}
