//! The table of statuses, and what becomes of groups that are found again, larger, merged or
//! after a review.

use super::report::{Report, Reporter, reported};
use super::triage::{Automatic, Cuts, Group, NO_BOUND, TriagePolicy, drawn, triage};
use super::*;
use crate::graph::segments::{Control, Controls, Said, Segment};

fn at(second: i64) -> Timestamp {
    Timestamp::from_ms(second * 1000)
}

fn policy() -> TriagePolicy {
    TriagePolicy {
        score_min: 600,
        families_min: 2,
        members_min: 3,
        members_max: 10,
        automatic: Automatic::Nothing,
        automatic_score_min: 800,
        spared: std::sync::Arc::default(),
        hold_days: 30,
        open_error_max: NO_BOUND,
        act_error_max: NO_BOUND,
        cuts: Cuts::default(),
    }
}

fn id(name: &str) -> MemberId {
    MemberId::new(name).unwrap()
}

fn group(members: &[&str], families: &[&str]) -> Group {
    let suspect = |name: &&str| Suspect {
        member: id(name.trim_end_matches('?')),
        score: 900,
        own: !name.ends_with('?'),
        since: at(0),
    };
    let evidence = |family: &&str| Evidence {
        detector: (*family).into(),
        version: 1,
        family: (*family).into(),
        strength: 500,
        words: "seen".to_owned(),
        clears: "proof".to_owned(),
        members: members.iter().map(|name| id(name.trim_end_matches('?'))).collect(),
        seen_at: at(0),
    };
    Group {
        merchant: None,
        members: members.iter().map(suspect).collect(),
        evidence: families.iter().map(evidence).collect(),
        ties: Vec::new(),
    }
}

fn one(mut cases: Vec<Case>) -> Case {
    assert_eq!(cases.len(), 1, "{cases:#?}");
    cases.remove(0)
}

#[test]
fn what_chance_chose_opens_a_case_of_its_own_and_nothing_else() {
    let policy = TriagePolicy { automatic: Automatic::Hold, automatic_score_min: 0, ..policy() };
    let group = group(&["a", "b", "c"], &["x", "y"]);
    let case = drawn(group.clone(), &[], &policy, 9, at(1), 40).unwrap();
    assert_eq!((case.id, case.status, case.origin.one_in), (9, Status::Open, Some(40)));
    assert!(case.acts.is_empty(), "nothing is done by itself");
    for known in [case.clone(), reviewed(&case, Verdict::Dismiss), reviewed(&case, Verdict::Confirm)] {
        assert_eq!(drawn(group.clone(), &[known], &policy, 10, at(2), 40), None, "people have had it");
    }
    let mut blind = case;
    blind.origin.blind = true;
    assert!(blind.hides_score() && !reviewed(&blind, Verdict::Watch).hides_score());
}

fn reviewed(case: &Case, verdict: Verdict) -> Case {
    let mut case = case.clone();
    let families = case.families().into_iter().map(CompactString::from).collect();
    case.step(verdict.step(), "key_1", "looked at".to_owned(), at(10)).unwrap();
    case.reviews.push(Review {
        verdict,
        merchant: None,
        members: case.meant(),
        reason: "looked at".to_owned(),
        since: at(0),
        ask_back: false,
        by: "key_1".to_owned(),
        at: at(10),
        undone: false,
        families,
        chosen: Chosen::Random,
        score_shown: true,
    });
    case
}

#[test]
fn the_table_is_the_whole_of_what_may_happen() {
    let mut moves = MOVES.to_vec();
    moves.sort_unstable();
    moves.dedup_by_key(|(from, step, _)| (*from, *step));
    assert_eq!(moves.len(), MOVES.len(), "a step leads to one place");
    let mut case = one(triage(group(&["a", "b", "c"], &["x", "y"]), &[], &policy(), 7, at(1)));
    assert_eq!((case.id, case.status, case.timeline.len()), (7, Status::Open, 1));
    assert_eq!(case.step(Step::Reopen, "k", String::new(), at(2)).unwrap_err().from, Status::Open);
    case.step(Step::Merge, "k", String::new(), at(2)).unwrap();
    for step in [Step::Grow, Step::Reopen, Step::Confirm, Step::Undo, Step::Object] {
        assert!(case.step(step, "k", String::new(), at(3)).is_err(), "what is part of another stays so");
    }
    assert_eq!(case.timeline.len(), 2, "a refused step leaves no trace");
    assert_eq!((case.timeline[1].from, case.timeline[1].to), (Status::Open, Status::Merged));
}

