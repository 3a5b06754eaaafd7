//! Headers, and responses that share bytes instead of copying them.
use bytes::{Buf, Bytes};
use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::{
    ApiKey, ApiVersionsRequest, ApiVersionsResponse, FetchResponse, MetadataRequest, TopicName,
};
use kafka_protocol::protocol::{Encodable, StrBytes};
use proptest::prelude::*;

use super::*;

fn joined(pieces: &[Bytes]) -> Vec<u8> {
    pieces.concat()
}

fn fetch_response(batches: &[Bytes]) -> FetchResponse {
    let partitions = batches.iter().enumerate().map(|(index, records)| {
        PartitionData::default()
            .with_partition_index(index as i32)
            .with_records(Some(records.clone()))
    });
    let topic = FetchableTopicResponse::default()
        .with_topic(TopicName(StrBytes::from_static_str("t")))
        .with_partitions(partitions.collect());
    FetchResponse::default().with_responses(vec![topic])
}

#[test]
fn a_golden_request() {
    let request = MetadataRequest::default().with_topics(Some(vec![]));
    let frame = encode_request(ApiKey::Metadata, 1, 7, "me", &request).unwrap();
    let expected = [
        0, 0, 0, 16, // size
        0, 3, 0, 1, // key, version
        0, 0, 0, 7, // correlation id
        0, 2, b'm', b'e', // client id
        0, 0, 0, 0, // topics: none
    ];
    assert_eq!(frame, expected[..]);

    let mut frame = frame.slice(4..);
    let head = head(&frame).unwrap();
    assert_eq!(
        (head.api_key, head.api_version, head.correlation_id),
        (3, 1, 7)
    );
    assert_eq!(
        take_header(&mut frame, ApiKey::Metadata, 1)
            .unwrap()
            .client_id,
        "me"
    );
    assert_eq!(
        decode::<MetadataRequest>(ApiKey::Metadata, 1, frame).unwrap(),
        request
    );
}

#[test]
fn a_flexible_header_with_tags_and_a_null_client_id() {
    let mut frame = Bytes::from_static(&[
        0, 18, 0, 3, 0, 0, 0, 1, // ApiVersions v3
        0xff, 0xff, // null client id
        2, 0, 1, b'x', 5, 0, // two tagged fields
        2, b'n', 2, b'1', 0, // the body
    ]);
    let header = take_header(&mut frame, ApiKey::ApiVersions, 3).unwrap();
    assert_eq!(header.client_id, "");
    let body: ApiVersionsRequest = decode(ApiKey::ApiVersions, 3, frame).unwrap();
    assert_eq!(body.client_software_name.as_str(), "n");
}

#[test]
fn short_and_lying_headers_are_errors() {
    let whole = encode_request(
        ApiKey::ApiVersions,
        3,
        1,
        "id",
        &ApiVersionsRequest::default(),
    )
    .unwrap()
    .slice(4..);
    // Header version 2: 8 + 2 + 2 bytes and an empty tag section.
    for end in 0..13 {
        let mut cut = whole.slice(..end);
        assert!(
            take_header(&mut cut, ApiKey::ApiVersions, 3).is_err(),
            "{end}"
        );
        assert_eq!(head(&cut).is_err(), end < 8, "{end}");
    }
    let mut lying = whole.to_vec();
    lying[8] = 0x7f;
    assert!(take_header(&mut lying.into(), ApiKey::ApiVersions, 3).is_err());
    let mut negative = whole.to_vec();
    negative[8] = 0x80;
    assert!(take_header(&mut negative.into(), ApiKey::ApiVersions, 3).is_err());
    let mut latin = whole.to_vec();
    latin[10] = 0xe9;
    assert!(take_header(&mut latin.into(), ApiKey::ApiVersions, 3).is_err());
}

#[test]
fn bytes_after_a_request_are_ignored() {
    // What librdkafka 2.12 sends for all topics.
    let body = Bytes::from_static(&[0, 0, 0, 0, 1, 0, 0]);
    let request = decode::<MetadataRequest>(ApiKey::Metadata, 13, body).unwrap();
    assert_eq!(request.topics, None);
}

#[test]
fn bytes_after_a_response_are_an_error() {
    let response = ApiVersionsResponse::default();
    let pieces = encode_response(ApiKey::ApiVersions, 0, 9, &response, Vec::new()).unwrap();
    let mut frame = joined(&pieces).split_off(4);
    frame.push(0);
    let error = decode_response::<ApiVersionsResponse>(ApiKey::ApiVersions, 0, frame.into());
    assert!(error.unwrap_err().to_string().contains("left over"));
}

#[test]
fn api_versions_answers_with_the_oldest_header() {
    for version in 0..=4 {
        let response = ApiVersionsResponse::default();
        let pieces =
            encode_response(ApiKey::ApiVersions, version, 9, &response, Vec::new()).unwrap();
        let frame = joined(&pieces);
        assert_eq!(frame[..8], [0, 0, 0, frame.len() as u8 - 4, 0, 0, 0, 9]);
        assert_eq!(frame.len() - 8, response.compute_size(version).unwrap());
        let frame = Bytes::from(frame).slice(4..);
        let (id, read) =
            decode_response::<ApiVersionsResponse>(ApiKey::ApiVersions, version, frame).unwrap();
        assert_eq!((id, read), (9, response));
    }
}

#[test]
fn shared_records_are_passed_on_by_reference() {
    let log = Bytes::from(vec![7; 4096]);
    let batches = [
        log.slice(0..1000),
        Bytes::new(),
        log.slice(1000..1010),
        log.slice(0..1000),
    ];
    for version in [4, 11, 12] {
        let response = fetch_response(&batches);
        let pieces =
            encode_response(ApiKey::Fetch, version, 3, &response, batches.to_vec()).unwrap();
        for batch in batches.iter().filter(|batch| !batch.is_empty()) {
            let shared =
                |piece: &&Bytes| piece.as_ptr() == batch.as_ptr() && piece.len() == batch.len();
            assert!(pieces.iter().any(|piece| shared(&piece)));
        }
        assert_eq!(
            pieces
                .iter()
                .filter(|piece| log.as_ptr_range().contains(&piece.as_ptr()))
                .count(),
            3
        );
        let copied = encode_response(ApiKey::Fetch, version, 3, &response, Vec::new()).unwrap();
        assert_eq!(copied.len(), 1);
        assert_eq!(joined(&pieces), joined(&copied));

        let mut frame = Bytes::from(joined(&pieces));
        assert_eq!(frame.get_i32() as usize, frame.len());
        let (id, read) = decode_response::<FetchResponse>(ApiKey::Fetch, version, frame).unwrap();
        assert_eq!((id, read), (3, response));
    }
}

proptest! {
    #[test]
    fn noise_never_panics(noise in proptest::collection::vec(any::<u8>(), 0..60), version in 0i16..13) {
        let noise = Bytes::from(noise);
        let _ = head(&noise);
        for (_, key) in (0..80).filter_map(|key| Some((key, ApiKey::try_from(key).ok()?))) {
            let mut frame = noise.clone();
            let _ = take_header(&mut frame, key, version);
        }
    }
}
