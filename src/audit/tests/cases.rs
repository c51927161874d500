//! Cases and what they lead to: clean as they were made, found when they were forged; and a
//! review whose members had not followed before a crash.

use super::*;
use crate::cases::rules::{Says, State, Whom};
use crate::cases::triage::{Automatic, Cuts, Group, NO_BOUND, TriagePolicy};
use crate::cases::{Case, Evidence as Seen, Status, Suspect, Verdict, Withdrawal};
use crate::domain::Code;
use crate::engine::cases::Reviewing;
use crate::engine::rules::Saying;

fn policy() -> TriagePolicy {
    TriagePolicy {
        score_min: 500,
        families_min: 2,
        members_min: 2,
        members_max: 50,
        automatic: Automatic::Hold,
        automatic_score_min: 500,
        spared: std::sync::Arc::default(),
        hold_days: 30,
        open_error_max: NO_BOUND,
        act_error_max: NO_BOUND,
        cuts: Cuts::default(),
    }
}

fn group() -> Group {
    let suspect = |id: &str| Suspect { member: member(id), score: 900, own: id != "dan", since: Timestamp::default() };
    let seen = |family: &str| Seen {
        detector: family.into(),
        version: 1,
        family: family.into(),
        strength: 700,
        words: "seen".to_owned(),
        clears: "proof".to_owned(),
        members: vec![member("ann"), member("bob")],
        seen_at: Timestamp::default(),
    };
    let members = ["ann", "bob", "dan"].map(suspect).to_vec();
    Group { merchant: None, members, evidence: vec![seen("referrals"), seen("instruments")], ties: Vec::new() }
}

fn reviewing(verdict: Verdict) -> Reviewing {
    Reviewing {
        verdict,
        whole_programme: false,
        merchant: None,
        members: Vec::new(),
        reason: "looked at".to_owned(),
        since: Timestamp::default(),
        ask_back: false,
        by: "key".to_owned(),
        score_shown: true,
    }
}

/// A case that was held by policy, with a purchase of one of its members.
async fn held() -> (Town, u64) {
    let town = Town::new();
    town.shop().await;
    town.offer("five", terms(5)).await;
    for id in ["ann", "bob", "dan"] {
        town.join(id).await;
    }
    town.event("ann", "p1", EventKind::Clearing, 4000, "2026-02-28T10:00:00Z").await;
    let id = town.engine.enter_group(group(), &policy()).await.unwrap()[0].id;
    town.engine.follow_case(id).await.unwrap();
    (town, id)
}

async fn balance(engine: &Arc<Engine>, id: &str) -> (i64, i64) {
    let balance = engine.load(&member(id)).await.unwrap().unwrap().head.balance(usd());
    (balance.available_minor, balance.held_minor)
}

fn case_mut(records: &mut [Record]) -> &mut Case {
    let cases = records.iter_mut().rev().filter_map(|record| match &mut record.body {
        Body::Case(case) => Some(case.as_mut()),
        _ => None,
    });
    cases.last().unwrap()
}

fn last_case(records: &mut [Record]) -> &mut Case {
    let mut cases = records.iter_mut().rev().filter_map(|record| match &mut record.body {
        Body::Case(case) => Some(case.as_mut()),
        _ => None,
    });
    cases.next().unwrap()
}

fn standing(records: &mut [Record]) -> &mut StandingStep {
    let steps = records.iter_mut().filter_map(|record| match &mut record.body {
        Body::Member { input, .. } => match input.as_mut() {
            MemberInput::StandingSet(step) => Some(step),
            _ => None,
        },
        _ => None,
    });
    steps.into_iter().next().unwrap()
}

