//! Reads a JSON value as a type and, where it does not fit, says at which path and why.
//!
//! Serde's own messages quote the value that does not fit; a request may hold a token or a person's text there, and a
//! configuration a secret. So misfits are kept apart by kind here, with the path, and the value itself never shows.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::{BorrowedStrDeserializer, MapAccessDeserializer, StrDeserializer};
use serde::de::{
    DeserializeSeed, Deserializer, Error as _, Expected, IntoDeserializer, MapAccess, SeqAccess, Unexpected,
    Visitor,
};
use serde_json::{Map, Value};

/// Why a value is not of the type that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// Where, as `to.users[3]`; empty for the whole value.
    pub path: String,
    /// Why.
    pub fault: Fault,
}

/// What is wrong at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// There is no such field; these are known here.
    Unknown(&'static [&'static str]),
    /// It has to be there.
    Missing,
    /// It is of another kind than expected.
    Type {
        /// What fits, with its article.
        expected: String,
        /// What is there, with its article.
        found: &'static str,
    },
    /// It is of the right kind and still refused: why, as a sentence or the end of one.
    Value(String),
}

/// Reads a value as a `T`.
pub fn read<'a, T: Deserialize<'a>>(value: &'a Value) -> Result<T, Misfit> {
    T::deserialize(At(value))
}

impl Misfit {
    /// A value that is refused at `path`, and why.
    pub fn value(path: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { path: path.into(), fault: Fault::Value(problem.into()) }
    }

    fn here(fault: Fault) -> Self {
        Self { path: String::new(), fault }
    }

    fn within_field(mut self, field: &str) -> Self {
        let joint = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("{field}{joint}{}", self.path);
        self
    }

    fn within_item(mut self, index: usize) -> Self {
        let joint = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("[{index}]{joint}{}", self.path);
        self
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() { "the value" } else { &self.path };
        match &self.fault {
            Fault::Unknown([]) => write!(f, "{path} is not known; no field is known here"),
            Fault::Unknown(known) => write!(f, "{path} is not known; known here: {}", known.join(", ")),
            Fault::Missing => write!(f, "{path} is missing"),
            Fault::Type { expected, found } => write!(f, "{path} must be {expected}, not {found}"),
            Fault::Value(problem) => match after_own_name(path, problem) {
                Some(rest) => write!(f, "{path}{rest}"),
                None => write!(f, "{path}: {problem}"),
            },
        }
    }
}

/// What follows the thing's own word in a problem, where that is also the end of the path: `user is empty` at `to.user`
/// reads better as `to.user is empty`.
fn after_own_name<'a>(path: &str, problem: &'a str) -> Option<&'a str> {
    let name = path.rsplit('.').next()?;
    let name = name.split_once('[').map_or(name, |(list, _)| list.trim_end_matches('s'));
    problem.strip_prefix(name).filter(|rest| !name.is_empty() && rest.starts_with(' '))
}

impl std::error::Error for Misfit {}

impl serde::de::Error for Misfit {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::here(Fault::Value(message.to_string()))
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let expected = expected_in_words(expected);
        let found = match found {
            Unexpected::Float(_) if expected.starts_with(WHOLE) => "one with a fraction or beyond 64 bits",
            found => kind_in_words(found),
        };
        Self::here(Fault::Type { expected, found })
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::custom(format_args!("must be {}", expected_in_words(expected)))
    }

    fn invalid_length(_: usize, expected: &dyn Expected) -> Self {
        Self::custom(format_args!("must be {}", expected_in_words(expected)))
    }

    fn unknown_variant(_: &str, known: &'static [&'static str]) -> Self {
        Self::custom(format_args!("must be one of {}", known.join(", ")))
    }

    fn unknown_field(field: &str, known: &'static [&'static str]) -> Self {
        Self::here(Fault::Unknown(known)).within_field(field)
    }

    fn missing_field(field: &'static str) -> Self {
        Self::here(Fault::Missing).within_field(field)
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::custom("is there twice").within_field(field)
    }
}

fn kind_in_words(found: Unexpected<'_>) -> &'static str {
    match found {
        Unexpected::Bool(_) => "a boolean",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) | Unexpected::Float(_) => "a number",
        Unexpected::Str(_) | Unexpected::Char(_) | Unexpected::Bytes(_) => "a string",
        Unexpected::Unit | Unexpected::Option => "null",
        Unexpected::Seq => "an array",
        Unexpected::Map => "an object",
        _ => "something else",
    }
}

/// How every whole number begins in words.
const WHOLE: &str = "a whole number";

/// Serde names Rust's types; callers know JSON's.
fn expected_in_words(expected: &dyn Expected) -> String {
    let words = expected.to_string();
    match words.as_str() {
        "u16" => "a whole number from 0 to 65535".to_owned(),
        "u32" | "u64" | "usize" => "a whole number that is not negative".to_owned(),
        "i32" | "i64" => "a whole number".to_owned(),
        "a sequence" => "an array".to_owned(),
        "a map" => "an object".to_owned(),
        text if text.starts_with("struct ") => "an object".to_owned(),
        text if text.starts_with("enum ") => "a string".to_owned(),
        _ => words,
    }
}

