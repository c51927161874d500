//! What is kept of the records: links that come and go, components, memory; who ties themselves to
//! a group; and that the live score and the pass's agree.

use super::feed::Page;
use super::kept::Kept;
use super::live::{Arrivals, look};
use super::own::own;
use super::pass::{Passed, Scored, pass};
use super::resident::{Resident, Who};
use super::snapshot::{self, Copied, Place};
use crate::cases::triage::TriagePolicy;
use crate::config::{ModelSettings, ModelState, Settings};
use crate::domain::member::LinkFact;
use crate::domain::{CardHash, MemberId, Timestamp};
use crate::graph::model::named::NamedModel;
use crate::journal::Position;
use crate::record::{Body, Envelope, MemberInput, Record};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

fn at(second: i64) -> Timestamp {
    Timestamp::from_ms(second * 1000)
}

fn id(name: &str) -> MemberId {
    MemberId::new(name).unwrap()
}

fn hash(value: &str) -> CardHash {
    CardHash(xxhash_rust::xxh3::xxh3_128(value.as_bytes()).to_be_bytes())
}

fn policy() -> TriagePolicy {
    Settings::compiled_in().screening.triage
}

/// `kind=value`, verified with a `!` at its end.
fn links(said: &[&str], since: i64) -> Vec<LinkFact> {
    let link = |text: &&str| {
        let (kind, value) = text.split_once('=').unwrap();
        LinkFact {
            kind: kind.into(),
            value: hash(value.trim_end_matches('!')),
            verified: value.ends_with('!'),
            at: at(since),
        }
    };
    said.iter().map(link).collect()
}

fn put(resident: &mut Resident, name: &str, by: Option<&str>, said: &[&str], since: i64) -> Who {
    let who = resident.enter(&id(name));
    let by = by.map(id);
    resident.register(who, at(since), by.as_ref().map(|by| (by, at(since))), &links(said, since));
    who
}

fn component(resident: &Resident, who: Who) -> Vec<String> {
    let mut names: Vec<String> =
        resident.component(who, 1000).iter().map(|&who| resident.name(who).to_owned()).collect();
    names.sort();
    assert_eq!(names.len(), resident.component_size(who) as usize, "the sets and the links agree: {names:?}");
    names
}

#[test]
fn strong_keys_join_and_a_key_taken_away_parts_again() {
    let mut all = Resident::new();
    let a = put(&mut all, "a", None, &["device=1", "ip=9"], 0);
    let b = put(&mut all, "b", Some("a"), &["device=1", "payout=2"], 10);
    let c = put(&mut all, "c", None, &["payout=2"], 20);
    let d = put(&mut all, "d", None, &["ip=9", "address=7"], 30);
    assert_eq!(component(&all, a), ["a", "b", "c"]);
    assert_eq!(component(&all, d), ["d"], "a network or an address is no strong key");
    all.card(d, &hash("card"), at(40));
    all.card(a, &hash("card"), at(50));
    assert_eq!(component(&all, c), ["a", "b", "c", "d"]);
    // The same again changes nothing, another kind of key is another key.
    let count = all.link_count();
    put(&mut all, "b", Some("a"), &["device=1", "payout=2"], 10);
    assert_eq!(all.link_count(), count);
    put(&mut all, "b", Some("a"), &["device=2"], 10);
    assert_eq!(component(&all, b), ["b"]);
    assert_eq!(component(&all, c), ["c"]);
    assert_eq!(component(&all, a), ["a", "d"], "the card stays");
    all.erase(d);
    assert_eq!(component(&all, a), ["a"]);
    assert_eq!(all.named(a).map(|link| link.by).collect::<Vec<_>>(), [b], "who referred them stays");
    // What was taken away is used again.
    put(&mut all, "e", None, &["device=1", "phone=4", "email=5"], 60);
    assert_eq!(component(&all, a), ["a", "e"]);
    assert_eq!(all.said(4).count(), 3);
}

