//! The generator: the same seed gives the same day, and plain arithmetic agrees with it.

use super::day::{Day, Expect, Message, Step, stands};
use super::houses;
use super::regulars::Regulars;
use super::town::{SOURCES, Town};
use super::traffic::generate;
use crate::domain::{EventKind, Timestamp};
use crate::normalise::{Message as Said, normalise};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

const DAY: u32 = 20_778;

fn day(seed: u64, members: usize, webhooks: usize) -> (Town, Day) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let town = Town::build(&mut rng, members);
    let day = generate(&town, &mut rng, DAY, webhooks);
    (town, day)
}

#[test]
fn the_same_seed_makes_the_same_day() {
    let bodies = |seed| day(seed, 50, 2000).1.messages.into_iter().map(|m| (m.deliver, m.body)).collect::<Vec<_>>();
    assert_eq!(bodies(1), bodies(1));
    assert_ne!(bodies(1), bodies(2));
}

#[test]
fn a_day_has_something_of_everything() {
    let (_, day) = day(7, 300, 12_000);
    for expect in [
        Expect::Ours,
        Expect::Duplicate,
        Expect::NoOffer,
        Expect::UnknownCard,
        Expect::Ignored,
        Expect::Conflict,
        Expect::Kept,
        Expect::Unreadable,
        Expect::NotProven,
    ] {
        assert!(day.expected(expect) > 0, "{expect:?}");
    }
    for kind in EventKind::ALL {
        let rare = [EventKind::ClearingReversal, EventKind::RefundReversal];
        let seen = day.bought.iter().flat_map(|bought| &bought.steps).any(|step| step.kind == kind);
        assert!(seen || rare.contains(&kind), "{kind:?}");
    }
    let all: u64 = [Expect::Ours, Expect::Duplicate].iter().map(|expect| day.expected(*expect)).sum();
    assert!(day.expected(Expect::Duplicate) * 100 / all >= 4, "about 5 % are duplicates");
    assert!(day.messages.windows(2).all(|pair| pair[0].deliver <= pair[1].deliver));
    assert!(day.messages.last().unwrap().deliver < Timestamp::start_of_day(DAY + 2));
}

/// Every body is what its source would send, and is read as what was meant.
#[test]
fn every_dialect_is_understood() {
    let (_, day) = day(3, 200, 6000);
    let reads = |message: &Message| normalise(SOURCES[message.source].dialect.format, message.body.as_bytes());
    for message in &day.messages {
        let read = reads(message);
        let right = match (message.expect, &read) {
            (Expect::Unreadable, read) => read.is_err(),
            (Expect::Ignored, Ok(read)) => matches!(read.messages[0], Said::Ignored { .. }),
            (Expect::Kept, Ok(read)) => matches!(read.messages[0], Said::Impossible { .. }),
            (_, Ok(read)) => matches!(read.messages[0], Said::Event(_)),
            (_, Err(_)) => false,
        };
        assert!(right, "{message:?} {read:?}");
    }
}

#[test]
fn what_stands_is_cleared_less_what_came_back() {
    let step = |kind, minor| Step { kind, minor, at: Timestamp::default(), sequence: None };
    use EventKind::{Advice, Authorization, Clearing, Increment, Refund, Reversal};
    for (steps, want) in [
        (vec![(Authorization, Some(500))], 500),
        (vec![(Authorization, Some(100)), (Advice, Some(4210))], 4210),
        (vec![(Authorization, Some(900)), (Increment, Some(100)), (Clearing, Some(990))], 990),
        (vec![(Authorization, Some(900)), (Reversal, None)], 0),
        (vec![(Clearing, Some(400)), (Clearing, Some(500)), (Refund, Some(100))], 800),
        (vec![(Clearing, Some(400)), (Refund, Some(400)), (Refund, Some(1))], 0),
    ] {
        let steps: Vec<Step> = steps.into_iter().map(|(kind, minor)| step(kind, minor)).collect();
        assert_eq!(stands(&steps), want);
    }
}

#[test]
fn plain_offers_give_what_they_say() {
    let (town, _) = day(1, 20, 10);
    let place = |id: &str| town.shops.iter().position(|shop| shop.merchant.id.as_str() == id).unwrap();
    let person = &town.people[0];
    let reward = |shop: &str, minor| town.plain_reward(town.plain_offer(place(shop)).unwrap(), person, minor);
    assert_eq!([1199, 1200, 99_000].map(|minor| reward("alder-deli", minor)), [0, 150, 150]);
    assert_eq!([1999, 2000, 2049, 99_000].map(|minor| reward("rose-grocers", minor)), [0, 40, 40, 500]);
    assert_eq!([0, 12_345, 90_000].map(|minor| reward("linden-hotel", minor)), [0, 987, 4000]);
    for shop in ["blue-heron", "pine-thread", "ironside"] {
        assert_eq!(town.plain_offer(place(shop)), None, "{shop}");
    }
    let fuel = town.plain_offer(place("cascade-fuel")).unwrap();
    for person in &town.people {
        let want = if person.activated.contains(&fuel) { 90 } else { 0 };
        assert_eq!(town.plain_reward(fuel, person, 3000), want);
    }
}

#[test]
fn every_programme_has_a_house_and_each_of_its_offers_something_to_give() {
    let (mut town, mut day) = day(7, 50, 500);
    let (people, houses) = (town.people.len(), houses::all(day.start).unwrap());
    let mut names: Vec<&str> = houses.iter().map(|house| house.programme).collect();
    names.sort_unstable();
    let mut files = crate::programmes::FILES.map(|(name, _)| name);
    files.sort_unstable();
    assert_eq!(names, files);
    let offers: usize = houses.iter().map(|house| house.offers.len()).sum();
    let regulars = Regulars::join(&mut town, &mut day, &houses, &|_, _| false);
    assert_eq!(town.people.len(), people + 120);
    assert_eq!(regulars.expected.len(), offers);
    for (offer, given) in &regulars.expected {
        assert!(*given > 0, "{offer}");
    }
    assert!(day.messages.windows(2).all(|pair| pair[0].deliver <= pair[1].deliver));
}
