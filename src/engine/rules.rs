//! The desk's rules in the books: documents that only grow, of which screening reads what is in
//! force and every replay the same.

use super::catalogue::{EditError, check};
use super::{Engine, EngineError};
use crate::cases::rules::{RULES_MAX, Rule, Says, State, VERSIONS_MAX, Version};
use crate::domain::{Code, Timestamp};
use crate::record::{Body, Record};
use crate::store::{Batch, CATALOGUE, keys};
use std::sync::Arc;

/// Rules that are read at a time.
const PAGE: usize = 500;

/// A rule as somebody says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saying {
    /// What it says; `None` is what it said before.
    pub says: Option<Says>,
    /// Whether it is to count.
    pub state: State,
    /// Why.
    pub reason: String,
    /// When it ends by itself; of what was said before the end it had.
    pub until: Option<Timestamp>,
    /// Who: the id of their key.
    pub by: String,
}

/// What a rule's record puts into the state.
pub(super) fn batch(record: &Record, rule: &Rule) -> Batch {
    let value = keys::versioned(record.envelope.version, rule);
    Batch { partition: CATALOGUE, puts: vec![(keys::rule(&rule.id), Some(value))], ..Batch::default() }
}

impl Engine {
    /// A rule.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn rule(&self, id: &Code) -> Result<Option<Rule>, EngineError> {
        let found = self.keeper().get(CATALOGUE, &keys::rule(id)).await?;
        found.map(|value| Ok(keys::unversioned(&value)?.1)).transpose()
    }

    /// Rules by their ids after one of them, at most so many.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn rules_after(&self, after: Option<&Code>, limit: usize) -> Result<Vec<Rule>, EngineError> {
        let after = after.map(keys::rule);
        let found = self.keeper().scan(CATALOGUE, &keys::rules(), after.as_deref(), limit).await?;
        found.iter().map(|(_, value)| Ok(keys::unversioned(value)?.1)).collect()
    }

    /// All rules.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn rules(&self) -> Result<Vec<Rule>, EngineError> {
        let mut all: Vec<Rule> = Vec::new();
        loop {
            let page = self.rules_after(all.last().map(|rule| &rule.id), PAGE).await?;
            let more = page.len() == PAGE;
            all.extend(page);
            if !more {
                return Ok(all);
            }
        }
    }

    /// Makes a rule, or adds a version to it. The same again changes nothing. Returns the rule, and
    /// whether it is new.
    ///
    /// # Errors
    /// [`EditError`].
    pub async fn say_rule(
        self: &Arc<Self>,
        id: Code,
        saying: Saying,
        if_match: Option<u64>,
    ) -> Result<(Rule, bool), EditError> {
        let engine = Arc::clone(self);
        super::catalogue::apart(async move { engine.say_rule_now(id, saying, if_match).await }).await
    }

    async fn say_rule_now(
        self: &Arc<Self>,
        id: Code,
        saying: Saying,
        if_match: Option<u64>,
    ) -> Result<(Rule, bool), EditError> {
        let _editing = self.editing.lock().await;
        let known = self.rule(&id).await?;
        let has = known.as_ref().map_or(0, |rule| u64::from(rule.newest().number));
        check(has, if_match)?;
        let now = self.clock.now();
        let before = known.as_ref().map(Rule::newest);
        let (says, until) = match (saying.says, before) {
            (Some(says), _) => (says, saying.until),
            (None, Some(before)) => (before.says.clone(), before.until),
            (None, None) => return Err(EditError::Unknown("rule")),
        };
        if before.is_some_and(|before| (&before.says, before.state, before.until) == (&says, saying.state, until)) {
            return Ok((known.expect("it has a version"), false));
        }
        if saying.state != State::Ended {
            if until.is_some_and(|until| until <= now) {
                return Err(EditError::NotNow("the rule's end is over; say it again with another"));
            }
            let counts = |rule: &&Rule| rule.id != id && rule.state(now) != State::Ended;
            if self.rules().await?.iter().filter(counts).count() >= RULES_MAX {
                return Err(EditError::NotNow("there are 500 rules that count; end some"));
            }
        }
        let was_seen = |rule: &Rule| rule.versions.iter().any(|said| said.says == says && said.state != State::Ended);
        let waits = matches!(says, Says::Deny(_) | Says::Velocity(_)) && !known.as_ref().is_some_and(was_seen);
        if saying.state == State::Live && waits {
            return Err(EditError::NotNow(
                "a rule that says something new begins in shadow; make it live once you have seen whom it flags",
            ));
        }
        let created = known.is_none();
        let mut rule = known.unwrap_or(Rule { id, versions: Vec::new() });
        if rule.versions.len() >= VERSIONS_MAX {
            return Err(EditError::NotNow("the rule has 100 versions; end it and make a new one"));
        }
        let number = u32::try_from(has + 1).map_err(|_| EditError::NotNow("the rule has too many versions"))?;
        let (state, reason, by) = (saying.state, saying.reason, saying.by);
        rule.versions.push(Version { number, state, says, reason, until, by, at: now });
        let record = self.catalogue_record(Body::Rule(Box::new(rule.clone())), has + 1);
        let mut batch = batch(&record, &rule);
        batch.expects = vec![crate::store::Expect { key: keys::rule(&rule.id), version: has }];
        self.commit_apart(record, vec![batch]).await?;
        Ok((rule, created))
    }
}