#[tokio::test]
async fn inv_08_a_standing_without_its_cause_is_found() {
    let (town, id) = held().await;
    assert_eq!(balance(&town.engine, "ann").await, (0, 200));
    town.engine.review_case(id, reviewing(Verdict::Confirm), None, |_| String::new()).await.unwrap();
    town.engine.follow_case(id).await.unwrap();
    let folder = town.stop();
    let report = folder.audit();
    require_clean(&report);
    assert_eq!((report.check(Named::Causes).examined, report.check(Named::Cases).examined), (4, 2), "{report}");
    let gone = |records: &mut Vec<Record>| records.retain(|record| !matches!(record.body, Body::Case(_)));
    assert_eq!(failed(&forge(&folder, gone).await), [Named::Causes]);
    let endless = |records: &mut Vec<Record>| standing(records).until = None;
    assert_eq!(failed(&forge(&folder, endless).await), [Named::Causes], "a hold without an end");
    let named = |records: &mut Vec<Record>| case_mut(records).members[0].own = false;
    assert!(failed(&forge(&folder, named).await).contains(&Named::Causes), "who was only named was held");
    let other = |records: &mut Vec<Record>| last_case(records).reviews[0].verdict = Verdict::Watch;
    assert_eq!(failed(&forge(&folder, other).await), [Named::Causes], "the review said otherwise");
    let stranger =
        |records: &mut Vec<Record>| last_case(records).reviews[0].members.retain(|who| *who != member("bob"));
    assert_eq!(failed(&forge(&folder, stranger).await), [Named::Causes]);
    let jump = |records: &mut Vec<Record>| last_case(records).status = Status::Merged;
    assert_eq!(failed(&forge(&folder, jump).await), [Named::Cases]);
    let silent = |records: &mut Vec<Record>| drop(last_case(records).timeline.pop());
    assert_eq!(failed(&forge(&folder, silent).await), [Named::Cases]);
    let skipped = |records: &mut Vec<Record>| {
        let cases = records.iter_mut().filter(|record| matches!(record.body, Body::Case(_)));
        cases.last().unwrap().envelope.version += 1;
    };
    assert_eq!(failed(&forge(&folder, skipped).await), [Named::Cases]);
}

#[tokio::test]
async fn a_review_before_a_crash_is_followed_after_it() {
    let (town, id) = held().await;
    town.engine.review_case(id, reviewing(Verdict::Confirm), None, |_| String::new()).await.unwrap();
    // Nobody has followed, and the state is lost.
    let Town { folder, engine, clock } = town;
    engine.stop().unwrap();
    drop(engine);
    std::fs::remove_dir_all(folder.0.join("state")).unwrap();
    let (engine, _) = Town::start(&folder, &clock);
    assert_eq!(balance(&engine, "ann").await, (0, 200), "not yet");
    let again = Arc::new(crate::again::Again::default());
    again.go_on(&engine, |_| true).await.unwrap();
    assert_eq!(balance(&engine, "ann").await, (0, 0));
    let dan = engine.load(&member("dan")).await.unwrap().unwrap();
    assert!(dan.head.standings.is_empty(), "who was only named is not meant");
    assert!(engine.jobs().await.unwrap().is_empty());
    let version = engine.load(&member("ann")).await.unwrap().unwrap().head.version;
    engine.follow_case(id).await.unwrap();
    assert_eq!(engine.load(&member("ann")).await.unwrap().unwrap().head.version, version, "once is enough");
    // Taken back, she stands as before the review: held.
    engine.undo_review(id, "key", "wrong", None, |_| String::new()).await.unwrap();
    engine.follow_case(id).await.unwrap();
    assert_eq!(balance(&engine, "ann").await, (0, 200));
    engine.stop().unwrap();
    require_clean(&folder.audit());
}

#[tokio::test]
async fn what_became_available_before_it_was_screened_is_found() {
    // Made without the gate, and audited as if there had been one.
    let folder = small().await;
    let gated = AuditOptions::new(Policy { screened: true, ..Policy::default() });
    let report = audit(&[folder.journal()], &gated).unwrap();
    assert_eq!(failed(&report), [Named::Screened], "{report}");
}

