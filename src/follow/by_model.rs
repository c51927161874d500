//! What the fitted model says of everybody, beside the score that needs no labels or in its place.
//! In shadow it opens and holds nothing: what it would have said is kept and shown.

use super::pass::Scored;
use super::resident::Who;
use crate::cases::triage::Group;
use crate::config::{ModelSettings, ModelState};
use crate::graph::model::named::{FITTED_MODEL, NamedModel};
use crate::graph::score::{Contribution, Scorer};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What the model said in a pass. Four bytes a member.
#[derive(Debug)]
pub struct ByModel {
    /// Which model.
    pub named: Arc<NamedModel>,
    /// Whether it counts.
    pub state: ModelState,
    /// Log odds by member number; no number for those whom the pass did not see.
    odds: Vec<f32>,
    /// Of the middle member: all that is known of one whom no pass has seen.
    middle: f64,
    /// In shadow: how its cases differ from those of the score that counts.
    pub beside: Option<Beside>,
}

/// Groups of one pass that are cases by the score that counts, and by the model in shadow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beside {
    /// By both.
    pub both: usize,
    /// By the model alone: it would open them.
    pub model_alone: usize,
    /// By the score that counts alone: the model would not open them.
    pub score_alone: usize,
}

impl ByModel {
    /// What a scorer with the model says; `who` is the member of each row, of so many that there are.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "seven digits of log odds are more than a score shows")]
    pub fn new(model: &ModelSettings, scorer: &Scorer<'_>, who: &[Option<Who>], members: usize) -> Self {
        let mut odds = vec![f32::NAN; members];
        for (who, said) in who.iter().zip(scorer.odds()) {
            if let Some(who) = who {
                odds[*who as usize] = said as f32;
            }
        }
        let (named, state) = (Arc::clone(&model.named), model.state);
        Self { named, state, odds, middle: scorer.middle_odds(), beside: None }
    }

    /// The model, when its score is the one that counts.
    #[must_use]
    pub fn live(&self) -> Option<&Arc<NamedModel>> {
        (self.state == ModelState::Live).then_some(&self.named)
    }

    /// A member's score by the model, as the pass saw them; `None` for those whom it did not see.
    #[must_use]
    pub fn score(&self, who: Who) -> Option<f64> {
        let odds = f64::from(*self.odds.get(who as usize)?);
        (!odds.is_nan()).then(|| self.named.score(odds))
    }

    /// All that the pass said of a member whose contributions were not kept one by one, as one.
    #[must_use]
    pub fn rest(&self, who: Who) -> Contribution {
        let odds = self.odds.get(who as usize).copied().filter(|odds| !odds.is_nan());
        let words = match odds {
            Some(_) => "figures of the last pass, none of them unusual",
            None => "came after the last pass: scored as the middle member",
        };
        let adds = odds.map_or(self.middle, f64::from);
        Contribution { family: "other figures", source: FITTED_MODEL, adds, words: words.to_owned() }
    }

    /// A member of whom no contributions were kept.
    #[must_use]
    pub fn quiet(&self, who: Who) -> Scored {
        let rest = self.rest(who);
        Scored { score: self.named.score(rest.adds), parts: vec![rest] }
    }

    /// Notes how the cases differ, each by the finding that begins its group.
    pub fn compare(&mut self, counts: &BTreeMap<usize, Group>, model: &BTreeMap<usize, Group>) {
        let both = counts.keys().filter(|place| model.contains_key(place)).count();
        self.beside = Some(Beside { both, model_alone: model.len() - both, score_alone: counts.len() - both });
    }
}
