//! A case of six accounts of one hand, and keys for those who look at it.

use super::Service;
use ringfence::authenticate::keys::users::{PasswordHash, UserName};
use ringfence::authenticate::keys::{KEY_RANDOM_BYTES, NewKey, Role};
use ringfence::cases::triage::{Automatic, Cuts, Group, NO_BOUND, TriagePolicy};
use ringfence::cases::{Evidence, Suspect, Tie};
use ringfence::domain::{Currency, MemberId, MerchantId};

pub fn key(service: &Service, role: Role, merchant: Option<&str>) -> String {
    let merchant = merchant.map(|id| MerchantId::new(id).unwrap());
    let mut random = [role as u8 + 1; KEY_RANDOM_BYTES];
    random[0] = merchant.as_ref().map_or(0, |id| id.as_str().len() as u8);
    let new = NewKey { role, merchant, label: None };
    service.doors.keys.create(new, service.clock.now(), &random).unwrap().1.expose().to_owned()
}

/// Enters a user of the consoles; their password.
pub fn user(service: &Service, name: &str, role: Role, merchant: Option<&str>) -> String {
    let (user, password): (UserName, _) = (name.parse().unwrap(), format!("the password of {name}"));
    let merchant = merchant.map(|id| MerchantId::new(id).unwrap());
    service.doors.keys.create_user(user.clone(), role, merchant, service.clock.now()).unwrap();
    let hash = PasswordHash::of(&password, &[7; 16]).unwrap();
    service.doors.keys.set_password(&user, &hash).unwrap();
    password
}

/// The name of one member, who would be a script if anything were not escaped.
pub const NAUGHTY: &str = "<script>alert('5')</script>\"";

pub fn ring_member(at: usize) -> String {
    if at == 5 { NAUGHTY.to_owned() } else { format!("ring-{at}") }
}

/// Six accounts of one hand as they are told of.
pub struct Six {
    pub names: Vec<String>,
    /// Where they bought, for 40.00 each.
    pub mid: &'static str,
    /// Detector, family, words.
    pub evidence: [(&'static str, &'static str, &'static str); 2],
}

/// A case of six accounts of one hand, each with a reward of 2.00 USD on hold.
pub async fn ring(service: &Service) -> u64 {
    let engine = service.engine();
    engine.put_merchant(super::merchant("shop", &["123456"]), None).await.unwrap();
    let terms = ringfence::domain::offer::Terms { hold_days: 14, ..super::terms("shop") };
    super::publish(engine, "five", terms).await;
    let evidence = [
        ("shared_device", "shared_device", "six accounts, shared_device <b>bold</b>"),
        ("referral_chain", "referral_chain", "six accounts, referral_chain <b>bold</b>"),
    ];
    six(service, Six { names: (0..6).map(ring_member).collect(), mid: "123456", evidence }).await
}

/// Enters six accounts, what they bought, and the case about them.
pub async fn six(service: &Service, six: Six) -> u64 {
    let engine = service.engine();
    let at = service.clock.now();
    let id = |place: usize| MemberId::new(&six.names[place]).unwrap();
    for place in 0..6 {
        super::member(engine, id(place).as_str(), &format!("tok_ring_{place}")).await;
        let (event, purchase, card) = (format!("e{place}"), format!("p{place}"), format!("tok_ring_{place}"));
        let body = super::event(&event, "clearing", &purchase, &card, 4_000, "2026-11-21T11:00:00Z", six.mid);
        assert_eq!(service.post("visa-eu", body).await.0, 200);
    }
    let evidence = |(detector, family, words): (&str, &str, &str)| Evidence {
        detector: detector.into(),
        version: 1,
        family: family.into(),
        strength: 700,
        words: words.to_owned(),
        clears: "proof that they are six people".to_owned(),
        members: (0..6).map(id).collect(),
        seen_at: at,
    };
    let tie =
        |place: usize| Tie { from: id(place), to: "device 1".to_owned(), kind: "device".into(), verified: true, at };
    let referral = |place: usize| Tie {
        from: id(place),
        to: six.names[place - 1].clone(),
        kind: "referral".into(),
        verified: false,
        at,
    };
    let group = Group {
        merchant: None,
        members: (0..6).map(|place| Suspect { member: id(place), score: 900, own: place != 4, since: at }).collect(),
        evidence: six.evidence.into_iter().map(evidence).collect(),
        ties: (0..6).map(tie).chain((1..6).map(referral)).collect(),
    };
    let policy = TriagePolicy {
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
    };
    engine.enter_group(group, &policy).await.unwrap()[0].id
}

pub async fn posted(service: &Service, member: &str) -> i64 {
    let state = service.engine().load(&MemberId::new(member).unwrap()).await.unwrap().unwrap();
    state.head.balance(Currency::parse("USD").unwrap()).posted_minor
}
