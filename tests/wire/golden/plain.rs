//! The body of a plain, sensible request of each API and version, made from its shape.
use harness::Batch;
use kafka_protocol::messages::ApiKey;
use protocol::shape::{Field, Request, Type};

/// The body. It is about partition 0 of the topic "golden" with this id, and about a group or a new
/// topic of its own.
pub(super) fn body(request: &Request, version: i16, topic_id: [u8; 16]) -> Vec<u8> {
    let mut plain = Plain {
        key: request.key,
        version,
        flexible: request.is_flexible(version),
        topic_id,
        out: Vec::new(),
    };
    plain.fields(request.fields, "");
    plain.out
}

struct Plain {
    key: ApiKey,
    version: i16,
    flexible: bool,
    topic_id: [u8; 16],
    out: Vec<u8>,
}

impl Plain {
    fn fields(&mut self, fields: &[Field], within: &str) {
        let version = self.version;
        for field in fields {
            if field.tag.is_none() && field.is_in(version) {
                self.value(&field.kind, field.name, within);
            }
        }
        if self.flexible {
            self.out.push(0);
        }
    }

    fn value(&mut self, kind: &Type, name: &str, within: &str) {
        match kind {
            // Documents would only make the file long.
            Type::Bool => self.out.push(u8::from(name == "include_synonyms")),
            Type::Int8 => self.number(name, 1),
            Type::Int16 | Type::UInt16 => self.number(name, 2),
            Type::Int32 => self.number(name, 4),
            Type::Int64 | Type::Float64 => self.number(name, 8),
            Type::Uuid => match self.key {
                // By name: the topic is one that CreateTopics made.
                ApiKey::DeleteTopics => self.out.extend([0; 16]),
                // Ids cannot be asked for before v12.
                ApiKey::Metadata if self.version < 12 => self.out.extend([0; 16]),
                _ => self.out.extend(self.topic_id),
            },
            Type::String | Type::NullableString => {
                let text = self.text(name, within);
                self.length(text.as_ref().map(String::len), 2);
                self.out.extend(text.unwrap_or_default().into_bytes());
            }
            Type::Bytes | Type::NullableBytes => {
                let bytes = match name {
                    "records" => Batch::of(&["one"]).at(&[1_000]).bytes().to_vec(),
                    _ => Vec::new(),
                };
                self.length(Some(bytes.len()), 4);
                self.out.extend(bytes);
            }
            Type::Struct(fields) => self.fields(fields, name),
            Type::NullableStruct(_) => self.out.push(0xff),
            Type::NullableArray(_) if name == "replicas" => self.length(None, 4),
            Type::Array(element) | Type::NullableArray(element) => {
                let empty = matches!(
                    name,
                    "assignments" | "forgotten_topics_data" | "states_filter" | "types_filter"
                );
                self.length(Some(usize::from(!empty)), 4);
                if !empty {
                    self.value(element, name, name);
                }
            }
        }
    }

    fn number(&mut self, name: &str, bytes: usize) {
        let value: i64 = match name {
            "acks"
            | "replica_id"
            | "session_epoch"
            | "current_leader_epoch"
            | "last_fetched_epoch"
            | "producer_id"
            | "producer_epoch"
            | "generation_id"
            | "generation_id_or_member_epoch"
            | "retention_time_ms"
            | "timestamp" => -1,
            "timeout_ms" => 1000,
            "session_timeout_ms" | "rebalance_timeout_ms" => 10_000,
            "transaction_timeout_ms" => 60_000,
            "max_bytes" => 1 << 20,
            "partition_max_bytes"
            | "num_partitions"
            | "replication_factor"
            | "count"
            | "endpoint_type"
            | "committed_offset" => 1,
            "resource_type" | "resource_types" => 2,
            "response_partition_limit" => 10,
            _ => 0,
        };
        self.out.extend(&value.to_be_bytes()[8 - bytes..]);
    }

    fn text(&self, name: &str, within: &str) -> Option<String> {
        let version = self.version;
        let own = |stem: &str| format!("{stem}-{}-{version}", self.key as i16);
        let text = match (self.key, name) {
            (_, "group_instance_id" | "reason" | "cluster_id")
            | (ApiKey::Produce | ApiKey::InitProducerId, "transactional_id") => return None,
            (_, "member_id" | "committed_metadata" | "rack_id") => String::new(),
            (_, "group_id" | "groups" | "group_ids" | "groups_names" | "key")
            | (ApiKey::FindCoordinator, "coordinator_keys") => own("group"),
            (ApiKey::CreateTopics | ApiKey::DeleteTopics, "name" | "topic_names")
                if within != "configs" =>
            {
                format!("made-{version}")
            }
            (ApiKey::JoinGroup, "name") | (_, "protocol_name") => "range".to_owned(),
            (_, "protocol_type") => "consumer".to_owned(),
            (_, "configuration_keys") => "retention.ms".to_owned(),
            (_, "name") if matches!(within, "configs" | "configurations") => {
                "retention.ms".to_owned()
            }
            (_, "value") => "604800000".to_owned(),
            (_, "client_software_version") => "1.0".to_owned(),
            _ => "golden".to_owned(),
        };
        Some(text)
    }

    /// A length; `bytes` is how wide it is where it is not compact.
    fn length(&mut self, length: Option<usize>, bytes: usize) {
        if self.flexible {
            let mut rest = length.map_or(0, |length| length + 1);
            while rest >= 0x80 {
                self.out.push(rest as u8 | 0x80);
                rest >>= 7;
            }
            self.out.push(rest as u8);
        } else {
            let value = length.map_or(-1, |length| length as i64);
            self.out.extend(&value.to_be_bytes()[8 - bytes..]);
        }
    }
}
