//! `ringfence descriptors`: how well statement texts are matched to shops, measured on
//! labelled texts.

use super::{ConfigArgs, Failure};
use crate::descriptor::trial;
use serde::Serialize;
use std::path::Path;

/// The last line, for programs.
#[derive(Serialize)]
struct Summary<'a> {
    precision: String,
    recall: String,
    threshold: u16,
    half: &'static str,
    scores: &'a [trial::Score],
}

/// Prints precision and recall, by half and threshold, and one line of JSON. With `wrong`,
/// every text that was not matched as its label says.
///
/// # Errors
/// When a file cannot be read; the line is named.
pub fn descriptors(
    config: &ConfigArgs,
    labelled: &Path,
    locations: &Path,
    threshold: Option<u16>,
    wrong: bool,
) -> Result<(), Failure> {
    let read = |path: &Path| std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()));
    let place = |path: &Path| {
        let path = path.display().to_string();
        move |error| format!("{path}: {error}")
    };
    let threshold = match threshold {
        Some(threshold) => threshold,
        None => config.settings()?.matching.descriptor_confidence_min,
    };
    let shops = trial::read_shops(&read(locations)?).map_err(place(locations))?;
    let texts = trial::read_labelled(&read(labelled)?, &shops).map_err(place(labelled))?;
    let outcomes = trial::run(&shops, &texts);
    if wrong {
        for outcome in &outcomes {
            let found = outcome.found.filter(|(_, confidence)| *confidence >= threshold);
            let label = outcome.labelled.label.as_deref();
            if found.map(|(id, _)| id) != label {
                let (id, confidence) = outcome.found.unwrap_or((trial::NONE, 0));
                let half = if outcome.labelled.held_out { "held out" } else { "tuned" };
                println!(
                    "{half}: {:?} ({}) means {}, found {id} at {confidence}",
                    outcome.labelled.descriptor,
                    outcome.labelled.group,
                    label.unwrap_or(trial::NONE)
                );
            }
        }
    }
    let scores = trial::scores(&outcomes, threshold);
    println!("{} shops, {} texts; the threshold in force is {threshold}", shops.len(), texts.len());
    println!("  half      threshold  texts  with shop  right  wrong  precision  recall");
    for score in &scores {
        println!(
            "  {:<8}  {:>9}  {:>5}  {:>9}  {:>5}  {:>5}  {:>9}  {:>6}",
            score.half,
            score.threshold,
            score.texts,
            score.with_shop,
            score.right,
            score.wrong,
            decimal(score.precision),
            decimal(score.recall)
        );
    }
    let held_out = scores.iter().find(|score| score.half == "held_out").ok_or("there is no text")?;
    let summary = Summary {
        precision: decimal(held_out.precision),
        recall: decimal(held_out.recall),
        threshold,
        half: held_out.half,
        scores: &scores,
    };
    println!("{}", serde_json::to_string(&summary)?);
    Ok(())
}

/// Ten-thousandths as a decimal number.
fn decimal(share: u32) -> String {
    format!("{}.{:04}", share / 10_000, share % 10_000)
}