#[test]
fn who_is_only_named_or_imitated_ties_nobody() {
    let mut all = Resident::new();
    let honest = put(&mut all, "honest", None, &["device=h!", "address=home!"], 0);
    let fakes: Vec<Who> = (0..4)
        .map(|n| put(&mut all, &format!("f{n}"), Some("honest"), &["device=h", "address=home", "device=farm"], 10))
        .collect();
    let group: BTreeSet<Who> = fakes.iter().copied().chain([honest]).collect();
    assert!(!own(&all, &group).contains(&honest), "all of it is the others' word");
    assert!(fakes.iter().all(|&fake| own(&all, &group).contains(&fake)));
    // A verified instrument of both is.
    let mut all = Resident::new();
    let one = put(&mut all, "one", None, &["payout=p!"], 0);
    let two = put(&mut all, "two", None, &["payout=p!"], 0);
    let group = BTreeSet::from([one, two]);
    assert!(own(&all, &group).contains(&one) && own(&all, &group).contains(&two));
    // Unverified, who came later typed it, even in the same second.
    let mut all = Resident::new();
    let first = put(&mut all, "first", None, &["phone=p"], 0);
    let second = put(&mut all, "second", None, &["phone=p"], 0);
    let group = BTreeSet::from([first, second]);
    assert_eq!((own(&all, &group).contains(&first), own(&all, &group).contains(&second)), (false, true));
    assert!(!own(&all, &BTreeSet::from([second])).contains(&second), "with nobody of the group");
}

/// A network of the shape that is promised: five links a member, most identifiers one's own.
#[test]
fn inv_09_a_link_takes_48_bytes_and_a_member_120() {
    let mut all = Resident::new();
    for n in 0..60_000_u32 {
        let by = (n % 4 > 0).then(|| format!("member-{:08}", n / 4 * 4));
        let said =
            [format!("device={n}"), format!("email={n}"), format!("address={}", n / 3), format!("ip={}", n / 20)];
        let said: Vec<&str> = said.iter().map(String::as_str).collect();
        put(&mut all, &format!("member-{n:08}"), by.as_deref(), &said, i64::from(n));
    }
    let (members, links) = all.bytes();
    let (per_member, per_link) = (members / all.len(), links / all.link_count());
    println!("{per_member} bytes a member, {per_link} a link");
    assert!(per_member <= 120 && per_link <= 48, "{per_member} bytes a member, {per_link} a link");
}

/// A base of members alone, and a ring of twelve on one device and account.
fn town() -> Resident {
    let mut all = Resident::new();
    for n in 0..200 {
        let device = format!("device=own-{n}");
        let address = format!("address=home-{}", n / 2);
        put(&mut all, &format!("h{n}"), None, &[&device, &address], n * 86_400);
    }
    for n in 0..12 {
        let by = (n > 0).then(|| format!("r{}", n - 1));
        put(&mut all, &format!("r{n}"), by.as_deref(), &["device=ring!", "payout=ring!"], 100 * 86_400 + n * 60);
    }
    all
}

#[test]
fn a_day_seen_live_ends_where_the_pass_does() {
    let all = town();
    let ring = all.find("r5").unwrap();
    let passed = pass(&all, &policy(), None, false, at(300 * 86_400)).unwrap();
    assert_eq!(passed.groups.len(), 1, "{:#?}", passed.groups);
    assert_eq!(passed.groups[0].members.len(), 12);
    let (scores, group) = look(&all, ring, &Arrivals::default(), Some(&passed), &policy(), at(300 * 86_400));
    assert_eq!(group.unwrap().members.len(), 12);
    for (who, scored) in scores {
        let theirs = &passed.scores[&who];
        assert!((scored.score - theirs.score).abs() < 1e-9, "{} against {}", scored.score, theirs.score);
    }
    // Before any pass the ring is seen by what it does.
    let (_, group) = look(&all, ring, &Arrivals::default(), None, &policy(), at(300 * 86_400));
    assert!(group.is_some());
    let (scores, group) = look(&all, 0, &Arrivals::default(), None, &policy(), at(300 * 86_400));
    assert!(scores.is_empty() && group.is_none(), "who shares no strong key is in no component");
}