#[test]
fn too_few_members_families_or_score_is_no_case() {
    assert!(triage(group(&["a", "b"], &["x", "y"]), &[], &policy(), 1, at(1)).is_empty());
    assert!(triage(group(&["a", "b", "c"], &["x"]), &[], &policy(), 1, at(1)).is_empty());
    assert!(
        triage(group(&["a", "b", "named?"], &["x", "y"]), &[], &policy(), 1, at(1)).is_empty(),
        "one was only named"
    );
    let mut low = group(&["a", "b", "c"], &["x", "y"]);
    low.members.iter_mut().for_each(|suspect| suspect.score = 300);
    assert!(triage(low, &[], &policy(), 1, at(1)).is_empty());
}

#[test]
fn a_group_found_again_is_joined_grown_and_never_a_second_case() {
    let case = one(triage(group(&["a", "b", "c"], &["x", "y"]), &[], &policy(), 1, at(1)));
    let known = [case];
    assert!(triage(group(&["a", "b", "c"], &["x", "y"]), &known, &policy(), 2, at(2)).is_empty(), "nothing new");
    let grown = one(triage(group(&["b", "c", "d", "e?"], &["x", "z"]), &known, &policy(), 2, at(3)));
    assert_eq!((grown.id, grown.members.len(), grown.families().len()), (1, 5, 3));
    assert_eq!(grown.timeline.last().unwrap().step, Some(Step::Grow));
    assert!(!grown.meant().contains(&id("e")), "who was only named is not meant");
    // Bounded, with the highest scores.
    let crowd: Vec<String> = (0..40).map(|n| format!("m{n:02}")).collect();
    let crowd: Vec<&str> = crowd.iter().map(String::as_str).collect();
    assert_eq!(one(triage(group(&crowd, &["x", "y"]), &[], &policy(), 3, at(4))).members.len(), 10);
}

#[test]
fn two_cases_that_one_group_joins_become_one() {
    let first = one(triage(group(&["a", "b", "c"], &["x", "y"]), &[], &policy(), 1, at(1)));
    let second = one(triage(group(&["d", "e", "f"], &["x", "z"]), &[], &policy(), 2, at(1)));
    let changed = triage(group(&["b", "c", "d"], &["x", "y"]), &[first, second], &policy(), 3, at(2));
    assert_eq!(changed.len(), 2);
    assert_eq!((changed[0].id, changed[0].status, changed[0].origin.merged_into), (2, Status::Merged, Some(1)));
    assert_eq!((changed[1].id, changed[1].status, changed[1].members.len()), (1, Status::Open, 6));
}

#[test]
fn inv_08_a_dismissal_remembers_its_evidence() {
    let case = one(triage(group(&["a", "b", "c"], &["x", "y"]), &[], &policy(), 1, at(1)));
    let known = [reviewed(&case, Verdict::Dismiss)];
    assert!(triage(group(&["a", "b", "c"], &["x", "y"]), &known, &policy(), 2, at(20)).is_empty());
    assert!(triage(group(&["a", "b", "c", "d"], &["x", "y"]), &known, &policy(), 2, at(20)).is_empty());
    let again = one(triage(group(&["a", "b", "c"], &["x", "w"]), &known, &policy(), 2, at(21)));
    assert_eq!((again.id, again.status), (1, Status::Open), "a new family reopens it");
    let known = [reviewed(&case, Verdict::Confirm)];
    assert!(triage(group(&["a", "b", "c"], &["x", "y"]), &known, &policy(), 2, at(20)).is_empty());
    let again = one(triage(group(&["a", "b", "d"], &["x", "y"]), &known, &policy(), 2, at(21)));
    assert_eq!((again.id, again.status), (1, Status::Open), "somebody else came to it");
}

