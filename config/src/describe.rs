//! Broker settings as `DescribeConfigs` shows them.
use crate::entry::{Entry, Source, Synonym};
use crate::setting::Setting;
use crate::settings::{Settings, TABLE};

impl Settings {
    /// Every broker setting with its value, in the order of the table.
    pub fn entries(&self) -> Vec<Entry> {
        (0..TABLE.len()).map(|row| self.entry_of(row)).collect()
    }

    /// The broker setting with this Kafka name.
    pub fn entry(&self, kafka_name: &str) -> Option<Entry> {
        let row = TABLE
            .iter()
            .position(|setting| setting.kafka_name == kafka_name)?;
        Some(self.entry_of(row))
    }

    fn entry_of(&self, row: usize) -> Entry {
        let setting = &TABLE[row];
        let default = shown_default(setting);
        let synonyms = self.chain(row);
        Entry {
            name: setting.kafka_name,
            value: self.in_kafkas_form(setting),
            default,
            kind: setting.kind,
            source: synonyms
                .first()
                .map_or(Source::Default, |synonym| synonym.source),
            read_only: !setting.dynamic,
            sensitive: false,
            synonyms,
            doc: setting.doc,
        }
    }

    /// The values of a setting from the strongest level to the default.
    pub(crate) fn chain(&self, row: usize) -> Vec<Synonym> {
        let setting = &TABLE[row];
        let synonym = |source, value| Synonym {
            name: setting.kafka_name,
            value,
            source,
        };
        let mut chain: Vec<Synonym> = self
            .assigned
            .iter()
            .filter(|(other, ..)| *other == row)
            .map(|(_, source, value)| synonym(*source, form(setting, Some(value.clone()))))
            .collect();
        chain.sort_by_key(|synonym| synonym.source.code());
        if let Some(default) = shown_default(setting) {
            chain.push(synonym(Source::Default, Some(default)));
        }
        chain
    }

    fn in_kafkas_form(&self, setting: &Setting) -> Option<String> {
        let value = self.shown(setting);
        // Kafka's advertised.listeners is the listeners unless set.
        if setting.key == "advertise" && value.is_none() {
            return form(setting, Some(self.listen.clone()));
        }
        form(setting, value)
    }
}

fn shown_default(setting: &Setting) -> Option<String> {
    form(
        setting,
        Some(setting.default.to_owned()).filter(|text| !text.is_empty()),
    )
}

/// Kafka writes listeners as URLs.
fn form(setting: &Setting, value: Option<String>) -> Option<String> {
    match setting.key {
        "listen" | "advertise" => value.map(|address| format!("PLAINTEXT://{address}")),
        _ => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tools_look_for_is_there() {
        let settings = Settings::default();
        for (name, value) in [
            ("advertised.listeners", "PLAINTEXT://127.0.0.1:9092"),
            ("num.partitions", "1"),
            ("default.replication.factor", "1"),
            ("auto.create.topics.enable", "true"),
            ("log.flush.interval.messages", "9223372036854775807"),
        ] {
            let entry = settings.entry(name).unwrap();
            assert_eq!(entry.value.as_deref(), Some(value));
            assert!(entry.is_default());
        }
        assert_eq!(settings.entries().len(), TABLE.len());
        assert_eq!(settings.entry("broker.rack").unwrap().value, None);
        assert_eq!(settings.entry("no.such.setting"), None);
    }

    #[test]
    fn a_static_value_shows_its_source_and_the_default_below() {
        let flags = vec![("num-partitions".to_owned(), "4".to_owned())];
        let settings = Settings::load(None, std::iter::empty(), flags).unwrap();
        let entry = settings.entry("num.partitions").unwrap();
        assert_eq!(entry.value.as_deref(), Some("4"));
        assert_eq!(entry.source, Source::StaticBroker);
        assert!(entry.read_only);
        assert_eq!(entry.default.as_deref(), Some("1"));
        let chain: Vec<_> = entry.synonyms.iter().map(|s| s.source.code()).collect();
        assert_eq!(chain, [4, 5]);
    }
}