/// A model of two figures: members among contacts count against, few links for.
fn model(state: ModelState) -> ModelSettings {
    let feature = |name: &str, family: &str, direction: &str, steps: &str| {
        format!(
            r#"{{"name": "{name}", "family": "{family}", "direction": "{direction}", "edges": [5.0], "steps": {steps}}}"#
        )
    };
    let text = format!(
        r#"{{"version": 1, "fitted_on": {{"members": 40, "bad": 20, "reviewed": 0, "communities": 9, "folds": 5,
        "seed": 1, "held_out": null}}, "intercept": -6.0, "features": [{}, {}],
        "calibration": {{"scores": [-4.0, 0.0, 6.0], "chances": [0.01, 0.4, 0.9]}}}}"#,
        feature("mdsh", "neighbours", "more", "[0.0, -0.5, 1.5]"),
        feature("f_n", "groups", "more", "[0.0, -0.25, 1.0]"),
    );
    ModelSettings { named: Arc::new(NamedModel::read("two.json", &text).unwrap()), state }
}

/// A day as it comes, each looked at, and everybody at its end: what is kept up to date between two
/// passes is what the second one says.
#[test]
fn a_day_replayed_live_is_what_the_pass_at_its_end_says() {
    let mut all = town();
    let (morning, day) = (at(300 * 86_400), 300 * 86_400);
    let passed = pass(&all, &policy(), None, false, morning).unwrap();
    let mut live: BTreeMap<Who, Scored> = BTreeMap::new();
    let mut seen = |all: &Resident, who: Who, second: i64| {
        let (scores, _) = look(all, who, &Arrivals::default(), Some(&passed), &policy(), at(second));
        live.extend(scores);
    };
    // A ring comes one by one, a family beside it, and one of the old ring takes a device of the new one.
    for n in 0..10 {
        let by = (n > 0).then(|| format!("q{}", n / 2));
        let who = put(&mut all, &format!("q{n}"), by.as_deref(), &["device=new!", "payout=new!"], day + 60 * n);
        seen(&all, who, day + 60 * n);
    }
    for n in 0..3 {
        let who = put(&mut all, &format!("kin{n}"), None, &["device=tablet!", "address=kin!"], day + 7_000 + n);
        seen(&all, who, day + 7_000 + n);
    }
    let old = put(&mut all, "r3", Some("r2"), &["device=ring!", "payout=ring!", "device=new!"], 100 * 86_400 + 180);
    seen(&all, old, day + 9_000);
    let evening = pass(&all, &policy(), None, false, at(day + 86_000)).unwrap();
    let said = |scored: Option<&Scored>, source: &str| {
        let part = scored.and_then(|scored| scored.parts.iter().find(|part| part.source == source));
        part.map_or(0.0, |part| part.adds)
    };
    assert!(live.len() >= 25, "both rings and the family were looked at: {}", live.len());
    for (who, scored) in &live {
        for source in ["shared-instrument", "self-referral"] {
            let (now, then) = (said(Some(scored), source), said(evening.scores.get(who), source));
            assert!((now - then).abs() < 1e-9, "{} {source}: {now} live, {then} in the pass", all.name(*who));
        }
        // All else stands as the morning's pass said it.
        let others = |scored: Option<&Scored>| -> f64 {
            let all = scored.into_iter().flat_map(|scored| &scored.parts);
            let kept = ["shared-instrument", "self-referral", "signup-burst"];
            all.filter(|part| !kept.contains(&part.source)).map(|part| part.adds).sum()
        };
        assert!((others(Some(scored)) - others(passed.scores.get(who))).abs() < 1e-9, "{}", all.name(*who));
    }
}

