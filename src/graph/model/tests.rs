//! Tables keep their sign, calibration never falls, a model survives being written, folds keep
//! communities whole.

use super::boost::{Care, Example, fit};
use super::fit::{FOLDS, Labelled, community_folds};
use super::isotonic::Calibration;
use super::{Fitted, FittedOn, Model};
use crate::graph::features::{Feature, Sign, Table};
use crate::graph::measure::{Judged, figures, intervals};
use proptest::prelude::*;

static UP: Feature = Feature { name: "up", sign: Sign::More, family: "one", words: "rises" };
static DOWN: Feature = Feature { name: "down", sign: Sign::Less, family: "two", words: "falls" };

/// Bad ones are high in one feature and low in the other; one in ten is missing.
fn fitted() -> (Table, Vec<Example>, Model) {
    let mut table = Table::default();
    let missing = |row: usize| row % 10 == 3;
    let value = |row: usize| if missing(row) { f64::NAN } else { ((row * 37) % 400) as f64 };
    table.push(&UP, (0..400).map(value).collect());
    table.push(&DOWN, (0..400).map(|row| -value(row) + ((row * 13) % 50) as f64).collect());
    let examples: Vec<Example> =
        (0..400).map(|row| Example { row, bad: (row * 37) % 400 > 250, weight: 1.0 }).collect();
    let additive = fit(&table, &examples, &Care::default());
    let pairs: Vec<(f64, bool)> = additive.scores(&table).into_iter().zip(examples.iter().map(|one| one.bad)).collect();
    let on = FittedOn { members: 400, bad: 149, reviewed: 0, communities: 9, folds: FOLDS, seed: 1, held_out: None };
    let model = Model { fitted: Fitted { additive, calibration: Calibration::fit(&pairs) }, on };
    (table, examples, model)
}

#[test]
fn tables_point_their_features_way_and_tell_bad_from_good() {
    let (table, examples, model) = fitted();
    for steps in &model.fitted.additive.tables {
        let known = &steps.steps[1..];
        let kept = match steps.feature.sign {
            Sign::More => known.windows(2).all(|pair| pair[0] <= pair[1] + 1e-12),
            Sign::Less => known.windows(2).all(|pair| pair[0] >= pair[1] - 1e-12),
            Sign::Free => true,
        };
        assert!(kept, "{steps:?}");
    }
    let scores = model.fitted.additive.scores(&table);
    let judged: Vec<Judged> =
        examples.iter().map(|one| Judged { score: scores[one.row], bad: one.bad, community: 0 }).collect();
    assert!(figures(&judged).unwrap().auroc > 0.9);
}

#[test]
fn a_model_is_read_as_it_was_written() {
    let (_, _, model) = fitted();
    let read = Model::read(&model.write(), &[&UP, &DOWN]).unwrap();
    assert_eq!(read.on, model.on);
    // The last digit of a number may be lost on the way.
    let close = |a: &[f64], b: &[f64]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-9);
    let (ours, theirs) = (&model.fitted, &read.fitted);
    assert!(close(&[ours.additive.intercept], &[theirs.additive.intercept]));
    assert!(close(&ours.calibration.scores, &theirs.calibration.scores));
    assert!(close(&ours.calibration.chances, &theirs.calibration.chances));
    for (ours, theirs) in ours.additive.tables.iter().zip(&theirs.additive.tables) {
        assert_eq!(ours.feature, theirs.feature);
        assert!(close(&ours.edges, &theirs.edges) && close(&ours.steps, &theirs.steps));
    }
}

