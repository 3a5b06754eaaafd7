//! Which views the settings ask for, and with which options.
use std::collections::BTreeMap;

use config::Settings;
use projection::{Options, View};

use crate::metadata::reason_invalid_name;

/// A view that the settings ask for.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// What it is.
    pub view: &'static View,
    /// What its definition leaves open, as the settings have it.
    pub options: Options,
}

/// What is wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WantedError {
    /// A view that does not exist.
    #[error(
        "projections: there is no view {name:?}{}; there are: {}",
        nearest.as_ref().map_or_else(String::new, |name| format!(" (did you mean {name}?)")),
        names().join(", ")
    )]
    Unknown {
        /// As written.
        name: String,
        /// What was meant, perhaps.
        nearest: Option<String>,
    },
    /// A view named more than once.
    #[error("projections: the view {0} is named twice")]
    Twice(String),
    /// A source that cannot be.
    #[error("projections: {view} cannot be made from {topic:?}: {reason}")]
    Source {
        /// View.
        view: String,
        /// Topic as written.
        topic: String,
        /// Why not.
        reason: String,
    },
    /// An alias that cannot be read.
    #[error("projection_aliases: {0:?} is not of the form TOPIC.FIELD=NAME")]
    Alias(String),
}

fn names() -> Vec<&'static str> {
    projection::all().iter().map(|view| view.name).collect()
}

/// The views that the settings ask for, in the order of their names.
pub fn wanted(settings: &Settings) -> Result<Vec<Wanted>, WantedError> {
    let aliases = aliases(&settings.projection_aliases)?;
    let mut found = BTreeMap::new();
    for entry in &settings.projections {
        let (name, topic) = match entry.split_once(':') {
            Some((name, topic)) => (name.trim(), Some(topic.trim())),
            None => (entry.trim(), None),
        };
        let view = find(name)?;
        let source = topic.unwrap_or(view.source);
        check_source(view, source)?;
        let of_source = aliases.iter().filter(|(of, ..)| of == source);
        let options = Options {
            source: source.to_owned(),
            aliases: of_source
                .map(|(_, field, alias)| (field.clone(), alias.clone()))
                .collect(),
            dedup_window_ms: Some(settings.projection_dedup_window_ms).filter(|ms| *ms >= 0),
            max_future_skew_ms: settings.projection_max_future_skew_ms,
        };
        if found.insert(view.name, Wanted { view, options }).is_some() {
            return Err(WantedError::Twice(name.to_owned()));
        }
    }
    Ok(found.into_values().collect())
}

fn find(name: &str) -> Result<&'static View, WantedError> {
    projection::find(name).ok_or_else(|| WantedError::Unknown {
        name: name.to_owned(),
        nearest: config::nearest(name, names().into_iter()).map(str::to_owned),
    })
}

fn check_source(view: &View, topic: &str) -> Result<(), WantedError> {
    let own = topic == view.name || topic.strip_prefix(view.name) == Some(".dlq");
    let reason = if own {
        Some("the view writes that topic itself".to_owned())
    } else if topic.starts_with("__") {
        Some("that topic is the broker's own".to_owned())
    } else {
        reason_invalid_name(topic)
    };
    match reason {
        None => Ok(()),
        Some(reason) => Err(WantedError::Source {
            view: view.name.to_owned(),
            topic: topic.to_owned(),
            reason,
        }),
    }
}

/// Topic, field, alias. The names of topics have dots, those of fields have none.
fn aliases(entries: &[String]) -> Result<Vec<(String, String, String)>, WantedError> {
    let read = |entry: &String| {
        let (place, alias) = entry.split_once('=')?;
        let (topic, field) = place.rsplit_once('.')?;
        let parts = [topic.trim(), field.trim(), alias.trim()];
        let whole = parts.iter().all(|part| !part.is_empty());
        whole.then(|| (parts[0].into(), parts[1].into(), parts[2].into()))
    };
    entries
        .iter()
        .map(|entry| read(entry).ok_or_else(|| WantedError::Alias(entry.clone())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(projections: &str, aliases: &str) -> Result<Vec<Wanted>, WantedError> {
        let flags = vec![
            ("projections".to_owned(), projections.to_owned()),
            ("projection-aliases".to_owned(), aliases.to_owned()),
        ];
        wanted(&Settings::load(None, std::iter::empty(), flags).unwrap())
    }

    #[test]
    fn views_come_with_their_sources_and_aliases() {
        let views = with(
            "user_activity : a.b, daily_revenue",
            "a.b.aggregate_id = uid,events.timestamp=at",
        );
        let views = views.unwrap();
        assert_eq!(views[0].view.name, "daily_revenue");
        assert_eq!(views[0].options.source, "events");
        assert_eq!(
            views[0].options.aliases,
            [("timestamp".to_owned(), "at".to_owned())]
        );
        assert_eq!(views[1].options.source, "a.b");
        assert_eq!(
            views[1].options.aliases,
            [("aggregate_id".to_owned(), "uid".to_owned())]
        );
        assert_eq!(views[1].options.dedup_window_ms, Some(600_000));
        assert!(with("", "").unwrap().is_empty());
    }

    #[test]
    fn mistakes_are_told() {
        let error = with("user_activty", "").unwrap_err().to_string();
        assert!(error.contains("did you mean user_activity?"), "{error}");
        for (projections, aliases) in [
            ("user_activity,user_activity:x", ""),
            ("user_activity:", ""),
            ("user_activity:a b", ""),
            ("user_activity:user_activity", ""),
            ("user_activity:user_activity.dlq", ""),
            ("user_activity:__consumer_offsets", ""),
            ("user_activity", "timestamp=at"),
            ("user_activity", "events.timestamp"),
        ] {
            let refused = with(projections, aliases);
            assert!(refused.is_err(), "{projections:?} {aliases:?}");
        }
    }
}