/// A `T` that stands in an object. Serde would take an array for a struct as well, field by field in their order,
/// which no caller means.
#[derive(Debug)]
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<Object<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(fields)).map(Object)
    }
}

/// A whole number, also where it is written as `30.0`: some languages know no other numbers, and JSON Schema takes it for
/// an integer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Whole(pub u64);

/// Beyond this, not every whole number can be written as a float any more.
const EXACT_FLOAT_MAX: f64 = 9_007_199_254_740_992.0;

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_u64(WholeVisitor)
    }
}

struct WholeVisitor;

impl Visitor<'_> for WholeVisitor {
    type Value = Whole;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(WHOLE)?;
        f.write_str(" that is not negative")
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Whole, E> {
        Ok(Whole(number))
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Whole, E> {
        let whole = u64::try_from(number).map_err(|_| E::invalid_value(Unexpected::Signed(number), &self))?;
        Ok(Whole(whole))
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Whole, E> {
        if number < 0.0 {
            return Err(E::invalid_value(Unexpected::Float(number), &self));
        }
        if number.fract() == 0.0 && number <= EXACT_FLOAT_MAX {
            // Exact, by the two conditions.
            return Ok(Whole(number as u64));
        }
        Err(E::invalid_type(Unexpected::Float(number), &self))
    }
}

/// A value to be read.
struct At<'a>(&'a Value);

impl<'a> At<'a> {
    fn found(&self) -> Unexpected<'a> {
        match self.0 {
            Value::Null => Unexpected::Unit,
            Value::Bool(value) => Unexpected::Bool(*value),
            Value::Number(_) => Unexpected::Unsigned(0),
            Value::String(text) => Unexpected::Str(text),
            Value::Array(_) => Unexpected::Seq,
            Value::Object(_) => Unexpected::Map,
        }
    }
}

impl<'a> Deserializer<'a> for At<'a> {
    type Error = Misfit;

    fn deserialize_any<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Number(number) => match (number.as_u64(), number.as_i64()) {
                (Some(value), _) => visitor.visit_u64(value),
                (None, Some(value)) => visitor.visit_i64(value),
                (None, None) => visitor.visit_f64(number.as_f64().unwrap_or(f64::NAN)),
            },
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Array(items) => visitor.visit_seq(Items { items: items.iter(), index: 0 }),
            Value::Object(fields) => visitor.visit_map(Fields { fields: fields.iter(), current: None }),
        }
    }

    fn deserialize_option<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.0 {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_struct<V: Visitor<'a>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        match self.0 {
            Value::Object(_) => self.deserialize_any(visitor),
            _ => Err(Misfit::invalid_type(self.found(), &"an object")),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'a>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'a>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        match self.0 {
            Value::String(text) => {
                let text: StrDeserializer<'_, Misfit> = text.as_str().into_deserializer();
                visitor.visit_enum(text)
            }
            _ => Err(Misfit::invalid_type(self.found(), &"a string")),
        }
    }

    serde::forward_to_deserialize_any! {
        <W: Visitor<'a>>
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq
        tuple tuple_struct map identifier ignored_any
    }
}

struct Items<'a> {
    items: std::slice::Iter<'a, Value>,
    index: usize,
}

impl<'a> SeqAccess<'a> for Items<'a> {
    type Error = Misfit;

    fn next_element_seed<S: DeserializeSeed<'a>>(&mut self, seed: S) -> Result<Option<S::Value>, Misfit> {
        let Some(item) = self.items.next() else { return Ok(None) };
        let index = self.index;
        self.index += 1;
        seed.deserialize(At(item)).map(Some).map_err(|misfit| misfit.within_item(index))
    }
}

struct Fields<'a> {
    fields: <&'a Map<String, Value> as IntoIterator>::IntoIter,
    current: Option<(&'a str, &'a Value)>,
}

impl<'a> MapAccess<'a> for Fields<'a> {
    type Error = Misfit;

    fn next_key_seed<S: DeserializeSeed<'a>>(&mut self, seed: S) -> Result<Option<S::Value>, Misfit> {
        let Some((name, value)) = self.fields.next() else { return Ok(None) };
        self.current = Some((name, value));
        match seed.deserialize(BorrowedStrDeserializer::<Misfit>::new(name)) {
            Ok(key) => Ok(Some(key)),
            // An unknown field names itself; a key of a map that is refused does not.
            Err(misfit) if misfit.path.is_empty() => Err(self.in_current(misfit)),
            Err(misfit) => Err(misfit),
        }
    }

    fn next_value_seed<S: DeserializeSeed<'a>>(&mut self, seed: S) -> Result<S::Value, Misfit> {
        let value = self.current.map_or(&Value::Null, |(_, value)| value);
        seed.deserialize(At(value)).map_err(|misfit| self.in_current(misfit))
    }
}