#[tokio::test]
async fn what_a_detectors_version_did_is_taken_back_with_it() {
    let (town, id) = held().await;
    assert_eq!(balance(&town.engine, "ann").await, (0, 200));
    let withdraw = async |detector: &str| {
        let withdrawal = Withdrawal {
            detector: detector.into(),
            version: 1,
            by: "key".to_owned(),
            reason: "it mistakes families".to_owned(),
            at: town.clock.now(),
        };
        town.engine.withdraw_detector(withdrawal).await.unwrap();
        Arc::new(crate::again::Again::default()).go_on(&town.engine, |_| true).await.unwrap();
        Arc::new(crate::again::Again::default()).go_on(&town.engine, |_| true).await.unwrap();
    };
    withdraw("something-else").await;
    assert_eq!(balance(&town.engine, "ann").await, (0, 200), "of another detector");
    withdraw("instruments").await;
    assert_eq!(balance(&town.engine, "ann").await, (200, 0), "one kind of evidence is not enough");
    let case = town.engine.case(id).await.unwrap().unwrap();
    assert_eq!((case.status, case.evidence.len(), case.acts[0].undone), (Status::Open, 1, true));
    // What the same version says comes in no more, by itself it is no case.
    assert!(town.engine.enter_group(group(), &policy()).await.unwrap().is_empty());
    assert_eq!(town.engine.case(id).await.unwrap().unwrap(), case);
    let folder = town.stop();
    require_clean(&folder.audit());
    let kept = |records: &mut Vec<Record>| last_case(records).acts[0].undone = false;
    assert_eq!(failed(&forge(&folder, kept).await), [Named::Causes]);
}

#[tokio::test]
async fn a_case_that_rests_on_a_rule_which_was_not_live_is_found() {
    let town = Town::new();
    town.shop().await;
    for id in ["ann", "bob", "dan"] {
        town.join(id).await;
    }
    let id = Code::parse("list").unwrap();
    let say = async |state| {
        let says = Says::Deny(Whom::Member(member("ann")));
        let saying = Saying { says: Some(says), state, reason: "told".to_owned(), until: None, by: "key".to_owned() };
        town.engine.say_rule(id, saying, None).await.unwrap().0
    };
    say(State::Shadow).await;
    assert_eq!(say(State::Live).await.versions.len(), 2);
    assert_eq!(say(State::Live).await.versions.len(), 2, "the same again is no version");
    let mut found = group();
    (found.evidence[0].detector, found.evidence[0].version) = ("rule:list".into(), 2);
    found.evidence[0].seen_at = town.clock.now();
    let seen = town.engine.enter_group(found, &policy()).await.unwrap().remove(0);
    say(State::Ended).await;
    assert_eq!(town.engine.rule(&id).await.unwrap().unwrap().versions.len(), 3);
    assert_eq!(town.engine.case(seen.id).await.unwrap().unwrap(), seen);
    let folder = town.stop();
    let report = folder.audit();
    require_clean(&report);
    assert_eq!(report.check(Named::Rules).examined, 1, "{report}");
    let shadow = |records: &mut Vec<Record>| {
        let seen = last_case(records).evidence.iter_mut().find(|seen| seen.detector == "rule:list");
        seen.unwrap().version = 1;
    };
    assert_eq!(failed(&forge(&folder, shadow).await), [Named::Rules], "it only counted then");
    let before = |records: &mut Vec<Record>| {
        last_case(records).evidence.iter_mut().for_each(|seen| seen.seen_at = Timestamp::default());
    };
    assert_eq!(failed(&forge(&folder, before).await), [Named::Rules], "before the rule was live");
    let another = |records: &mut Vec<Record>| {
        let seen = last_case(records).evidence.iter_mut().find(|seen| seen.detector == "rule:list");
        seen.unwrap().detector = "rule:nobodys".into();
    };
    assert_eq!(failed(&forge(&folder, another).await), [Named::Rules]);
    let rewritten = |records: &mut Vec<Record>| {
        let rules = records.iter_mut().filter_map(|record| match &mut record.body {
            Body::Rule(rule) => Some(rule),
            _ => None,
        });
        rules.last().unwrap().versions[0].reason = "another".to_owned();
    };
    assert_eq!(failed(&forge(&folder, rewritten).await), [Named::Documents], "what was said stays");
}
