//! A JSON list of sites, one at a time: the list as a whole is never held as JSON.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Unexpected, Visitor};
use serde_json::Value;

/// Calls `each` with every element of `[…]`, or of `{"sites": […]}`.
///
/// # Errors
/// Where the text is not JSON, or what it is instead of a list.
pub(super) fn each_element(text: &str, each: impl FnMut(Value)) -> Result<(), String> {
    let mut from = serde_json::Deserializer::from_str(text);
    Top(each)
        .deserialize(&mut from)
        .and_then(|()| from.end())
        .map_err(|error| {
            if error.is_data() {
                error.to_string()
            } else {
                format!("not JSON: {error}")
            }
        })
}

struct Top<F>(F);

impl<'de, F: FnMut(Value)> DeserializeSeed<'de> for Top<F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de, F: FnMut(Value)> Visitor<'de> for Top<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(r#"a list of sites: [{"url": "https://example.org"}, …]"#)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        while let Some(element) = list.next_element()? {
            (self.0)(element);
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some(key) = map.next_key::<String>()? else {
            return Err(A::Error::custom(r#"the field "sites" is missing"#));
        };
        if key != "sites" {
            return Err(A::Error::custom(format!(
                r#"unknown field {key:?}; wants a list of sites, or an object with the one field "sites""#
            )));
        }
        map.next_value_seed(List(self.0))?;
        match map.next_key::<String>()? {
            None => Ok(()),
            Some(key) => Err(A::Error::custom(format!(
                r#"unknown field {key:?} beside "sites""#
            ))),
        }
    }
}

struct List<F>(F);

impl<'de, F: FnMut(Value)> DeserializeSeed<'de> for List<F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de, F: FnMut(Value)> Visitor<'de> for List<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of sites")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<(), A::Error> {
        Top(self.0).visit_seq(list)
    }

    // As it comes, the error shows the text, which may be a URL with a login.
    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        Err(E::invalid_type(Unexpected::Other("text"), &self))
    }
}