#[test]
fn inv_08_policy_only_raises_and_never_whom_others_only_name() {
    let held = TriagePolicy { automatic: Automatic::Hold, ..policy() };
    let case = one(triage(group(&["a", "b", "c", "honest?"], &["x", "y"]), &[], &held, 1, at(1)));
    assert_eq!(case.acts.len(), 1);
    assert_eq!(case.acts[0].members, [id("a"), id("b"), id("c")]);
    assert_eq!(case.acts[0].until, Some(at(1).plus_days(30)));
    // One family is never enough, whatever is configured.
    let careless = TriagePolicy { families_min: 1, ..held.clone() };
    assert!(one(triage(group(&["a", "b", "c"], &["x"]), &[], &careless, 1, at(1))).acts.is_empty());
    // Who was acted on is not acted on again, who joins is.
    let grown = one(triage(group(&["b", "c", "d"], &["x", "y"]), &[case], &held, 2, at(2)));
    assert_eq!(grown.acts.iter().map(|act| act.members.len()).collect::<Vec<_>>(), [3, 1]);
}

#[test]
fn another_merchants_rivals_are_another_case() {
    let case = one(triage(group(&["a", "b", "c"], &["x", "y"]), &[], &policy(), 1, at(1)));
    let rivals = Group { merchant: Some(MerchantId::new("shop").unwrap()), ..group(&["a", "b", "c"], &["x", "y"]) };
    assert_eq!(one(triage(rivals, &[case], &policy(), 2, at(2))).id, 2);
}

#[test]
fn what_others_say_and_what_a_rule_says_of_another_holds_nobody() {
    let hold = TriagePolicy { automatic: Automatic::Hold, automatic_score_min: 0, ..policy() };
    let held = |case: &Case| {
        case.acts.iter().filter(|act| !act.undone).flat_map(|act| act.members.clone()).collect::<Vec<_>>()
    };
    let with = |detector: &str, family: &str, members: &[&str]| {
        let mut group = group(&["a", "b", "c"], &["instruments", family]);
        group.evidence[1].detector = detector.into();
        group.evidence[1].members = members.iter().map(|name| id(name)).collect();
        one(triage(group, &[], &hold, 1, at(0)))
    };
    for (detector, family, members, expected) in [
        ("referral-star", "referrals", &["a"][..], &["a", "b", "c"][..]),
        ("rule:fast", rules::VELOCITY, &["a"], &["a"]),
        ("rule:list", rules::DENY_LIST, &["a", "c"], &["a", "c"]),
        ("rule:fast", rules::SAID_BY_OTHERS, &["a", "b", "c"], &[]),
    ] {
        let case = with(detector, family, members);
        assert_eq!(held(&case), expected.iter().map(|name| id(name)).collect::<Vec<_>>(), "{detector} {family}");
        let mut after = case.clone();
        after.withdraw(detector, 1, "key_1", "it errs", at(20)).unwrap();
        assert_eq!(held(&after), [], "one kind is left");
    }
    // Whom the allow list spares is spared by policy too.
    let spares = TriagePolicy { spared: std::sync::Arc::new([id("b")].into()), ..hold.clone() };
    let case = one(triage(group(&["a", "b", "c"], &["x", "y"]), &[], &spares, 1, at(0)));
    assert_eq!(held(&case), [id("a"), id("c")]);
    // A group of those whom others name joins the case they are in, and joins no two cases.
    let lax = rules_policy();
    let first = one(triage(group(&["a", "b", "c", "n?"], &["x", "y"]), &[], &policy(), 1, at(0)));
    let second = one(triage(group(&["d", "e", "f", "n?"], &["x", "y"]), &[], &policy(), 2, at(0)));
    let known = [first, second];
    let joined = one(triage(group(&["n?"], &[rules::SAID_BY_OTHERS]), &known, &lax, 3, at(1)));
    assert_eq!((joined.id, joined.members.len()), (1, 4));
    assert_eq!(triage(group(&["n?"], &[rules::SAID_BY_OTHERS]), &[joined, known[1].clone()], &lax, 3, at(2)), []);
}