#[test]
fn there_is_one_score_with_a_live_model_too() {
    let mut all = town();
    let (ring, at) = (all.find("r5").unwrap(), at(300 * 86_400));
    let live = model(ModelState::Live);
    let passed = pass(&all, &policy(), Some(&live), false, at).unwrap();
    let (scores, _) = look(&all, ring, &Arrivals::default(), Some(&passed), &policy(), at);
    assert_eq!(scores.len(), 12);
    for (who, scored) in &scores {
        let theirs = &passed.scores[who];
        assert!((scored.score - theirs.score).abs() < 1e-9, "{} against {}", scored.score, theirs.score);
        let sum: f64 = scored.parts.iter().map(|part| part.adds).sum();
        assert!((scored.score - live.named.score(sum)).abs() < 1e-9, "the score is the sum of its contributions");
    }
    // Of those whom the pass found quiet the sum alone was kept: it is the same.
    let quiet = all.find("h7").unwrap();
    let by_model = passed.live_model().unwrap();
    assert!(!passed.scores.contains_key(&quiet) && by_model.score(quiet).unwrap() < 100.0);
    assert!((by_model.quiet(quiet).score - by_model.score(quiet).unwrap()).abs() < 1e-9);
    // One who came since is as the middle member is, with what is seen of them live.
    let new = put(&mut all, "new", Some("r5"), &["device=ring!"], 299 * 86_400);
    let (scores, _) = look(&all, new, &Arrivals::default(), Some(&passed), &policy(), at);
    assert_eq!(by_model.score(new), None);
    assert!(scores[&new].score > by_model.quiet(new).score, "{:#?}", scores[&new]);
    // A version that was withdrawn says nothing.
    all.withdraw("fitted-model", live.named.version);
    assert!(pass(&all, &policy(), Some(&live), false, at).unwrap().model.is_none());
}

#[test]
fn a_model_in_shadow_leaves_scores_and_groups_as_they_are() {
    let all = town();
    let at = at(300 * 86_400);
    let alone = pass(&all, &policy(), None, false, at).unwrap();
    let beside = pass(&all, &policy(), Some(&model(ModelState::Shadow)), false, at).unwrap();
    assert_eq!(beside.groups, alone.groups);
    let scores = |passed: &Passed| -> BTreeMap<Who, u64> {
        passed.scores.iter().map(|(who, scored)| (*who, scored.score.to_bits())).collect()
    };
    assert_eq!(scores(&beside), scores(&alone));
    let told = beside.model.unwrap().beside.unwrap();
    assert_eq!((told.both + told.score_alone, told.model_alone), (1, 0), "one group, by one score or both");
    // One that takes everybody for honest would not open it.
    let policy = TriagePolicy { score_min: 999, ..policy() };
    let strict = pass(&all, &policy, Some(&model(ModelState::Shadow)), false, at).unwrap();
    let told = strict.model.unwrap().beside.unwrap();
    assert_eq!((told.both, told.model_alone, told.score_alone), (0, 0, 0));
}

#[test]
fn families_and_offices_are_no_groups() {
    let mut all = Resident::new();
    for n in 0..240 {
        let (device, home) = (format!("device=tablet-{}!", n / 3), format!("address=home-{}!", n / 3));
        let office = format!("ip=office-{}", n % 6);
        let by = (n % 3 > 0).then(|| format!("m{}", n / 3 * 3));
        put(&mut all, &format!("m{n}"), by.as_deref(), &[&device, &home, &office], (n * 7919 % 400) * 86_400);
    }
    let passed = pass(&all, &policy(), None, false, at(500 * 86_400)).unwrap();
    assert!(passed.groups.is_empty(), "{:#?}", passed.groups);
}

