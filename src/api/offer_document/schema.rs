//! The JSON Schema of an offer, made from the documents of this folder and the table of
//! reward kinds, so that it cannot disagree with what is read.

use super::{OfferDocument, RewardKind};
use bytes::Bytes;
use serde_json::{Map, Value, json};
use std::sync::OnceLock;
use utoipa::{PartialSchema, ToSchema};

/// The schema as text.
#[must_use]
pub fn text() -> Bytes {
    static TEXT: OnceLock<Bytes> = OnceLock::new();
    TEXT.get_or_init(|| serde_json::to_vec_pretty(&offer()).expect("our documents have a JSON form").into()).clone()
}

/// The schema of an offer, draft 2020-12.
#[must_use]
pub fn offer() -> Value {
    let mut found = Vec::new();
    <OfferDocument as ToSchema>::schemas(&mut found);
    let mut named: Map<String, Value> = Map::new();
    for (name, schema) in found {
        named.entry(name).or_insert_with(|| strict(&json!(schema)));
    }
    if let Some(Value::Object(reward)) = named.get_mut("RewardDocument") {
        reward.insert("allOf".to_owned(), kinds());
    }
    let Value::Object(mut root) = strict(&json!(OfferDocument::schema())) else {
        unreachable!("an offer is an object");
    };
    root.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
    root.insert("$id".to_owned(), json!("urn:ringfence:schema:offer"));
    root.insert("title".to_owned(), json!("Offer"));
    root.insert("$defs".to_owned(), Value::Object(named));
    Value::Object(root)
}

/// A schema of the service's description as one by itself: references lead into `$defs`,
/// examples are lists, and no object takes a key that is not named.
fn strict(schema: &Value) -> Value {
    match schema {
        Value::Object(map) => {
            let mut strict = Map::new();
            for (key, value) in map {
                match (key.as_str(), value) {
                    ("$ref", Value::String(to)) => {
                        strict.insert(key.clone(), json!(to.replace("#/components/schemas/", "#/$defs/")));
                    }
                    ("example", value) => drop(strict.insert("examples".to_owned(), json!([value]))),
                    _ => drop(strict.insert(key.clone(), self::strict(value))),
                }
            }
            if map.get("properties").is_some_and(Value::is_object) && map.get("type").is_some() {
                strict.entry("additionalProperties").or_insert(json!(false));
            }
            Value::Object(strict)
        }
        Value::Array(list) => Value::Array(list.iter().map(strict).collect()),
        other => other.clone(),
    }
}

/// Which keys go with which kind of reward.
fn kinds() -> Value {
    let rule = |(_, kind, required, optional): &(RewardKind, &str, &[&str], &[&str])| {
        let keys: Vec<_> = ["kind"].iter().chain(*required).chain(*optional).collect();
        json!({
            "if": {"properties": {"kind": {"const": kind}}, "required": ["kind"]},
            "then": {"required": required, "propertyNames": {"enum": keys}},
        })
    };
    RewardKind::ALL.iter().map(rule).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn validator() -> jsonschema::Validator {
        jsonschema::draft202012::new(&offer()).unwrap()
    }

    #[test]
    fn it_is_a_schema_and_every_reference_leads_somewhere() {
        jsonschema::meta::validate(&offer()).unwrap();
        let text = String::from_utf8(text().to_vec()).unwrap();
        assert!(!text.contains("#/components"), "a reference leads out of the schema");
        validator();
    }

    #[test]
    fn it_takes_the_programmes() {
        let schema = validator();
        for (name, text) in crate::programmes::FILES {
            let file: Value = serde_json::from_str(text).unwrap();
            for (id, offer) in file["offers"].as_object().unwrap() {
                let faults: Vec<_> =
                    schema.iter_errors(offer).map(|e| format!("{} at {}", e, e.instance_path())).collect();
                assert!(faults.is_empty(), "{name}, {id}: {faults:?}");
            }
        }
    }

    #[test]
    fn it_refuses_what_is_refused() {
        let schema = validator();
        let offer = |key: &str, value: Value| {
            let mut offer = json!({"merchant": "m", "title": "T", "currency": "USD",
                                   "reward": {"kind": "percent", "basis_points": 500}});
            offer[key] = value;
            offer
        };
        assert!(schema.is_valid(&offer("when", json!({"any": [{"tier": "gold"}, {"not": {"referred": true}}]}))));
        for (key, value) in [
            ("colour", json!(1)),
            ("title", json!(1)),
            ("reward", json!({"kind": "percent"})),
            ("reward", json!({"kind": "percent", "basis_points": 500, "points": 1})),
            ("reward", json!({"kind": "tiers", "steps": []})),
            ("reward", json!({"kind": "free"})),
            ("when", json!({"all": [{"colour": 1}]})),
            ("when", json!({"all": [{"any": [{"spend": {"at_least": 1}}]}]})),
            ("when", json!({"tier": "gold", "referred": true})),
            ("when", json!({"streak": {"at_least": 3}})),
            ("when", json!({"purchases": {"of": [{"tier": "gold"}], "exactly": 1}})),
            ("when", json!({"purchases": {"within": {"weeks": 1}, "exactly": 1}})),
            ("trigger", json!({"signal": "x", "points": {"unit": "beans", "points": 1}})),
            ("funding", json!("members")),
            ("limits", json!({"per_member": {"count": 0, "every": "day"}})),
        ] {
            assert!(!schema.is_valid(&offer(key, value.clone())), "{key} {value} is taken");
        }
    }
}