#[test]
fn a_document_that_is_no_model_of_ours_is_refused_by_name() {
    let (_, _, model) = fitted();
    let text = model.write();
    let said = |text: &str, features: &[&'static Feature]| Model::read(text, features).unwrap_err().to_string();
    assert!(said("{}", &[]).contains("ringfence fit"));
    assert!(said(&text, &[&UP]).contains("`down`"));
    assert!(said(&text.replacen("\"version\": 1", "\"version\": 9", 1), &[&UP, &DOWN]).contains('9'));
    let mut document: serde_json::Value = serde_json::from_str(&text).unwrap();
    document["features"][0]["steps"] = serde_json::json!([0.0]);
    assert!(said(&document.to_string(), &[&UP, &DOWN]).contains("`up`"));
    let mut document: serde_json::Value = serde_json::from_str(&text).unwrap();
    document["calibration"]["chances"] = serde_json::json!([1.0]);
    assert!(said(&document.to_string(), &[&UP, &DOWN]).contains("calibration"));
}

#[test]
fn a_label_weighs_by_the_chance_of_having_been_chosen() {
    for (bad, reviewed, one_in, weight) in [
        (true, false, 1, 1.0),
        (true, true, 1, 1.0),
        (false, false, 1, 1.0),
        (false, true, 1, 2.0),
        (false, true, 7, 7.0),
        (true, true, 7, 7.0),
        (true, true, 4_000, 20.0),
    ] {
        assert_eq!(Labelled { row: 0, bad, reviewed, one_in }.weight(), weight, "{bad} {reviewed} {one_in}");
    }
}

#[test]
fn figures_are_those_counted_by_hand() {
    let of = |scores: &[(f64, bool)]| {
        let judged: Vec<Judged> = scores.iter().map(|&(score, bad)| Judged { score, bad, community: 0 }).collect();
        figures(&judged)
    };
    assert_eq!(of(&[(1.0, true)]), None);
    let perfect = of(&[(3.0, true), (2.0, true), (1.0, false)]).unwrap();
    assert_eq!((perfect.auroc, perfect.average_precision, perfect.recall_at_1_percent), (1.0, 1.0, 1.0));
    let tied = of(&[(1.0, true), (1.0, false)]).unwrap();
    assert_eq!((tied.auroc, tied.recall_at_1_percent), (0.5, 0.0));
    // Three of four pairs are right; above the honest one is one of two.
    let mixed = of(&[(4.0, true), (3.0, false), (2.0, true), (1.0, false)]).unwrap();
    assert_eq!((mixed.auroc, mixed.recall_at_1_percent), (0.75, 0.5));
    assert!((mixed.average_precision - (1.0 + 2.0 / 3.0) / 2.0).abs() < 1e-12);
}

#[test]
fn intervals_hold_the_figure_and_one_community_has_no_width() {
    let judged: Vec<Judged> = (0..200_u32)
        .map(|one| Judged {
            score: f64::from(one * 7 % 200),
            bad: one * 7 % 200 > 120 || one % 9 == 0,
            community: one / 4,
        })
        .collect();
    let (auroc, _) = intervals(&judged, 200, 1).unwrap();
    let figure = figures(&judged).unwrap().auroc;
    assert!(auroc.low < figure && figure < auroc.high);
    let one: Vec<Judged> = judged.iter().map(|one| Judged { community: 5, ..*one }).collect();
    let (auroc, _) = intervals(&one, 50, 1).unwrap();
    assert_eq!((auroc.low, auroc.high), (figure, figure));
}

proptest! {
    #[test]
    fn a_chance_never_falls_and_lies_between_none_and_certain(
        pairs in prop::collection::vec((-5.0..5.0_f64, any::<bool>()), 1..60),
        asked in prop::collection::vec(-8.0..8.0_f64, 2..20),
    ) {
        let calibration = Calibration::fit(&pairs);
        let mut asked = asked;
        asked.sort_by(f64::total_cmp);
        let chances: Vec<f64> = asked.iter().map(|&score| calibration.chance(score)).collect();
        prop_assert!(chances.iter().all(|chance| (0.0..=1.0).contains(chance)));
        for (scores, chances) in asked.windows(2).zip(chances.windows(2)) {
            prop_assert!(chances[0] < chances[1] || scores[0] == scores[1]);
        }
    }

    #[test]
    fn a_community_is_in_one_fold_and_folds_are_alike_in_size(
        community in prop::collection::vec(0..40_u32, 100..300), seed in 0..9_u64,
    ) {
        let (folds, _) = community_folds(&community, seed);
        for (one, fold) in community.iter().zip(&folds) {
            for (other, other_fold) in community.iter().zip(&folds) {
                prop_assert!(one != other || fold == other_fold);
            }
        }
        let size = |fold: usize| folds.iter().filter(|&&one| one == fold).count();
        let largest = (0..40).map(|one| community.iter().filter(|&&other| other == one).count()).max().unwrap();
        let sizes: Vec<usize> = (0..FOLDS).map(size).collect();
        prop_assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= largest);
    }
}
