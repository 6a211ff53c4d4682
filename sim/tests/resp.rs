//! The decoder of what a Redis server sends: any values, in any pieces.
#![cfg(feature = "redis")]

use parlor_core::redis::{RespDecoder, RespLimits, RespValue};
use parlor_sim::redis::wire;
use proptest::prelude::*;

const LIMITS: RespLimits = RespLimits { bytes: 1 << 20, depth: 8 };

fn text() -> impl Strategy<Value = Vec<u8>> {
    "[ -~]{0,12}".prop_map(String::into_bytes)
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..40)
}

fn value() -> impl Strategy<Value = RespValue> {
    let leaf = prop_oneof![
        Just(RespValue::Null),
        text().prop_map(RespValue::Simple),
        text().prop_map(RespValue::Error),
        any::<i64>().prop_map(RespValue::Integer),
        any::<f64>().prop_map(|number| RespValue::Double(number.to_string().into_bytes())),
        any::<bool>().prop_map(RespValue::Boolean),
        bytes().prop_map(RespValue::Bulk),
        bytes().prop_map(RespValue::Verbatim),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(RespValue::Array),
            prop::collection::vec(inner.clone(), 0..5).prop_map(RespValue::Set),
            prop::collection::vec((inner.clone(), inner), 0..3).prop_map(RespValue::Map),
        ]
    })
}

fn reply_or_push() -> impl Strategy<Value = RespValue> {
    prop_oneof![3 => value(), 1 => prop::collection::vec(value(), 1..5).prop_map(RespValue::Push)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_split_of_the_bytes_gives_the_same_values(
        values in prop::collection::vec(reply_or_push(), 1..6),
        sizes in prop::collection::vec(1..50_usize, 1..200),
    ) {
        let mut sent = Vec::new();
        values.iter().for_each(|value| wire::encode(value, &mut sent));
        let (mut decoder, mut rest, mut read) = (RespDecoder::new(LIMITS), &sent[..], Vec::new());
        for size in sizes.into_iter().cycle() {
            let (piece, behind) = rest.split_at(size.min(rest.len()));
            decoder.feed(piece);
            while let Some(value) = decoder.next_value().expect("RESP3") {
                read.push(value);
            }
            rest = behind;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(read, values);
        prop_assert_eq!(decoder.waiting(), 0);
    }
}
