//! `[screening]`: what opens a case, what acts by itself, how old a pass may be, and the fitted model.

use super::reader::Reader;
use super::values::{Bad, bad};
use super::{ReadFile, seconds};
use crate::cases::triage::{Automatic, Cuts, TriagePolicy};
use crate::graph::model::named::NamedModel;
use std::path::Path;
use std::sync::Arc;
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
    /// Time between two snapshots of the network; zero writes and reads none.
    pub snapshot_every: Duration,
    /// What a review may take before a second reviewer must say the same, minor units; 0 is any.
    pub four_eyes_minor: i64,
    /// Groups below the threshold that chance puts before people, a day.
    pub random_cases_per_day: usize,
    /// Cases of a hundred that are judged without their score.
    pub blind_percent: u8,
    /// What opens a case, and what acts by itself.
    pub triage: TriagePolicy,
    /// The fitted model, when there is one.
    pub model: Option<ModelSettings>,
}

/// A fitted model and whether it counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelSettings {
    /// The model.
    pub named: Arc<NamedModel>,
    /// Whether it counts.
    pub state: ModelState,
}

/// Whether a fitted model counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelState {
    /// What it would say is kept and shown; it opens and holds nothing.
    Shadow,
    /// Its score is the score.
    Live,
}

impl ModelState {
    /// Its word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Shadow => "shadow",
            Self::Live => "live",
        }
    }
}

impl Default for ScreeningSettings {
    /// As compiled in, and off: for those who start no screener.
    fn default() -> Self {
        Self { enabled: false, ..super::Settings::compiled_in().screening }
    }
}

/// Bytes of a model's file: forty features with their tables take less than a hundredth.
const MODEL_BYTES_MAX: usize = 16 << 20;

/// The model of a file. It is read at the start, and by `ringfence check`.
fn model(path: &str, read_file: ReadFile<'_>) -> Result<NamedModel, Bad> {
    let right = "a file that `ringfence fit` of this program wrote";
    let text = match read_file(Path::new(path)) {
        Ok(text) => text,
        Err(error) => return bad(format!("cannot be read: {error}"), right),
    };
    if text.len() > MODEL_BYTES_MAX {
        return bad(format!("has {} bytes", text.len()), right);
    }
    let name = Path::new(path).file_name().map_or_else(|| path.to_owned(), |name| name.to_string_lossy().into_owned());
    NamedModel::read(&name, &text).or_else(|fault| match std::error::Error::source(&fault) {
        Some(cause) => bad(format!("{fault}: {cause}"), right),
        None => bad(fault.to_string(), right),
    })
}

pub(super) fn read(reader: &mut Reader<'_>, read_file: ReadFile<'_>) -> ScreeningSettings {
    let named = reader.optional("screening.model", |path| model(path, read_file));
    let state = reader.required("screening.model_state", "\"shadow\" or \"live\"", |text| match text {
        "shadow" => Ok(ModelState::Shadow),
        "live" => Ok(ModelState::Live),
        _ => bad("is no such state", "\"shadow\" or \"live\""),
    });
    ScreeningSettings {
        model: named.zip(state).map(|(named, state)| ModelSettings { named: Arc::new(named), state }),
        enabled: reader.flag("screening.enabled"),
        pass_every: seconds(reader, "screening.pass_every_seconds", 0, 86_400),
        pass_age_max: seconds(reader, "screening.pass_age_seconds_max", 60, 604_800),
        snapshot_every: seconds(reader, "screening.snapshot_every_seconds", 0, 86_400),
        four_eyes_minor: reader.integer("screening.four_eyes_minor", 0, 1_000_000_000_000),
        random_cases_per_day: reader.integer("screening.random_cases_per_day", 0, 1000),
        blind_percent: reader.integer("screening.blind_percent", 0, 100),
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
            spared: Arc::default(),
            hold_days: reader.integer("screening.hold_days", 1, 365),
            open_error_max: reader.integer("screening.case_error_basis_points_max", 1, 10_000),
            act_error_max: reader.integer("screening.automatic_error_basis_points_max", 1, 10_000),
            cuts: Cuts::default(),
        },
    }
}
