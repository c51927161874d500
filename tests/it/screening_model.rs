//! A fitted model beside the score, and in its place: in shadow it is shown and does nothing, live it
//! is the score, and its version is withdrawn as a detector's is.

use crate::screening::{Town, members};
use crate::world;
use ringfence::commands::fit::{FitArgs, fit};
use ringfence::commands::network_files::NetworkArgs;
use ringfence::graph::model::named::{FITTED_MODEL, NamedModel};
use serde_json::json;
use std::path::{Path, PathBuf};

/// The model of the sample network, in a folder that goes away.
pub async fn fitted() -> (world::Folder, PathBuf) {
    let folder = world::Folder::new("model");
    let out = folder.0.join("model.json");
    let sample = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/graph").join(name);
    let network =
        NetworkArgs { links: sample("links.csv"), members: Some(sample("members.csv")), infrastructure: None };
    let args = FitArgs::of_files(network, sample("labels.csv"), out.clone());
    tokio::task::spawn_blocking(move || fit(&args).map_err(|error| error.to_string())).await.unwrap().unwrap();
    (folder, out)
}

#[tokio::test]
async fn a_model_in_shadow_is_shown_and_changes_nothing() {
    let (_folder, path) = fitted().await;
    let named = NamedModel::read("model.json", &std::fs::read_to_string(&path).unwrap()).unwrap();
    let stories = [vec![], vec![("RINGFENCE_SCREENING__MODEL", path.to_str().unwrap())]];
    let mut found = Vec::new();
    for extra in &stories {
        let town = Town::open(extra).await;
        town.ring("ring").await;
        town.screened().await;
        let queue = town.get("/v1/cases").await;
        let case = town.get(&format!("/v1/cases/{}", queue["cases"][0]["id"])).await;
        let risk = town.get("/v1/members/ring-5/risk").await;
        let honest = town.get("/v1/members/honest-60/risk").await;
        let detectors = town.get("/v1/screening/detectors").await;
        if extra.is_empty() {
            assert!(risk["model"].is_null() && detectors["model"].is_null(), "{detectors:#}");
        } else {
            let by_model = &risk["model"];
            assert_eq!((&by_model["name"], &by_model["state"]), (&json!("model.json"), &json!("shadow")));
            assert_eq!((&by_model["version"], &by_model["hash"]), (&json!(named.version), &json!(named.hash)));
            assert!(by_model["score"].as_u64() > honest["model"]["score"].as_u64(), "{by_model} {honest:#}");
            let beside = &detectors["model"]["beside"];
            let (both, alone) = (beside["both"].as_u64().unwrap(), beside["would_not_open"].as_u64().unwrap());
            assert_eq!(both + alone, 1, "the ring, with or without the model: {detectors:#}");
        }
        found.push((queue["cases"].as_array().unwrap().len(), members(&case), risk["score"].clone()));
        town.audited_and_rebuilt().await.stop().await;
    }
    assert_eq!(found[0].0, 1, "the ring and nobody else");
    assert_eq!(found[0], found[1], "what the model says in shadow opens and raises nothing");
}

#[tokio::test]
async fn a_live_model_is_the_score_and_is_withdrawn_as_a_detector_is() {
    let (_folder, path) = fitted().await;
    let named = NamedModel::read("model.json", &std::fs::read_to_string(&path).unwrap()).unwrap();
    let live = [
        ("RINGFENCE_SCREENING__MODEL", path.to_str().unwrap()),
        ("RINGFENCE_SCREENING__MODEL_STATE", "live"),
        ("RINGFENCE_SCREENING__CASE_SCORE_MIN", "300"),
    ];
    let town = Town::open(&live).await;
    town.ring("ring").await;
    town.screened().await;
    let risk = town.get("/v1/members/ring-5/risk").await;
    assert_eq!(risk["model"]["state"], "live");
    assert_eq!(risk["score"], risk["model"]["score"], "there is one score");
    // The score is the chance that the sum of its contributions stands for.
    let sum: f64 = risk["evidence"].as_array().unwrap().iter().map(|part| part["adds"].as_f64().unwrap()).sum();
    let score = risk["score"].as_f64().unwrap();
    assert!((named.score(sum).round() - score).abs() < 0.5, "{risk:#}");
    assert!(risk["evidence"].as_array().unwrap().iter().any(|part| part["family"] == "base rate"), "{risk:#}");
    let id = town.get("/v1/cases").await["cases"][0]["id"].as_u64().expect("the ring is a case");
    let case = town.get(&format!("/v1/cases/{id}")).await;
    assert_eq!(members(&case).len(), 12);
    let of_model = |case: &serde_json::Value| {
        let evidence = case["evidence"].as_array().unwrap().clone();
        evidence.into_iter().filter(|seen| seen["detector"] == FITTED_MODEL).collect::<Vec<_>>()
    };
    let seen = of_model(&case);
    assert!(seen.iter().all(|seen| seen["version"] == named.version), "its hash stands with what it saw: {case:#}");
    assert!(!seen.is_empty() && seen[0]["words"].as_str().unwrap().contains(&named.hash[..12]), "{case:#}");
    // Seen live between two passes the model's figures stay, and the detectors' are replaced.
    town.ring("later").await;
    let engine = town.service.engine();
    assert!(engine.screened_up_to(engine.journal_end()).await);
    let later = town.get("/v1/members/later-5/risk").await;
    assert_eq!(later["score"], later["model"]["score"]);
    // Its version is taken back as a detector's is: the score needs no labels again.
    let body = json!({"version": named.version, "reason": "fitted on another programme"});
    assert_eq!(town.post(&format!("/v1/detectors/{FITTED_MODEL}/withdraw"), body).await.0, 200);
    town.followed().await;
    town.screened().await;
    let risk = town.get("/v1/members/ring-5/risk").await;
    assert!(risk["model"].is_null(), "{risk:#}");
    assert_eq!(town.get("/v1/screening/detectors").await["model"]["state"], "withdrawn");
    assert!(of_model(&town.get(&format!("/v1/cases/{id}")).await).is_empty());
    town.audited_and_rebuilt().await.stop().await;
}

#[tokio::test]
async fn only_a_risk_desk_reads_how_detectors_do() {
    let town = Town::open(&[]).await;
    let refused = town.service.call_with("GET", "/v1/screening/detectors", "nobody", &[], "").await;
    assert_eq!(refused.status, 401);
    let view = town.get("/v1/screening/detectors").await;
    let names: Vec<&str> =
        view["detectors"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"shared-instrument") && names.contains(&"competitor-staff"), "{names:?}");
    town.service.stop().await;
}
