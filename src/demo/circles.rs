//! Who is tied to whom in the town, from the seed alone: families, offices and popular
//! ambassadors, who are honest; rings, stars and chains of fake accounts; a competitor's staff.
//! Each is told to the service as an issuer's app would, one request per person. Pure.

use super::town::{COMPETITOR, Town};
use crate::domain::time::DAY_MS;
use crate::domain::{MemberId, Timestamp};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

/// People who have ties: in a large town the others are told without.
const PEOPLE_MAX: usize = 1_000;
/// Offers that a competitor's scout looks at.
const LOOKS: usize = 15;

/// What ties a circle together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// One home, one tablet; one of them referred the others.
    Family,
    /// One network, each a device of their own.
    Office,
    /// Refers many over the years.
    Ambassador,
    /// One device and account, each refers the next.
    Ring,
    /// One refers all of them in a night.
    Star,
    /// One after the other, one account.
    Chain,
    /// Work for a shop's competitor.
    Rivals,
}

impl Kind {
    /// Whether people should leave them in peace.
    #[must_use]
    pub fn is_honest(self) -> bool {
        matches!(self, Self::Family | Self::Office | Self::Ambassador)
    }
    /// In words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Family => "families",
            Self::Office => "offices",
            Self::Ambassador => "ambassadors",
            Self::Ring => "a ring",
            Self::Star => "a star",
            Self::Chain => "a chain",
            Self::Rivals => "a competitor's staff",
        }
    }
}

/// Some people who are tied together.
#[derive(Debug, Clone)]
pub struct Circle {
    /// By what.
    pub kind: Kind,
    /// Who.
    pub members: Vec<MemberId>,
}

/// A request to the service.
#[derive(Debug, Clone)]
pub struct Call {
    /// `PUT` or `POST`.
    pub method: &'static str,
    /// Where to.
    pub path: String,
    /// The document.
    pub body: String,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Circles {
    /// Who is tied together.
    pub circles: Vec<Circle>,
    /// How the service is told, in steps: those of one step side by side.
    pub said: [Vec<Call>; 2],
}

fn link(kind: &str, value: String, verified: bool) -> Value {
    json!({"kind": kind, "value": value, "verified": verified})
}

fn id(text: &str) -> MemberId {
    MemberId::new(text).expect("made here to obey the rules")
}

impl Circles {
    /// Ties the town's people, and adds those who are none. The same seed makes the same.
    #[must_use]
    pub fn draw(town: &Town, seed: u64, start: Timestamp) -> Self {
        let mut circles = Self::default();
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0x5eed);
        let people: Vec<&MemberId> = town.people.iter().take(PEOPLE_MAX).map(|person| &person.id).collect();
        circles.honest(&mut rng, &people);
        circles.ring(&mut rng, start);
        circles.star(&mut rng, start);
        circles.chain(&mut rng, start);
        circles.rivals(start);
        circles
    }

    fn tell(&mut self, member: &MemberId, joined_at: Option<Timestamp>, by: Option<&MemberId>, links: &[Value]) {
        let mut document = json!({"links": links});
        if let Some(by) = by {
            document["referred_by"] = json!(by.as_str());
        }
        if let Some(at) = joined_at {
            document["joined_at"] = json!(at.to_string());
        }
        self.said[0].push(Call { method: "PUT", path: format!("/v1/members/{member}"), body: document.to_string() });
    }

    fn honest(&mut self, rng: &mut ChaCha8Rng, people: &[&MemberId]) {
        let (families, rest) = people.split_at(people.len() * 3 / 10);
        let (offices, others) = rest.split_at(people.len() / 5);
        for (home, family) in families.chunks(3).enumerate() {
            for (place, member) in family.iter().enumerate() {
                let links = [
                    link("device", format!("tablet-{home}"), true),
                    link("address", format!("home-{home}"), true),
                    link("device", format!("phone-{home}-{place}"), true),
                ];
                self.tell(member, None, (place > 0).then(|| family[0]), &links);
            }
            self.circle(Kind::Family, family);
        }
        for (number, office) in offices.chunks(15).enumerate() {
            for (place, member) in office.iter().enumerate() {
                let links = [
                    link("ip", format!("198.51.100.{number}"), false),
                    link("device", format!("desk-{number}-{place}"), true),
                ];
                self.tell(member, None, None, &links);
            }
            self.circle(Kind::Office, office);
        }
        // Two refer one in five of all others.
        let ambassadors = &others[..others.len().min(2)];
        let mut referred: Vec<Vec<&MemberId>> = ambassadors.iter().map(|ambassador| vec![*ambassador]).collect();
        for (place, member) in others.iter().enumerate() {
            let by = (place >= 2 && rng.random_ratio(1, 5)).then(|| rng.random_range(0..ambassadors.len()));
            if let Some(by) = by {
                referred[by].push(member);
            }
            let links =
                [link("device", format!("own-{place}"), true), link("email", format!("p{place}@mail.example"), true)];
            self.tell(member, None, by.map(|by| ambassadors[by]), &links);
        }
        for circle in &referred {
            self.circle(Kind::Ambassador, circle);
        }
    }