impl Fields<'_> {
    fn in_current(&self, misfit: Misfit) -> Misfit {
        match self.current {
            Some((name, _)) => misfit.within_field(name),
            None => misfit,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its shape matters")]
    struct Outer {
        name: String,
        port: Option<u16>,
        #[serde(default)]
        data: BTreeMap<String, String>,
        #[serde(default)]
        inner: Vec<Inner>,
        mode: Option<Mode>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its shape matters")]
    struct Inner {
        on: bool,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Mode {
        Slow,
        Fast,
    }

    #[track_caller]
    fn check(value: Value, expect: &str) {
        assert_eq!(read::<Outer>(&value).unwrap_err().to_string(), expect);
    }

    #[test]
    fn what_fits_is_read() {
        let value =
            json!({"name": "a", "port": 1, "data": {"k": "v"}, "inner": [{"on": true}], "mode": "fast"});
        read::<Outer>(&value).unwrap();
        read::<Outer>(&json!({"name": "a", "port": null, "mode": "slow"})).unwrap();
    }

    #[test]
    fn an_array_is_no_object_for_any_deserializer() {
        serde_json::from_str::<Inner>("[true]").expect("what serde does by itself");
        assert!(serde_json::from_str::<Object<Inner>>("[true]").is_err());
        assert!(serde_json::from_str::<Object<Inner>>("{\"on\":true}").is_ok());
        assert_eq!(
            read::<Object<Inner>>(&json!([true])).unwrap_err().to_string(),
            "the value must be an object, not an array"
        );
    }

    #[test]
    fn whole_numbers_may_be_written_with_a_point() {
        for (text, number) in
            [("0", 0), ("30", 30), ("30.0", 30), ("3e1", 30), ("-0.0", 0), ("9007199254740992.0", 1 << 53)]
        {
            assert_eq!(serde_json::from_str::<Whole>(text).unwrap(), Whole(number), "{text}");
            let value: Value = serde_json::from_str(text).unwrap();
            assert_eq!(read::<Whole>(&value), Ok(Whole(number)), "{text}");
        }
        for (text, problem) in [
            ("-1", "the value: must be a whole number that is not negative"),
            ("-1.0", "the value: must be a whole number that is not negative"),
            (
                "1.5",
                "the value must be a whole number that is not negative, not one with a fraction or beyond 64 bits",
            ),
            (
                "1e300",
                "the value must be a whole number that is not negative, not one with a fraction or beyond 64 bits",
            ),
            ("\"1\"", "the value must be a whole number that is not negative, not a string"),
        ] {
            let value: Value = serde_json::from_str(text).unwrap();
            assert_eq!(read::<Whole>(&value).unwrap_err().to_string(), problem, "{text}");
            assert!(serde_json::from_str::<Whole>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn no_misfit_says_a_name_twice() {
        let shown = |path: &str, problem: &str| Misfit::value(path, problem).to_string();
        assert_eq!(shown("to.user", "user is empty"), "to.user is empty");
        assert_eq!(shown("to.users[1]", "user is empty"), "to.users[1] is empty");
        assert_eq!(shown("lane", "must be one of a, b"), "lane: must be one of a, b");
    }

    #[test]
    fn misfits_name_their_path_and_never_the_value() {
        check(json!({}), "name is missing");
        check(json!("secret"), "the value must be an object, not a string");
        check(json!({"name": 5}), "name must be a string, not a number");
        check(
            json!({"name": "a", "nmae": 1}),
            "nmae is not known; known here: name, port, data, inner, mode",
        );
        check(json!({"name": "a", "port": 70000}), "port: must be a whole number from 0 to 65535");
        check(
            json!({"name": "a", "port": 1.5}),
            "port must be a whole number from 0 to 65535, not one with a fraction or beyond 64 bits",
        );
        check(json!({"name": 1.5}), "name must be a string, not a number");
        check(json!({"name": "a", "port": -1}), "port: must be a whole number from 0 to 65535");
        check(
            json!({"name": "a", "port": "secret"}),
            "port must be a whole number from 0 to 65535, not a string",
        );
        check(json!({"name": "a", "data": {"level": 3}}), "data.level must be a string, not a number");
        check(json!({"name": "a", "data": []}), "data must be an object, not an array");
        check(
            json!({"name": "a", "inner": [{"on": true}, {"on": null}]}),
            "inner[1].on must be a boolean, not null",
        );
        check(json!({"name": "a", "inner": [{"of": true}]}), "inner[0].of is not known; known here: on");
        check(json!({"name": "a", "inner": [{}]}), "inner[0].on is missing");
        check(json!({"name": "a", "inner": [[true]]}), "inner[0] must be an object, not an array");
        check(json!(["a"]), "the value must be an object, not an array");
        check(json!({"name": "a", "mode": "secret"}), "mode: must be one of slow, fast");
        check(json!({"name": "a", "mode": 1}), "mode must be a string, not a number");
    }
}
