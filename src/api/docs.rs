//! This interface described by itself: `/openapi.json`, made from the documents and doors
//! of this folder so that they cannot disagree, and pages to read and try it, which come
//! with the program and load nothing from elsewhere.

use super::reply::{self, CODES, Reply};
use super::{
    again, backtests, books, cards, cases, detectors, health, ingest, members, merchants, money, offers, operations,
    prospects, purchases, risk, rules, shelf, signals, webhooks,
};
use bytes::Bytes;
use hyper::StatusCode;
use std::borrow::Cow;
use std::sync::{Arc, OnceLock};
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Schema, SchemaType, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder};
use utoipa::{Modify, OpenApi};

/// The doors.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Ringfence",
        description = "Card-linked offers: signed card webhooks in, cashback out, in books that balance. Money is in whole \
                       minor units of an ISO 4217 currency, time is RFC 3339. `PUT` creates or replaces under your own id. \
                       Unknown keys are refused with their path."
    ),
    paths(
        webhooks::receive,
        merchants::put,
        merchants::get,
        again::merchant,
        again::card,
        again::suggestions,
        again::jobs,
        offers::put,
        offers::get,
        offers::list,
        offers::step,
        offers::schema,
        members::put,
        members::get,
        members::delete,
        members::opt_in,
        members::opt_out,
        prospects::get,
        signals::post,
        cards::put,
        cards::delete,
        money::balance,
        money::statement,
        money::redeem,
        purchases::get,
        shelf::list,
        shelf::replay,
        ingest::post,
        health::get,
        health::put_control,
        books::trial_balance,
        books::transfers,
        cases::list,
        cases::get,
        cases::review,
        cases::undo,
        cases::object,
        cases::report,
        cases::withdraw,
        rules::put,
        rules::get,
        rules::list,
        rules::state,
        detectors::list,
        backtests::begin,
        backtests::list,
        backtests::get,
        risk::get,
        operations::alive,
        operations::ready,
        operations::metrics,
        openapi,
        redirect
    ),
    modifiers(&Common)
)]
struct Described;

/// What holds for every operation: keys, and how a refusal looks.
struct Common;

impl Modify for Common {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let components = openapi.components.get_or_insert_default();
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("An API key, `rf_…`; an operator makes one with `ringfence keys create`"))
            .build();
        components.add_security_scheme("key", SecurityScheme::Http(bearer));
        components.schemas.insert("Problem".to_owned(), RefOr::T(problem()));
        for (path, item) in &mut openapi.paths.paths {
            let open = path.starts_with("/v1/webhooks/") || path.starts_with("/v1/schemas/");
            let keyed = path.starts_with("/v1/") && !open;
            for operation in operations(item) {
                if keyed {
                    operation.security = Some(vec![SecurityRequirement::new("key", Vec::<String>::new())]);
                }
                if path.starts_with("/v1/") {
                    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
                    let refused = ResponseBuilder::new()
                        .description("Refused: `code` says why, `field` where")
                        .content("application/problem+json", content);
                    operation.responses.responses.insert("default".to_owned(), RefOr::T(refused.build()));
                }
            }
        }
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.put, &mut item.post, &mut item.delete].into_iter().filter_map(Option::as_mut)
}

/// RFC 9457 with our code.
fn problem() -> Schema {
    let text = |description: &str| {
        ObjectBuilder::new().schema_type(SchemaType::new(Type::String)).description(Some(description))
    };
    let number = |description: &str| {
        ObjectBuilder::new().schema_type(SchemaType::new(Type::Integer)).description(Some(description))
    };
    let entry = ObjectBuilder::new()
        .property("code", text("As the problem's").enum_values(Some(CODES)))
        .property("field", text("Where"))
        .property("detail", text("What is wrong and what would be right"))
        .required("code")
        .required("detail");
    let errors = ArrayBuilder::new()
        .description(Some("All that is wrong, when it is more than one thing; the problem itself is the first"))
        .items(RefOr::T(Schema::from(entry.build())));
    ObjectBuilder::new()
        .description(Some("A refusal (RFC 9457)"))
        .property("type", text("`urn:ringfence:problem:` and the code"))
        .property("title", text("The same for every problem of this code"))
        .property("status", number("The HTTP status"))
        .property("code", text("Which problem; never changes its meaning").enum_values(Some(CODES)))
        .property("detail", text("This case, for a person: what is wrong and what would be right"))
        .property("field", text("Where in the body, path or headers"))
        .property("errors", errors.build())
        .property("request_id", text("The request's name, also in the header `x-request-id` and in logs"))
        .required("type")
        .required("title")
        .required("status")
        .required("code")
        .build()
        .into()
}

/// This interface, for machines.
#[utoipa::path(
    get, path = "/openapi.json", operation_id = "get_openapi", tag = "Operations",
    responses((status = 200, description = "OpenAPI 3.1", content_type = "application/json")),
)]
pub(super) fn openapi() -> Reply {
    static TEXT: OnceLock<Bytes> = OnceLock::new();
    let make = || serde_json::to_vec(&Described::openapi()).expect("our documents have a JSON form").into();
    Reply::json_text(StatusCode::OK, TEXT.get_or_init(make).clone())
}

