//! Every shape against the decoder and encoder of the `kafka-protocol` crate, and hostile bodies
//! against both, with every allocation counted.
mod allocations;
mod generate;
mod messages;
mod random;

use bytes::Bytes;
use kafka_protocol::messages::ApiKey;
use protocol::frame::{self, FrameError};
use protocol::shape::{self, Field, REQUESTS, Request, Type};

use generate::{Generator, Style};
use messages::Visited;
use random::Random;

/// How much more memory than the body takes a decoded message may take.
const RATIO: usize = 80;
/// What an error message and the smallest body may take on top.
const SLACK: usize = 4096;

/// Unknown tagged fields in the outermost structure and in inner ones; whether in all of these.
const DENSE_TAGS: [(u32, u32, bool); 5] = [
    (0, 0, false),
    (500, 0, false),
    (0, 1, false),
    (0, 1, true),
    (1, 12, true),
];

/// Every request and version in the table.
fn every_version() -> impl Iterator<Item = (&'static Request, i16)> {
    REQUESTS
        .iter()
        .flat_map(|request| request.versions.clone().map(move |v| (*request, v)))
}

/// Checks and decodes; the memory that it takes has to be in bounds whatever comes out.
fn visit(request: &Request, version: i16, body: &[u8]) -> Result<Visited, FrameError> {
    // The copy is made out here: it is the frame, which is in memory anyway.
    let (peak, visited) = messages::visit(request.key, version, Bytes::copy_from_slice(body));
    assert!(
        peak <= RATIO * body.len() + SLACK,
        "{:?} v{version} took {peak} bytes for a body of {}: {body:02x?}",
        request.key,
        body.len(),
    );
    visited
}

#[test]
fn every_shape_is_that_of_the_crate() {
    for (request, version) in every_version() {
        for seed in 0..60 {
            let body = Generator::new(seed, Style::Mixed).body(request, version);
            let visited = visit(request, version, &body)
                .unwrap_or_else(|e| panic!("{:?} v{version}: {e}: {body:02x?}", request.key));
            assert_eq!(
                visited.versions,
                *request.versions.start()..=*request.versions.end()
            );
            assert_eq!(visited.encoded, body, "{:?} v{version}", request.key);
        }
    }
}

#[test]
fn many_small_elements_stay_in_bounds() {
    let mut worst = (0, 0, 0);
    for (request, version) in every_version() {
        for depth in 0..6 {
            for (outer_tags, inner_tags, all) in DENSE_TAGS {
                let style = Style::Dense {
                    depth,
                    count: 500,
                    outer_tags,
                    inner_tags,
                    all,
                };
                let body = Generator::new(0, style).body(request, version);
                let (peak, visited) =
                    messages::visit(request.key, version, Bytes::copy_from_slice(&body));
                assert!(
                    inner_tags > 0 || visited.is_ok(),
                    "{:?} v{version}",
                    request.key
                );
                assert!(
                    peak <= RATIO * body.len() + SLACK,
                    "{:?} v{version}",
                    request.key
                );
                if body.len() > 400 {
                    worst = worst.max((peak / body.len(), request.key as i16, version));
                }
            }
        }
    }
    println!("the most memory for a byte (key, version): {worst:?}");
    assert!(worst.0 >= 20, "the bodies are not dense: {worst:?}");
}

#[test]
fn mutated_bodies_neither_panic_nor_allocate_out_of_bounds() {
    for (request, version) in every_version() {
        let mut random = Random::new(version as u64 ^ (request.key as u64) << 16);
        for seed in 0..25 {
            let body = Generator::new(seed, Style::Mixed).body(request, version);
            for _ in 0..40 {
                let _ = visit(request, version, &random.mutate(&body));
            }
            let _ = visit(request, version, &random.bytes(40));
        }
    }
}

#[test]
fn every_cut_is_refused_and_an_extra_byte_is_ignored() {
    for (request, version) in every_version() {
        let body = Generator::new(1, Style::Mixed).body(request, version);
        for end in 0..body.len() {
            assert!(shape::check(request.key, version, &body[..end]).is_err());
        }
        let longer = [&body[..], &[0]].concat();
        assert!(shape::check(request.key, version, &longer).is_ok());
    }
}

#[test]
fn huge_counts_are_refused() {
    // Metadata v1 with an array of 2^31 - 1 topics: 19 bytes of TCP payload.
    let error = shape::check(ApiKey::Metadata, 1, &[0x7f, 0xff, 0xff, 0xff]).unwrap_err();
    assert!(matches!(
        error,
        FrameError::Oversized {
            what: "topics",
            claimed: 0x7fff_ffff,
            ..
        }
    ));
    let compact = [0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0];
    assert!(shape::check(ApiKey::Metadata, 12, &compact).is_err());
    // A varint of more than 32 bits, of which the decoder would drop the upper ones.
    let overlong = [0x81, 0x80, 0x80, 0x80, 0x10, 0, 0, 0];
    assert!(shape::check(ApiKey::Metadata, 12, &overlong).is_err());
}

#[test]
fn a_known_tagged_field_has_to_fill_its_size() {
    // Fetch v12: everything zero or empty, then the tag section.
    let untagged = [&[0; 4 + 4 + 4 + 4 + 1 + 4 + 4][..], &[1, 1, 1]].concat();
    let with = |tags: &[u8]| shape::check(ApiKey::Fetch, 12, &[&untagged[..], tags].concat());
    with(&[1, 0, 3, 3, b'i', b'd']).unwrap();
    assert!(with(&[1, 0, 4, 3, b'i', b'd', 0]).is_err());
    assert!(with(&[1, 0, 2, 3, b'i', b'd']).is_err());
}

#[test]
fn requests_and_versions_without_a_shape_are_refused() {
    for key in [ApiKey::Vote, ApiKey::BrokerRegistration, ApiKey::Envelope] {
        assert!(shape::of(key).is_none());
        assert!(shape::check(key, 0, &[0; 64]).is_err());
    }
    for request in REQUESTS {
        assert!(shape::of(request.key).is_some());
        for version in [
            *request.versions.start() - 1,
            *request.versions.end() + 1,
            -1,
            i16::MAX,
        ] {
            assert!(shape::check(request.key, version, &[]).is_err());
        }
    }
    let vote = frame::decode::<kafka_protocol::messages::VoteRequest>(
        ApiKey::Vote,
        0,
        Bytes::from_static(&[1, 1, 0]),
    );
    assert!(vote.is_err());
}

#[test]
fn no_shape_is_nested_deeply() {
    fn depth_of(fields: &[Field]) -> usize {
        1 + fields
            .iter()
            .map(|field| depth_of_type(&field.kind))
            .max()
            .unwrap_or(0)
    }
    fn depth_of_type(kind: &Type) -> usize {
        match kind {
            Type::Array(element) | Type::NullableArray(element) => 1 + depth_of_type(element),
            Type::Struct(fields) | Type::NullableStruct(fields) => depth_of(fields),
            _ => 0,
        }
    }
    assert!(REQUESTS.iter().all(|request| depth_of(request.fields) <= 8));
    assert!(REQUESTS.is_sorted_by_key(|request| request.key as i16));
}
