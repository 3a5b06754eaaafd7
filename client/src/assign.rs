//! The range assignment: per topic, each member gets a run of neighbouring partitions.
use std::collections::BTreeMap;

/// Per member, what it gets of each topic. `members` are ids with their topics, `partitions` the
/// partitions of each topic in order. Members that come first by id get the odd ones, as in Kafka's
/// `RangeAssignor`.
pub(crate) fn range(
    members: &BTreeMap<String, Vec<String>>,
    partitions: &BTreeMap<String, Vec<i32>>,
) -> BTreeMap<String, BTreeMap<String, Vec<i32>>> {
    let mut assignment: BTreeMap<String, BTreeMap<String, Vec<i32>>> = members
        .keys()
        .map(|member| (member.clone(), BTreeMap::new()))
        .collect();
    for (topic, indexes) in partitions {
        let readers: Vec<&String> = members
            .iter()
            .filter(|(_, topics)| topics.contains(topic))
            .map(|(member, _)| member)
            .collect();
        if readers.is_empty() {
            continue;
        }
        let (each, odd) = (indexes.len() / readers.len(), indexes.len() % readers.len());
        let mut rest = indexes.as_slice();
        for (place, reader) in readers.into_iter().enumerate() {
            let (run, after) = rest.split_at(each + usize::from(place < odd));
            rest = after;
            if !run.is_empty() {
                let own = assignment.entry(reader.clone()).or_default();
                own.insert(topic.clone(), run.to_vec());
            }
        }
    }
    assignment
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_partition_goes_to_one_reader_of_its_topic() {
        let members = BTreeMap::from([
            ("m1".to_owned(), vec!["a".to_owned(), "b".to_owned()]),
            ("m2".to_owned(), vec!["a".to_owned()]),
            ("m3".to_owned(), vec![]),
        ]);
        let partitions = BTreeMap::from([
            ("a".to_owned(), vec![0, 1, 2]),
            ("b".to_owned(), vec![0, 1]),
            ("c".to_owned(), vec![0]),
        ]);
        let assignment = range(&members, &partitions);
        assert_eq!(assignment["m1"]["a"], [0, 1]);
        assert_eq!(assignment["m2"]["a"], [2]);
        assert_eq!(assignment["m1"]["b"], [0, 1]);
        assert!(assignment["m3"].is_empty());
        assert!(!assignment["m2"].contains_key("b"));
    }
}