/// This interface, for people.
#[utoipa::path(
    get, path = "/docs", operation_id = "get_docs", tag = "Operations",
    responses((status = 308, description = "The pages are at /docs/")),
)]
pub(super) fn redirect() -> Reply {
    Reply::Elsewhere("/docs/")
}

/// One file of the pages.
pub(super) fn file(name: &str) -> Result<Reply, Reply> {
    let config = Arc::new(utoipa_swagger_ui::Config::from("/openapi.json"));
    let found = utoipa_swagger_ui::serve(name, config).ok().flatten().ok_or_else(reply::no_route)?;
    let body = match found.bytes {
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => bytes.into(),
    };
    Ok(Reply::Text { content_type: found.content_type.into(), body })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::routes::Route;
    use serde_json::Value;
    use std::collections::BTreeSet;

    fn described() -> Value {
        serde_json::to_value(Described::openapi()).unwrap()
    }

    #[test]
    fn routes_and_description_agree() {
        let listed = Route::ALL.iter().filter(|(path, ..)| !path.starts_with("/docs/"));
        let mut routed: BTreeSet<(String, String)> = listed
            .flat_map(|(path, _, methods)| methods.split(", ").map(|m| (path.to_string(), m.to_owned())))
            .collect();
        routed.insert(("/v1/webhooks/{source}".to_owned(), "POST".to_owned()));
        let openapi = described();
        assert_eq!(openapi["openapi"], "3.1.0");
        let mut told = BTreeSet::new();
        for (path, item) in openapi["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                told.insert((path.clone(), method.to_uppercase()));
                let named: BTreeSet<String> =
                    path.split('{').skip(1).map(|p| p.split('}').next().unwrap().to_owned()).collect();
                let parameters = operation["parameters"].as_array().into_iter().flatten();
                let given = parameters.filter(|p| p["in"] == "path").map(|p| p["name"].as_str().unwrap().to_owned());
                assert_eq!(named, given.collect(), "{method} {path}");
                assert_eq!(
                    operation["security"].is_array(),
                    path.starts_with("/v1/") && !path.contains("webhooks") && !path.contains("schemas"),
                    "{path}"
                );
            }
        }
        assert_eq!(told, routed);
    }

    #[test]
    fn every_reference_leads_somewhere() {
        fn follow(root: &Value, value: &Value) {
            match value {
                Value::Object(map) => {
                    if let Some(Value::String(to)) = map.get("$ref") {
                        let pointer = to.strip_prefix('#').unwrap();
                        assert!(root.pointer(pointer).is_some(), "{to} leads nowhere");
                    }
                    map.values().for_each(|value| follow(root, value));
                }
                Value::Array(list) => list.iter().for_each(|value| follow(root, value)),
                _ => {}
            }
        }
        let openapi = described();
        follow(&openapi, &openapi);
    }

    #[test]
    fn every_code_is_listed() {
        let mut used = BTreeSet::new();
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        for folder in ["api", "api/offer_document", "wire", "normalise"] {
            for entry in std::fs::read_dir(root.join(folder)).unwrap() {
                let path = entry.unwrap().path();
                if path.extension().is_none_or(|e| e != "rs") || path.to_string_lossy().contains("tests") {
                    continue;
                }
                let text = std::fs::read_to_string(&path).unwrap();
                let text = text.split("#[cfg(test)]").next().unwrap();
                for call in [
                    "Fault::new(",
                    "Self::new(",
                    "Unreadable::new(",
                    "impossible(",
                    "unreadable(",
                    "conflict(",
                    "problem(",
                    "Problem::new(",
                ] {
                    for (at, _) in text.match_indices(call) {
                        let mut given = text[at + call.len()..].trim_start();
                        if let Some(rest) = given.strip_prefix("StatusCode::") {
                            given = rest.split_once(',').unwrap().1.trim_start();
                        }
                        if let Some(code) = given.strip_prefix('"').and_then(|rest| rest.split('"').next()) {
                            used.insert(code.to_owned());
                        }
                    }
                }
            }
        }
        let listed: BTreeSet<String> = CODES.iter().map(ToString::to_string).collect();
        let missing: Vec<_> = used.difference(&listed).collect();
        assert!(missing.is_empty(), "not listed in reply::CODES: {missing:?}");
        assert!(CODES.is_sorted());
    }

    #[test]
    fn pages_are_ours() {
        for name in ["", "index.html", "swagger-initializer.js", "swagger-ui-bundle.js", "swagger-ui.css"] {
            let Ok(Reply::Text { body, .. }) = file(name) else { panic!("{name} is not there") };
            assert!(!body.is_empty());
            if !name.ends_with(".js") || name.contains("initializer") {
                assert!(!String::from_utf8_lossy(&body).contains("src=\"http"), "{name} loads from elsewhere");
            }
        }
        assert!(file("../Cargo.toml").is_err());
    }
}
