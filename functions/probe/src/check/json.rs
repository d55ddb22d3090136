//! What a JSON body has where a site expects something, found without building the document.
//!
//! A document of a few bytes a value takes a hundred times its size when it is built. So the bytes
//! are walked along each pointer, and the value at its end is compared as it is parsed.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;
use sitewatch::words::shortened;

/// Characters of a value that a message shows.
const MAX_SHOWN: usize = 100;

/// What is wrong with a body, of which the site expects these values at these pointers (RFC 6901);
/// `cut`: it is longer than what was read.
pub(super) fn problem(expected: &[(String, Value)], body: &[u8], cut: bool) -> Option<String> {
    if cut {
        return Some(format!(
            "the body is larger than {} bytes and was not read as JSON",
            body.len()
        ));
    }
    expected.iter().find_map(|(pointer, expected)| {
        let found = match find(body, pointer) {
            Ok(found) => found,
            Err(error) => return Some(format!("the body is not JSON: {error}")),
        };
        match found {
            Some(found) if is_same(found, expected) => None,
            Some(found) => Some(format!(
                "JSON {pointer:?} is {}, expected {}",
                shortened(found.get(), MAX_SHOWN),
                shortened(&expected.to_string(), MAX_SHOWN)
            )),
            None => Some(format!(
                "JSON {pointer:?} is missing, expected {}",
                shortened(&expected.to_string(), MAX_SHOWN)
            )),
        }
    })
}

/// The text of the value at a pointer. All of the body is read: what follows must be JSON as well.
fn find<'a>(body: &'a [u8], pointer: &str) -> serde_json::Result<Option<&'a RawValue>> {
    let tokens: Vec<String> = pointer
        .split('/')
        .skip(1)
        .map(|token| token.replace("~1", "/").replace("~0", "~"))
        .collect();
    let mut json = serde_json::Deserializer::from_slice(body);
    let found = At(&tokens).deserialize(&mut json)?;
    json.end()?;
    Ok(found)
}

/// Goes on with the rest of a pointer.
struct At<'t>(&'t [String]);

impl<'de> DeserializeSeed<'de> for At<'_> {
    type Value = Option<&'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        if self.0.is_empty() {
            return serde::Deserialize::deserialize(json).map(Some);
        }
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for At<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(is_it) = map.next_key_seed(Is(self.0.first()))? {
            if is_it {
                // Of a name that comes twice the last one counts, as in most parsers.
                found = map.next_value_seed(At(self.0.get(1..).unwrap_or_default()))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let wanted = self.0.first().and_then(|token| index(token));
        let mut found = None;
        for position in 0.. {
            if wanted == Some(position) {
                let rest = At(self.0.get(1..).unwrap_or_default());
                match seq.next_element_seed(rest)? {
                    Some(value) => found = value,
                    None => break,
                }
            } else if seq.next_element::<IgnoredAny>()?.is_none() {
                break;
            }
        }
        Ok(found)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

/// A position in a list; RFC 6901 allows no zeros before others.
fn index(token: &str) -> Option<usize> {
    let plain = token.bytes().all(|byte| byte.is_ascii_digit());
    let padded = token.len() > 1 && token.starts_with('0');
    (plain && !padded).then(|| token.parse().ok()).flatten()
}

/// Whether a name is this one.
struct Is<'t>(Option<&'t String>);

impl<'de> DeserializeSeed<'de> for Is<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<bool, D::Error> {
        json.deserialize_str(self)
    }
}

impl Visitor<'_> for Is<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<bool, E> {
        Ok(self.0.is_some_and(|wanted| wanted == name))
    }
}

/// Whether the text is of a value equal to the expected one, with 1 and 1.0 the same number at the
/// top. What is much longer than what is expected is not parsed: it is something else.
fn is_same(found: &RawValue, expected: &Value) -> bool {
    let text = found.get();
    let plausible = 64 + 16 * expected.to_string().len();
    if text.len() > plausible {
        return false;
    }
    let Ok(found) = serde_json::from_str::<Value>(text) else {
        return false;
    };
    match (found.as_f64(), expected.as_f64()) {
        (Some(found), Some(expected)) => found.total_cmp(&expected).is_eq(),
        _ => found == *expected,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn at(body: &str, pointer: &str) -> Option<String> {
        find(body.as_bytes(), pointer)
            .unwrap()
            .map(|found| found.get().to_owned())
    }

    #[test]
    fn pointers_lead_where_they_should() {
        let body =
            r#" {"a": [1, {"b/c": "x", "~": 2.0}], "": true, "a\u0062": null, "n": 1, "n": 2} "#;
        for (pointer, found) in [
            ("/a/0", Some("1")),
            ("/a/1/b~1c", Some(r#""x""#)),
            ("/a/1/~0", Some("2.0")),
            ("/", Some("true")),
            ("/ab", Some("null")),
            ("/n", Some("2")),
            ("/a/2", None),
            ("/a/01", None),
            ("/a/-", None),
            ("/a/0/x", None),
            ("/missing/x", None),
        ] {
            assert_eq!(at(body, pointer).as_deref(), found, "{pointer}");
        }
        assert_eq!(at("[1] ", "").as_deref(), Some("[1]"));
    }

    #[test]
    fn what_follows_must_be_json_too() {
        for body in [
            "",
            "<html>",
            r#"{"a": 1"#,
            r#"{"a": 1} x"#,
            r#"{"a": 1, "b": }"#,
        ] {
            assert!(find(body.as_bytes(), "/a").is_err(), "{body}");
            assert!(find(body.as_bytes(), "/x/y").is_err(), "{body}");
        }
    }

    #[test]
    fn numbers_are_equal_however_they_are_written() {
        let expected = [("/a".to_owned(), json!(1))];
        assert_eq!(problem(&expected, br#"{"a": 1.0}"#, false), None);
        let expected = [("/a".to_owned(), json!({"b": [1, "x"]}))];
        assert_eq!(
            problem(&expected, br#"{"a": { "b" : [ 1, "x" ] } }"#, false),
            None
        );
        assert!(problem(&expected, br#"{"a": {"b": [1, "y"]}}"#, false).is_some());
    }

    fn documents() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-2i64..3).prop_map(Value::from),
            "[ab~/]{0,2}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 16, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map("[ab01~/]{0,2}", inner, 0..3)
                    .prop_map(Value::from_iter),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_walk_finds_what_a_built_document_has(
            document in documents(),
            pointer in "(/[ab01]{0,2}|/~0|/~1){0,3}",
        ) {
            let found = at(&document.to_string(), &pointer);
            let built = document.pointer(&pointer).map(Value::to_string);
            prop_assert_eq!(found, built);
        }
    }
}
