use std::collections::BTreeSet;

use serde::{Serialize, de::DeserializeOwned};

use super::*;

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_767_603_600 + second, 0).unwrap()
}

fn full() -> Checkpoint {
    let mut checkpoint = Checkpoint::at(at(10));
    for second in 0..200 {
        checkpoint.note(at(second), format!("Y2lz{second}").into());
    }
    checkpoint.note_malformed(Fingerprint::of("{\"id\":7}"), at(12));
    checkpoint.note_malformed(Fingerprint::of("{\"id\":8}"), at(200));
    checkpoint.advance(at(200), at(100));
    checkpoint
}

#[test]
fn neither_the_mark_nor_the_horizon_moves_back() {
    let mut checkpoint = Checkpoint::at(at(10));
    checkpoint.advance(at(3), at(1));
    assert_eq!(checkpoint, Checkpoint::at(at(10)));
    checkpoint.advance(at(20), at(15));
    checkpoint.advance(at(19), at(14));
    assert_eq!((checkpoint.mark(), checkpoint.settled()), (at(20), at(15)));
}

#[test]
fn what_is_settled_is_not_part_of_the_value() {
    let mut checkpoint = Checkpoint::at(at(0));
    checkpoint.note(at(5), "a".into());
    checkpoint.note_malformed(Fingerprint::of("{}"), at(5));
    checkpoint.advance(at(6), at(6));
    let mut other = Checkpoint::at(at(0));
    other.advance(at(6), at(6));
    assert_eq!(checkpoint, other);
    assert_eq!(serde_json::to_string(&checkpoint).unwrap(), serde_json::to_string(&other).unwrap());
}

#[test]
fn a_checkpoint_survives_every_format_unchanged() {
    fn json<T: Serialize + DeserializeOwned>(value: &T) -> T {
        serde_json::from_str(&serde_json::to_string(value).unwrap()).unwrap()
    }
    fn tree<T: Serialize + DeserializeOwned>(value: &T) -> T {
        serde_json::from_value(serde_json::to_value(value).unwrap()).unwrap()
    }
    fn array<T: Serialize + DeserializeOwned>(value: &T) -> T {
        rmp_serde::from_slice(&rmp_serde::to_vec(value).unwrap()).unwrap()
    }
    fn named<T: Serialize + DeserializeOwned>(value: &T) -> T {
        rmp_serde::from_slice(&rmp_serde::to_vec_named(value).unwrap()).unwrap()
    }
    fn postcard<T: Serialize + DeserializeOwned>(value: &T) -> T {
        postcard::from_bytes(&postcard::to_stdvec(value).unwrap()).unwrap()
    }
    fn cbor<T: Serialize + DeserializeOwned>(value: &T) -> T {
        let mut bytes = Vec::new();
        ciborium::into_writer(value, &mut bytes).unwrap();
        ciborium::from_reader(&*bytes).unwrap()
    }
    let far = [DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC, at(0) + chrono::TimeDelta::nanoseconds(1)];
    for checkpoint in far.map(Checkpoint::at).into_iter().chain([full()]) {
        for (name, read) in [
            ("JSON", json(&checkpoint)),
            ("Value", tree(&checkpoint)),
            ("MessagePack, array", array(&checkpoint)),
            ("MessagePack, named", named(&checkpoint)),
            ("postcard", postcard(&checkpoint)),
            ("CBOR", cbor(&checkpoint)),
        ] {
            assert_eq!(read, checkpoint, "{name}");
        }
    }
}

/// A checkpoint as it was stored before there was a version.
const OLD: &str = r#"{"mark":"2026-01-05T09:00:20Z","settled":"2026-01-05T09:00:10Z","seen":[["2026-01-05T09:00:11Z","Y2lz"],["2026-01-05T09:00:12.345Z","bGl0"]],"malformed":{"{\"id\":7}":"2026-01-05T09:00:20Z"}}"#;

/// The type that was stored then.
#[derive(Serialize)]
struct Unversioned {
    mark: DateTime<Utc>,
    settled: DateTime<Utc>,
    seen: BTreeSet<(DateTime<Utc>, Box<str>)>,
    malformed: BTreeMap<Box<str>, DateTime<Utc>>,
}

#[test]
fn a_checkpoint_without_a_version_is_read() {
    let mut expected = Checkpoint::at(at(10));
    expected.note(at(11), "Y2lz".into());
    expected.note("2026-01-05T09:00:12.345Z".parse().unwrap(), "bGl0".into());
    expected.note_malformed(Fingerprint::of("{\"id\":7}"), at(20));
    expected.advance(at(20), at(10));
    assert_eq!(serde_json::from_str::<Checkpoint>(OLD).unwrap(), expected);
    let value: serde_json::Value = serde_json::from_str(OLD).unwrap();
    assert_eq!(serde_json::from_value::<Checkpoint>(value).unwrap(), expected);

    let old = Unversioned {
        mark: at(20),
        settled: at(10),
        seen: expected.seen().map(|(instant, id)| (instant, id.to_string().into())).collect(),
        malformed: BTreeMap::from([("{\"id\":7}".into(), at(20))]),
    };
    assert_eq!(serde_json::to_string(&old).unwrap(), OLD);
    let named = rmp_serde::to_vec_named(&old).unwrap();
    assert_eq!(rmp_serde::from_slice::<Checkpoint>(&named).unwrap(), expected);
    let mut bytes = Vec::new();
    ciborium::into_writer(&old, &mut bytes).unwrap();
    assert_eq!(ciborium::from_reader::<Checkpoint, _>(&*bytes).unwrap(), expected);
    // Without names it is refused, and never taken for another checkpoint.
    assert!(rmp_serde::from_slice::<Checkpoint>(&rmp_serde::to_vec(&old).unwrap()).is_err());
    assert!(postcard::from_bytes::<Checkpoint>(&postcard::to_stdvec(&old).unwrap()).is_err());
}

#[test]
fn what_is_cut_off_or_of_a_later_version_is_refused() {
    let checkpoint = full();
    let text = serde_json::to_string(&checkpoint).unwrap();
    for end in 0..text.len() {
        assert!(serde_json::from_str::<Checkpoint>(&text[..end]).is_err());
    }
    let bytes = postcard::to_stdvec(&checkpoint).unwrap();
    for end in 0..bytes.len() {
        assert!(postcard::from_bytes::<Checkpoint>(&bytes[..end]).is_err());
    }
    for (from, to) in [
        ("{", "{\"later\":1,"),
        ("\"version\":2", "\"version\":3"),
        ("\"version\":2,", ""),
        ("\"malformed\":[", "\"malformed\":[7,"),
    ] {
        let other = text.replacen(from, to, 1);
        assert!(other != text && serde_json::from_str::<Checkpoint>(&other).is_err(), "{to}");
    }
}

#[test]
fn a_stored_checkpoint_holds_hashes_of_malformed_items_and_no_text() {
    let stored = serde_json::to_string(&full()).unwrap();
    assert!(
        stored.contains(&Fingerprint::of("{\"id\":8}").to_string()) && !stored.contains("id\\\":8"),
        "{stored}"
    );
}
