//! `[screening]`: what opens a case, what acts by itself, and how old a pass may be.

use super::reader::Reader;
use super::seconds;
use super::values::bad;
use crate::cases::triage::{Automatic, TriagePolicy};
use std::time::Duration;

/// `[screening]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScreeningSettings {
    /// Whether members are screened, and money waits for it.
    pub enabled: bool,
    /// Time between two passes over the whole network.
    pub pass_every: Duration,
    /// Age of the last pass from which money waits.
    pub pass_age_max: Duration,
    /// What a review may take before a second reviewer must say the same, minor units; 0 is any.
    pub four_eyes_minor: i64,
    /// What opens a case, and what acts by itself.
    pub triage: TriagePolicy,
}

impl Default for ScreeningSettings {
    /// As compiled in, and off: for those who start no screener.
    fn default() -> Self {
        Self { enabled: false, ..super::Settings::compiled_in().screening }
    }
}

pub(super) fn read(reader: &mut Reader<'_>) -> ScreeningSettings {
    ScreeningSettings {
        enabled: reader.flag("screening.enabled"),
        pass_every: seconds(reader, "screening.pass_every_seconds", 0, 86_400),
        pass_age_max: seconds(reader, "screening.pass_age_seconds_max", 60, 604_800),
        four_eyes_minor: reader.integer("screening.four_eyes_minor", 0, 1_000_000_000_000),
        triage: TriagePolicy {
            score_min: reader.integer("screening.case_score_min", 0, 1000),
            families_min: reader.integer("screening.case_families_min", 1, 10),
            members_min: reader.integer("screening.case_members_min", 2, 1000),
            members_max: reader.integer("screening.case_members_max", 10, 1000),
            automatic: reader
                .required("screening.automatic", "\"nothing\", \"watch\" or \"hold\"", |text| match text {
                    "nothing" => Ok(Automatic::Nothing),
                    "watch" => Ok(Automatic::Watch),
                    "hold" => Ok(Automatic::Hold),
                    _ => bad("is no such policy", "\"nothing\", \"watch\" or \"hold\""),
                })
                .unwrap_or(Automatic::Nothing),
            automatic_score_min: reader.integer("screening.automatic_score_min", 0, 1000),
            spared: std::collections::BTreeSet::new(),
            hold_days: reader.integer("screening.hold_days", 1, 365),
        },
    }
}
