//! DescribeConfigs (32), v1–4: the configs of topics and of the broker, with where each value comes
//! from (KIP-226), and from v3 on types and documentation (KIP-569). An empty broker name asks for
//! the dynamic defaults of all brokers. No keys, or null, asks for all of them.
use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use config::{Entry, Source};
use protocol::StrBytes;
use protocol::error;
use protocol::messages::describe_configs_request::DescribeConfigsResource;
use protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use protocol::messages::{ApiKey, DescribeConfigsRequest, DescribeConfigsResponse};

use super::Api;
use crate::dispatch::{Context, Reply};
use crate::metadata::{Resource, TopicError};

/// See the module.
pub struct DescribeConfigs;

impl Api for DescribeConfigs {
    const KEY: ApiKey = ApiKey::DescribeConfigs;
    type Request = DescribeConfigsRequest;
    const VERSIONS: RangeInclusive<i16> = 1..=4;

    async fn handle(
        context: Context,
        request: DescribeConfigsRequest,
    ) -> Reply<DescribeConfigsResponse> {
        let show = Show {
            synonyms: request.include_synonyms,
            documentation: request.include_documentation,
        };
        // All topics with all their configs are too much for a thread that others share.
        let describing = tokio::task::spawn_blocking(move || {
            let mut seen = BTreeSet::new();
            let resources = request.resources.into_iter();
            let results = resources.map(|resource| {
                let key = (resource.resource_type, resource.resource_name.clone());
                answer(&context, resource, !seen.insert(key), show)
            });
            DescribeConfigsResponse::default().with_results(results.collect())
        });
        describing.await.map_or(Reply::Disconnect, Reply::Ready)
    }
}

#[derive(Clone, Copy)]
struct Show {
    synonyms: bool,
    documentation: bool,
}

fn answer(
    context: &Context,
    resource: DescribeConfigsResource,
    again: bool,
    show: Show,
) -> DescribeConfigsResult {
    let DescribeConfigsResource {
        resource_type,
        resource_name,
        configuration_keys,
        ..
    } = resource;
    let entries = if again {
        // A few bytes of request must not be answered with all configs over and over.
        let message = "Each resource must appear at most once.";
        Err(TopicError::Request(message.to_owned()))
    } else {
        entries(context, resource_type, &resource_name)
    };
    let result = DescribeConfigsResult::default()
        .with_resource_type(resource_type)
        .with_resource_name(resource_name);
    let keys = configuration_keys.filter(|keys| !keys.is_empty());
    let is_wanted = |entry: &Entry| {
        keys.as_ref()
            .is_none_or(|keys| keys.iter().any(|key| **key == *entry.name))
    };
    match entries {
        Ok(entries) => {
            let wanted = entries.into_iter().filter(is_wanted);
            result.with_configs(wanted.map(|entry| on_the_wire(entry, show)).collect())
        }
        Err(error) => result
            .with_error_code(context.error(error.code()))
            .with_error_message(Some(error::message(&error))),
    }
}

fn entries(context: &Context, kind: i8, name: &str) -> Result<Vec<Entry>, TopicError> {
    let topics = &context.broker.topics;
    let settings = topics.settings();
    if kind == 2 && name.is_empty() {
        // Only an alteration of it would be a request of the wrong kind.
        return Err(TopicError::Name("the empty name".to_owned()));
    }
    Ok(match Resource::of(kind, name, &settings)? {
        Resource::Topic(name) => {
            let topic = topics.get(&name).ok_or(TopicError::Unknown)?;
            config::topic::describe(&topic.overrides(), &settings)?
        }
        Resource::Broker => settings.entries(),
        Resource::EveryBroker => {
            let entries = settings.entries().into_iter();
            entries.filter_map(only_dynamic_default).collect()
        }
    })
}

/// The entry as it stands on the level of every broker, if it does.
fn only_dynamic_default(mut entry: Entry) -> Option<Entry> {
    let on_level = |synonym: &config::Synonym| synonym.source == Source::DynamicDefaultBroker;
    entry.synonyms.retain(on_level);
    entry.value.clone_from(&entry.synonyms.first()?.value);
    entry.source = Source::DynamicDefaultBroker;
    Some(entry)
}

fn on_the_wire(entry: Entry, show: Show) -> DescribeConfigsResourceResult {
    let synonyms = entry.synonyms.into_iter().filter(|_| show.synonyms);
    let synonyms = synonyms.map(|synonym| {
        DescribeConfigsSynonym::default()
            .with_name(StrBytes::from_static_str(synonym.name))
            .with_value(synonym.value.map(StrBytes::from_string))
            .with_source(synonym.source.code())
    });
    let documentation = show
        .documentation
        .then(|| StrBytes::from_static_str(entry.doc));
    DescribeConfigsResourceResult::default()
        .with_name(StrBytes::from_static_str(entry.name))
        .with_value(entry.value.map(StrBytes::from_string))
        .with_read_only(entry.read_only)
        .with_config_source(entry.source.code())
        .with_is_sensitive(entry.sensitive)
        .with_synonyms(synonyms.collect())
        .with_config_type(entry.kind.code())
        .with_documentation(documentation)
}