#[test]
fn how_common_a_finding_is_among_honest_members_is_told() {
    let mut all = Resident::new();
    for number in 0..200 {
        put(&mut all, &format!("m-{number}"), None, &[&format!("device=own-{number}!")], number);
    }
    let ring: Vec<Who> = (0..8).map(|n| put(&mut all, &format!("r-{n}"), None, &["device=one!"], 1_000 + n)).collect();
    let others: Vec<Who> =
        (0..6).map(|n| put(&mut all, &format!("o-{n}"), None, &["device=two!"], 9_000 + n)).collect();
    // What people said of the ring takes it out of those who might be honest.
    ring.iter().for_each(|&who| all.member_mut(who).known = Some(true));
    let passed = pass(&all, &policy(), None, false, at(100_000)).unwrap();
    let spoken = passed.spoken.iter().find(|one| one.detector == "shared-instrument").unwrap();
    assert_eq!((spoken.of, spoken.honest), (others.len(), 206));
    let silent = passed.spoken.iter().filter(|one| one.of == 0).count();
    assert!(silent > 0, "of one that found nothing it is told too: {:?}", passed.spoken);
}

/// A record of a member, the first of theirs or a later one.
fn said(member: &str, version: u64, second: i64, input: MemberInput) -> Record {
    let envelope = Envelope {
        process: 1,
        partition: 0,
        number: version,
        epoch: 1,
        again: None,
        at: at(second),
        previous: None,
        version,
        catalogue: 1,
        mark: Timestamp::default(),
        request: None,
    };
    Record { envelope, body: Body::Member { member: id(member), input: Box::new(input), changes: Vec::new() } }
}

/// Reading on from a snapshot gives what reading all gives, to the byte.
#[test]
fn a_snapshot_and_the_rest_is_the_whole() {
    let joins = |member: usize, version: u64, device: &str| {
        let by = (member > 0).then(|| (id(&format!("m{}", member - 1)), at(60)));
        let links = links(&[&format!("device={device}!"), "ip=wifi", "email=x"], 60);
        let input = MemberInput::Registered { joined_at: at(60), referred_by: by, profile: None, links };
        said(&format!("m{member}"), version, 60, input)
    };
    let mut records: Vec<Record> = (0..40).map(|member| joins(member, 1, &format!("d{}", member / 3))).collect();
    // Some say something else later, one is gone, and a card is linked.
    records.extend((0..40).step_by(4).map(|member| joins(member, 2, "other")));
    records.push(said("m7", 2, 90, MemberInput::Erased { slot: None }));
    let take = |kept: &mut Kept, records: &[Record]| {
        kept.take(Page { records: records.to_vec(), ..Page::default() });
    };
    let bytes = |kept: &Kept| {
        let place = Place { next: Position::FIRST, last: (Position::FIRST, 0, 7) };
        let (resident, rules, arrivals) = (Arc::new(kept.resident.clone()), kept.rules.clone(), kept.arrivals.clone());
        let (report, worth, release) = (kept.report.clone(), kept.worth.clone(), vec![id("m1")]);
        Copied { resident, rules, arrivals, report, worth, place, release }.bytes().unwrap()
    };
    let mut whole = Kept::default();
    take(&mut whole, &records);
    for middle in [0, 1, 23, 40, 45, records.len()] {
        let mut early = Kept::default();
        take(&mut early, &records[..middle]);
        let (mut resumed, place, release) = snapshot::parse(&bytes(&early)).unwrap();
        assert_eq!((place.last.2, release), (7, vec![id("m1")]));
        take(&mut resumed, &records[middle..]);
        assert!(bytes(&resumed) == bytes(&whole), "after {middle} records");
        assert_eq!(resumed.resident.find("m39"), whole.resident.find("m39"));
    }
    let good = bytes(&whole);
    for place in [0, 8, 12, 27, 28, good.len() / 2, good.len() - 1] {
        let mut damaged = good.clone();
        damaged[place] ^= 0x40;
        assert!(snapshot::parse(&damaged).is_err(), "byte {place}");
    }
    assert!(snapshot::parse(&good[..good.len() - 1]).is_err() && snapshot::parse(&[]).is_err());
}
