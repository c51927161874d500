//! Doors for the desk's rules: said, seen with what they flag, made live, ended.

use super::reply::{self, Reply};
use super::rule_document::{RuleDocument, SaysView};
use super::{Doors, access, cases, page, read};
use crate::authenticate::keys::Caller;
use crate::authenticate::keys::Role::{Operator, Risk};
use crate::cases::rules::{Rule, State, Version};
use crate::domain::{Code, Timestamp};
use crate::engine::rules::Saying;
use crate::wire::Request;
use matchit::Params;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Flagged members whom a view names.
const NAMED_MAX: usize = 20;

/// Rules by their ids.
#[derive(Debug, Serialize, ToSchema)]
pub struct RulePage {
    /// The page.
    pub rules: Vec<RuleView>,
    /// Where the next page begins; null at the end.
    pub next_cursor: Option<String>,
}

/// A rule of the risk desk.
#[derive(Debug, Serialize, ToSchema)]
pub struct RuleView {
    /// Its id.
    pub id: String,
    /// The name under which its evidence stands in cases.
    pub detector: String,
    /// Of what it says now; the ETag. Evidence names the version that it rests on.
    pub version: u32,
    /// `shadow`, `live` or `ended`; one whose end has come has ended.
    pub state: &'static str,
    /// Whether this version was withdrawn: it counts for nothing.
    pub withdrawn: bool,
    /// What it says.
    pub rule: SaysView,
    /// In words.
    pub words: String,
    /// Why.
    pub reason: String,
    /// When it ends by itself.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub until: Option<Timestamp>,
    /// Who said so: the id of their key.
    pub by: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// From when it counts what happens.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
    /// Whom it has flagged since then, in shadow or live; null of an allow entry, and where another
    /// process screens.
    pub flagged: Option<FlaggedView>,
    /// Whether another process screens the store that this one shares, and knows whom it flags.
    pub screened_elsewhere: bool,
    /// All it ever said, oldest first.
    pub versions: Vec<VersionView>,
}

/// Whom a rule has flagged.
#[derive(Debug, Serialize, ToSchema)]
pub struct FlaggedView {
    /// How many members, at most 10000.
    pub members: usize,
    /// The newest of them, at most twenty.
    pub newest: Vec<String>,
    /// When the last gave cause; null when nobody did.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_at: Option<Timestamp>,
}

/// What a rule said from an instant on.
#[derive(Debug, Serialize, ToSchema)]
pub struct VersionView {
    /// Numbered from 1.
    pub version: u32,
    /// `shadow`, `live` or `ended`.
    pub state: &'static str,
    /// What it said.
    pub rule: SaysView,
    /// Why.
    pub reason: String,
    /// When it was to end by itself.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub until: Option<Timestamp>,
    /// Who.
    pub by: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
}

/// Whether a rule is to count.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct StateDocument {
    /// `shadow`, `live` or `ended`.
    #[schema(value_type = String, example = "live")]
    pub state: State,
    /// Why, for those who read it later.
    pub reason: String,
}

impl VersionView {
    fn of(version: &Version) -> Self {
        Self {
            version: version.number,
            state: version.state.as_str(),
            rule: SaysView::of(&version.says),
            reason: version.reason.clone(),
            until: version.until,
            by: version.by.clone(),
            at: version.at,
        }
    }
}

impl RuleView {
    /// A rule as it is now, with whom it flags.
    pub(crate) fn of(doors: &Doors, rule: &Rule) -> Self {
        let newest = rule.newest();
        let says = SaysView::of(&newest.says);
        let counts = !matches!(says, SaysView::Allow { .. }) && !doors.screener.is_elsewhere();
        Self {
            id: rule.id.to_string(),
            detector: rule.detector().to_string(),
            version: newest.number,
            state: rule.state(doors.engine.clock.now()).as_str(),
            withdrawn: doors.screener.is_withdrawn(&rule.detector(), newest.number),
            words: says.words(),
            rule: says,
            reason: newest.reason.clone(),
            until: newest.until,
            by: newest.by.clone(),
            at: newest.at,
            since: rule.since(),
            flagged: counts.then(|| {
                let (members, newest, last_at) = doors.screener.flagged(&rule.id, NAMED_MAX);
                FlaggedView { members, newest: newest.iter().map(ToString::to_string).collect(), last_at }
            }),
            screened_elsewhere: doors.screener.is_elsewhere(),
            versions: rule.versions.iter().map(VersionView::of).collect(),
        }
    }
}

fn id(params: &Params<'_, '_>) -> Result<Code, Reply> {
    named(&read::part(params, "id")?)
}

/// A rule's id.
pub(crate) fn named(text: &str) -> Result<Code, Reply> {
    Code::parse(text).map_err(|error| super::check::Fault::bad("id", error.to_string()).into())
}