/// As a rule's finding is taken.
fn rules_policy() -> TriagePolicy {
    TriagePolicy { score_min: 0, families_min: 1, members_min: 0, ..policy() }
}

/// What a report opens is a label of its own, nobody is meant by it, and screening finds it again as the same.
#[test]
fn a_report_from_outside_opens_a_case_that_means_nobody_by_itself() {
    let report = |names: &[&str]| Report {
        reporter: Reporter::Issuer,
        members: names.iter().map(|name| (id(name), 300)).collect(),
        reason: "chargebacks for fraud".to_owned(),
        by: "key_1".to_owned(),
    };
    let case = reported(&report(&["a", "b"]), &[], 7, at(1)).unwrap();
    assert_eq!((case.id, case.status, case.score), (7, Status::Open, 300));
    assert_eq!(case.origin.reported, Some(Reporter::Issuer));
    assert!(case.meant().is_empty(), "others say it");
    assert!(case.members.iter().all(|suspect| case.agreeing(&suspect.member) == 0), "and nothing acts on it");
    // What is found of them since joins it, and then they are meant.
    let grown = triage(group(&["a", "b", "c"], &["ring", "burst"]), std::slice::from_ref(&case), &policy(), 8, at(2));
    assert_eq!(grown.len(), 1);
    assert_eq!((grown[0].id, grown[0].meant().len()), (7, 3));
    // Another report of one of them grows it; of a stranger it opens another.
    let more = reported(&report(&["b", "d"]), std::slice::from_ref(&case), 9, at(3)).unwrap();
    assert_eq!((more.id, more.members.len(), more.timeline.last().unwrap().step), (7, 3, Some(Step::Grow)));
    assert_eq!(reported(&report(&["x"]), &[], 9, at(3)).unwrap().id, 9);
    // One that people dismissed is open again: it is a kind of evidence that they had not seen.
    let mut dismissed = triage(group(&["a", "b", "c"], &["ring", "burst"]), &[], &policy(), 8, at(2)).remove(0);
    dismissed.step(Step::Dismiss, "key_2", String::new(), at(3)).unwrap();
    let again = reported(&report(&["a", "b"]), &[dismissed], 9, at(4)).unwrap();
    assert_eq!((again.id, again.status, again.origin.reported), (8, Status::Open, Some(Reporter::Issuer)));
}

/// Nothing is done by itself where too few honest groups of the kind are known, or too many score as high.
#[test]
fn the_policy_acts_only_where_honest_groups_of_the_kind_score_lower() {
    let hold = TriagePolicy {
        automatic: Automatic::Hold,
        automatic_score_min: 800,
        act_error_max: 50,
        open_error_max: 500,
        ..policy()
    };
    let found = || group(&["a", "b", "c"], &["ring", "burst"]);
    let acts = |policy: &TriagePolicy| triage(found(), &[], policy, 7, at(1)).first().map(|case| case.acts.len());
    let homes = |count: usize, score: u16, said: Said| {
        let all: Vec<Control> =
            (0..count).map(|row| Control { segment: Segment::Household, rows: vec![row] }).collect();
        Controls::of(
            &all,
            move |row| if row < 20 { score } else { 0 },
            move |row| if row < 20 { said } else { Said::Nothing },
        )
    };
    assert_eq!(acts(&hold), Some(0), "before the first pass");
    assert_eq!(acts(&hold.bounded(&homes(500, 0, Said::Nothing))), Some(0), "too few");
    assert_eq!(acts(&hold.bounded(&homes(700, 0, Said::Nothing))), Some(1));
    assert_eq!(acts(&hold.bounded(&homes(700, 900, Said::Nothing))), Some(0), "twenty score as high");
    assert_eq!(acts(&hold.bounded(&homes(700, 900, Said::Fraud))), Some(1), "and are fraud");
    // Once people called enough of those honest it is no case either.
    assert_eq!(acts(&hold.bounded(&homes(200, 900, Said::Nothing))), Some(0), "a case that waits tells nothing");
    assert_eq!(acts(&hold.bounded(&homes(200, 900, Said::Honest))), None);
}