    fn circle(&mut self, kind: Kind, members: &[&MemberId]) {
        self.circles.push(Circle { kind, members: members.iter().map(|&member| member.clone()).collect() });
    }

    /// Accounts of one hand: each a name, and minutes after the one before.
    fn fakes(
        &mut self,
        rng: &mut ChaCha8Rng,
        kind: Kind,
        name: &str,
        count: usize,
        begun: Timestamp,
    ) -> Vec<(MemberId, Timestamp)> {
        let mut at = begun;
        let mut fakes = Vec::with_capacity(count);
        for place in 0..count {
            fakes.push((id(&format!("{name}.{place}")), at));
            at = at.plus_ms(rng.random_range(60_000..400_000));
        }
        self.circles.push(Circle { kind, members: fakes.iter().map(|(member, _)| member.clone()).collect() });
        fakes
    }

    fn ring(&mut self, rng: &mut ChaCha8Rng, start: Timestamp) {
        let fakes = self.fakes(rng, Kind::Ring, "ring", 12, start.plus_ms(-2 * DAY_MS));
        for (place, (member, at)) in fakes.iter().enumerate() {
            let links =
                [link("device", "ring-phone".to_owned(), true), link("payout", "ring-account".to_owned(), true)];
            let by = place.checked_sub(1).map(|before| &fakes[before].0);
            self.tell(member, Some(*at), by, &links);
        }
    }

    fn star(&mut self, rng: &mut ChaCha8Rng, start: Timestamp) {
        let fakes = self.fakes(rng, Kind::Star, "star", 16, start.plus_ms(-DAY_MS));
        for (place, (member, at)) in fakes.iter().enumerate() {
            let links = [
                link("device", format!("star-phone-{}", place % 2), true),
                link("payout", "star-account".to_owned(), true),
            ];
            self.tell(member, Some(*at), (place > 0).then(|| &fakes[0].0), &links);
        }
    }

    fn chain(&mut self, rng: &mut ChaCha8Rng, start: Timestamp) {
        let fakes = self.fakes(rng, Kind::Chain, "chain", 9, start.plus_ms(-3 * DAY_MS));
        for (place, (member, at)) in fakes.iter().enumerate() {
            let links = [
                link("device", format!("chain-phone-{place}"), true),
                link("payout", "chain-account".to_owned(), true),
            ];
            let by = place.checked_sub(1).map(|before| &fakes[before].0);
            self.tell(member, Some(*at), by, &links);
        }
    }

    /// Three who joined in different weeks, from the competitor's office, and read every offer.
    fn rivals(&mut self, start: Timestamp) {
        let members: Vec<MemberId> = (0..3).map(|place| id(&format!("scout.{place}"))).collect();
        for (place, member) in (0..).zip(&members) {
            let links = [
                link("email", format!("buyer{place}@{}", COMPETITOR.1), true),
                link("ip", format!("203.0.113.{}", 10 + place), false),
                link("device", format!("scout-laptop-{place}"), true),
            ];
            self.tell(member, Some(start.plus_ms(-(20 + 9 * place) * DAY_MS)), None, &links);
            for look in 0..LOOKS {
                let body = json!({"kind": "offer_viewed", "id": format!("look-{look}")}).to_string();
                self.said[1].push(Call { method: "POST", path: format!("/v1/members/{member}/signals"), body });
            }
        }
        self.circles.push(Circle { kind: Kind::Rivals, members });
    }
}