/// Says a rule.
///
/// Its evidence stands in cases as that of the detector `rule:ID`. It adds to a case and does nothing
/// by itself beyond what `screening.automatic` says of any case. What it says again changes nothing;
/// anything else is a version of its own, and the ones before are kept.
#[utoipa::path(
    put, path = "/v1/screening/rules/{id}", operation_id = "put_rule", tag = "Risk",
    params(
        ("id" = String, Path, description = "A short name: lower-case letters, digits and dashes"),
        ("If-Match" = Option<String>, Header, description = "The ETag this change rests on"),
    ),
    request_body = RuleDocument,
    responses(
        (status = 200, description = "A version more, or the same as before", body = RuleView),
        (status = 201, description = "Made", body = RuleView),
    ),
)]
pub(super) async fn put(doors: &Doors, params: &Params<'_, '_>, request: &Request) -> Result<Reply, Reply> {
    let caller = access::one_of(doors, request, &[Operator, Risk])?;
    let id = id(params)?;
    let if_match = read::if_match(request)?;
    let document: RuleDocument = read::document(request)?;
    let (rule, created) = said(doors, &caller, request, id, document, if_match).await?;
    Ok(Reply::put(created, &RuleView::of(doors, &rule), u64::from(rule.newest().number)))
}

/// Enters what somebody says.
pub(crate) async fn said(
    doors: &Doors,
    caller: &Caller,
    request: &Request,
    id: Code,
    document: RuleDocument,
    if_match: Option<u64>,
) -> Result<(Rule, bool), Reply> {
    let saying = document.into_saying(&doors.engine, caller.key_id.to_string(), doors.engine.clock.now())?;
    let done = doors.engine.say_rule(id, saying, if_match).await?;
    tracing::info!(request = %request.id, key = %caller.key_id, rule = %id, version = done.0.newest().number, "a rule was said");
    Ok(done)
}

/// One rule with all it ever said and whom it flags.
#[utoipa::path(
    get, path = "/v1/screening/rules/{id}", operation_id = "get_rule", tag = "Risk",
    params(("id" = String, Path, description = "Its id")),
    responses((status = 200, description = "The rule, its version as ETag", body = RuleView)),
)]
pub(super) async fn get(doors: &Doors, params: &Params<'_, '_>, request: &Request) -> Result<Reply, Reply> {
    access::one_of(doors, request, &[Operator, Risk])?;
    let rule = doors.engine.rule(&id(params)?).await?.ok_or_else(|| reply::not_found("there is no such rule"))?;
    Ok(Reply::versioned(&RuleView::of(doors, &rule), u64::from(rule.newest().number)))
}

/// Rules by their ids, those that ended included.
#[utoipa::path(
    get, path = "/v1/screening/rules", operation_id = "list_rules", tag = "Risk",
    params(
        ("limit" = Option<u8>, Query, description = "1 to 200, 50 when not given"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses((status = 200, description = "A page", body = RulePage)),
)]
pub(super) async fn list(doors: &Doors, request: &Request) -> Result<Reply, Reply> {
    access::one_of(doors, request, &[Operator, Risk])?;
    let page = page::page::<Code>(request)?;
    let rules = doors.engine.rules_after(page.after.as_ref(), page.limit).await?;
    let next_cursor = rules.last().filter(|_| rules.len() == page.limit).map(|last| page::cursor(&last.id));
    Ok(Reply::ok(&RulePage { rules: rules.iter().map(|rule| RuleView::of(doors, rule)).collect(), next_cursor }))
}

/// Makes a rule live, puts it back into shadow, or ends it.
///
/// What it says stays, and it counts on from where it was. The same state again changes nothing.
#[utoipa::path(
    post, path = "/v1/screening/rules/{id}/state", operation_id = "set_rule_state", tag = "Risk",
    params(
        ("id" = String, Path, description = "Its id"),
        ("If-Match" = Option<String>, Header, description = "The ETag this change rests on"),
    ),
    request_body = StateDocument,
    responses((status = 200, description = "The rule as it is from now on", body = RuleView)),
)]
pub(super) async fn state(doors: &Doors, params: &Params<'_, '_>, request: &Request) -> Result<Reply, Reply> {
    let caller = access::one_of(doors, request, &[Operator, Risk])?;
    let id = id(params)?;
    let if_match = read::if_match(request)?;
    let document: StateDocument = read::document(request)?;
    let rule = stepped(doors, &caller, request, id, document, if_match).await?;
    Ok(Reply::versioned(&RuleView::of(doors, &rule), u64::from(rule.newest().number)))
}

/// Takes a rule to another state by somebody's word.
pub(crate) async fn stepped(
    doors: &Doors,
    caller: &Caller,
    request: &Request,
    id: Code,
    document: StateDocument,
    if_match: Option<u64>,
) -> Result<Rule, Reply> {
    let reason = cases::reason(&document.reason)?;
    let saying = Saying { says: None, state: document.state, reason, until: None, by: caller.key_id.to_string() };
    let (rule, _) = doors.engine.say_rule(id, saying, if_match).await?;
    let (version, state) = (rule.newest().number, document.state.as_str());
    tracing::info!(request = %request.id, key = %caller.key_id, rule = %id, version, state, "a rule was taken to another state");
    Ok(rule)
}
