//! Lists and objects of a body that end with an error at the one too many, before the rest of them is read.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// A list of at most `MOST`.
///
/// # Errors
/// Those of its items, and when it is longer.
pub fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>, const MOST: usize>(from: D) -> Result<Vec<T>, D::Error> {
    from.deserialize_seq(List::<T, MOST>(PhantomData))
}

/// An object of at most `MOST` fields.
///
/// # Errors
/// Those of its fields, and when there are more.
pub fn map<'de, D: Deserializer<'de>, T: Deserialize<'de>, const MOST: usize>(
    from: D,
) -> Result<BTreeMap<String, T>, D::Error> {
    from.deserialize_map(Map::<T, MOST>(PhantomData))
}

/// Reads the items of a list, at most `most`.
///
/// # Errors
/// As [`list`].
pub fn items<'de, A: SeqAccess<'de>, T: Deserialize<'de>>(mut from: A, most: usize) -> Result<Vec<T>, A::Error> {
    let mut items = Vec::new();
    while let Some(item) = from.next_element()? {
        if items.len() == most {
            return Err(too_many(most));
        }
        items.push(item);
    }
    Ok(items)
}

/// Reads the fields of an object, at most `most`; of several of one name the last one holds.
///
/// # Errors
/// As [`map`].
pub fn fields<'de, A: MapAccess<'de>, T: Deserialize<'de>>(
    mut from: A,
    most: usize,
) -> Result<BTreeMap<String, T>, A::Error> {
    let (mut fields, mut read) = (BTreeMap::new(), 0);
    while let Some((name, value)) = from.next_entry()? {
        if read == most {
            return Err(too_many(most));
        }
        read += 1;
        fields.insert(name, value);
    }
    Ok(fields)
}

fn too_many<E: Error>(most: usize) -> E {
    E::custom(format!("there are more than {most}, which is the limit"))
}

struct List<T, const MOST: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for List<T, MOST> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, from: A) -> Result<Self::Value, A::Error> {
        items(from, MOST)
    }
}

struct Map<T, const MOST: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for Map<T, MOST> {
    type Value = BTreeMap<String, T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, from: A) -> Result<Self::Value, A::Error> {
        fields(from, MOST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Both {
        #[serde(default, deserialize_with = "list::<_, _, 2>")]
        list: Vec<u8>,
        #[serde(default, deserialize_with = "map::<_, _, 2>")]
        map: BTreeMap<String, u8>,
    }

    #[test]
    fn the_one_too_many_ends_the_reading() {
        let both: Both = serde_json::from_str(r#"{"list": [1, 2], "map": {"a": 1, "a": 2}}"#).unwrap();
        assert_eq!((both.list, both.map), (vec![1, 2], BTreeMap::from([("a".to_owned(), 2)])));
        // What comes after it is not even looked at.
        for long in [r#"{"list": [1, 2, 3, ?"#, r#"{"map": {"a": 1, "b": 2, "a": 3, ?"#] {
            let e = serde_json::from_str::<Both>(long).unwrap_err();
            assert!(e.to_string().starts_with("there are more than 2, which is the limit"), "{e}");
        }
    }
}
