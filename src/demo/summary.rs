//! The end of the demo in words and columns, for a person: what came in, what was credited
//! and why not, one member's day, the books. Writes text; decides nothing.

use super::books::{Books, Flagged, Given, Proof, key};
use super::day::{Day, bought_by};
use super::houses::House;
use super::poster::Tally;
use super::town::{CITIES, Person, SOURCES, Town};
use crate::commands::Failure;
use crate::domain::purchase::{AnswerLine, HeldEvent, Stage};
use crate::domain::{Currency, EventKind, Money, Unit};
use crate::ledger::AccountKind;
use jiff::tz::TimeZone;
use std::fmt::Write as _;
use std::time::Duration;

/// Colours, or none.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    /// Whether the text goes to a terminal.
    pub colours: bool,
}

impl Style {
    fn dress(self, code: &str, text: &str) -> String {
        if self.colours { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
    /// A heading.
    #[must_use]
    pub fn heading(self, text: &str) -> String {
        self.dress("1", text)
    }
    fn good(self, text: &str) -> String {
        self.dress("32", text)
    }
    fn bad(self, text: &str) -> String {
        self.dress("1;31", text)
    }
    fn faint(self, text: &str) -> String {
        self.dress("2", text)
    }
}

/// Everything that is told.
pub struct Told<'a> {
    /// The town.
    pub town: &'a Town,
    /// Its houses with a programme.
    pub houses: &'a [House],
    /// Its day.
    pub day: &'a Day,
    /// What the networks saw.
    pub tally: &'a Tally,
    /// What is in the books.
    pub books: &'a Books,
    /// What screening made of the town's circles.
    pub flagged: &'a Flagged,
    /// What was checked.
    pub proofs: &'a [Proof],
    /// How long posting took.
    pub took: Duration,
    /// The seed.
    pub seed: u64,
}

/// A number with its thousands set apart.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Webhooks per second, whole.
#[must_use]
pub fn rate(count: u64, took: Duration) -> u64 {
    let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX).max(1);
    count.saturating_mul(1000) / ms
}

impl Told<'_> {
    /// The text.
    ///
    /// # Errors
    /// Never in practice.
    pub fn text(&self, style: Style) -> Result<String, Failure> {
        let mut out = String::new();
        self.posted(&mut out, style)?;
        self.networks(&mut out, style)?;
        self.money(&mut out, style)?;
        self.refused(&mut out, style)?;
        self.shops(&mut out, style)?;
        self.programmes(&mut out, style)?;
        self.story(&mut out, style)?;
        self.screened(&mut out, style)?;
        self.accounts(&mut out, style)?;
        self.proofs(&mut out, style)?;
        Ok(out)
    }

    fn posted(&self, out: &mut String, style: Style) -> std::fmt::Result {
        let Self { town, day, tally, took, .. } = self;
        let posted = day.webhooks();
        let title = format!(
            "{} webhooks about {} members and {} shops, from eight networks (seed {})",
            grouped(posted),
            grouped(town.people.len() as u64),
            town.shops.len() + self.houses.iter().map(|house| house.shops.len()).sum::<usize>(),
            self.seed
        );
        writeln!(out, "\n{}", style.heading(&title))?;
        for (word, says) in [
            ("credited", "a reward was granted"),
            ("adjusted", "a reward followed its purchase"),
            ("clawed_back", "a refund, cancellation or dispute took it back"),
            ("no_reward", "recorded, nothing due"),
            ("duplicate", "seen before, changed nothing"),
            ("no_offer", "at shops without offers"),
            ("unknown_card", "of cards nobody linked"),
            ("ignored", "declined cards and verifications"),
            ("kept", "a card number in place of a token: shelved, masked"),
            ("conflict", "an id seen with other content"),
            ("unreadable", "cut off on the way"),
            ("not_proven", "wrong signature, or an old one"),
            ("taken", "of a network that is told no more than that"),
        ] {
            writeln!(out, "  {word:<13}{:>8}  {}", grouped(tally.of(word)), style.faint(says))?;
        }
        let ms = |quantile| {
            let micros = tally.latency.value_at_quantile(quantile);
            format!("{}.{} ms", micros / 1000, micros % 1000 / 100)
        };
        writeln!(
            out,
            "  {} per second; latency seen by the sender: p50 {}, p99 {}, max {}.{} ms",
            grouped(rate(posted, *took)),
            ms(0.5),
            ms(0.99),
            tally.latency.max() / 1000,
            tally.latency.max() % 1000 / 100
        )
    }

    /// Who spoke, in whose words, and what came of it.
    fn networks(&self, out: &mut String, style: Style) -> std::fmt::Result {
        writeln!(out, "\n{}", style.heading("Eight networks, each in its own words"))?;
        writeln!(out, "  {:<16}{:<16}{:<26}{:>9}{:>11}", "", "format", "proved by", "webhooks", "purchases")?;
        for (place, source) in SOURCES.iter().enumerate() {
            let sent = self.day.messages.iter().filter(|message| message.source == place);
            let webhooks: u64 = sent.map(|message| u64::from(message.copies)).sum();
            let bought = self.day.bought.iter().filter(|bought| bought.source == place).count();
            let proofs: Vec<String> = source.dialect.auth.iter().map(ToString::to_string).collect();
            let (format, proofs) = (source.dialect.format.as_str(), proofs.join(" and "));
            let counts = format!("{:>9}{:>11}", grouped(webhooks), grouped(bought as u64));
            writeln!(out, "  {:<16}{format:<16}{}{counts}", source.name, style.faint(&format!("{proofs:<26}")))?;
        }
        Ok(())
    }

    fn money(&self, out: &mut String, style: Style) -> std::fmt::Result {
        writeln!(out, "\n{}", style.heading("Cashback"))?;
        let heads = ["pending", "posted", "available", "paid out", "owed", "clawed back"];
        writeln!(out, "  {:<4}{}", "", heads.map(|head| format!("{head:>15}")).concat())?;
        let money = self.books.balances.iter().filter(|(unit, _)| unit.currency().is_some());
        for (unit, balance) in money {
            let clawed = self.books.clawed_back.get(unit).copied().unwrap_or(0);
            let all = [
                balance.pending_minor,
                balance.posted_minor,
                balance.available_minor,
                balance.paid_minor,
                balance.owed_minor,
                clawed,
            ];
            let cells = all.map(|minor| format!("{:>15}", unit.shown(minor)));
            writeln!(out, "  {unit:<4}{}", cells.concat())?;
        }
        let paid = self.books.paid.len();
        writeln!(out, "  {}", style.faint(&format!("{paid} pay-outs after the first midnight")))
    }

    fn refused(&self, out: &mut String, style: Style) -> std::fmt::Result {
        writeln!(out, "\n{}", style.heading("Why an offer gave nothing, or less"))?;
        let mut all: Vec<_> = self.books.refused.iter().collect();
        all.sort_by_key(|(code, count)| (std::cmp::Reverse(**count), **code));
        for (code, count) in all {
            writeln!(out, "  {code:<26}{:>8}  {}", grouped(*count), style.faint(in_words(code)))?;
        }
        Ok(())
    }

    fn shops(&self, out: &mut String, style: Style) -> std::fmt::Result {
        writeln!(out, "\n{}", style.heading("Shops by cashback"))?;
        let mut order: Vec<usize> = (0..self.town.shops.len()).collect();
        let figures = &self.books.shops;
        order.sort_by_key(|at| (std::cmp::Reverse(figures[*at].cashback_minor), *at));
        writeln!(out, "  {:<24}{:<10}{:>10}{:>18}{:>16}", "", "", "purchases", "spend", "cashback")?;
        for at in order.into_iter().take(10) {
            let (shop, day) = (&self.town.shops[at], figures[at]);
            let money = |minor| Money::new(minor, shop.currency).to_string();
            let (name, city) = (&shop.merchant.name, CITIES[shop.city].name);
            writeln!(
                out,
                "  {name:<24}{city:<10}{:>10}{:>18}{:>16}",
                grouped(day.purchases),
                money(day.spend_minor),
                money(day.cashback_minor)
            )?;
        }
        Ok(())
    }

    /// What each house's programme gave, to how many of its regulars.
    fn programmes(&self, out: &mut String, style: Style) -> std::fmt::Result {
        writeln!(out, "\n{}", style.heading("Ten programmes, each a file of config/programmes"))?;
        for House { programme, shops, offers } in self.houses {
            let mut all = Given::default();
            for given in offers.iter().filter_map(|offer| self.books.programmes.get(&offer.id)) {
                all.members.extend(given.members.iter().cloned());
                for (what, minor) in &given.amounts {
                    *all.amounts.entry(*what).or_default() += minor;
                }
            }
            let of = |cause: bool| {
                let units = all.amounts.iter().filter(|((to_cause, _), _)| *to_cause == cause);
                units.map(|((_, unit), minor)| unit.shown(*minor)).collect::<Vec<_>>().join(", ")
            };
            let gave = match (of(false), of(true)) {
                (member, cause) if cause.is_empty() => member,
                (_, cause) => format!("{cause}, to causes"),
            };
            let name = &shops[0].merchant.name;
            writeln!(out, "  {programme:<16}{name:<22}{:>3} members  {gave}", all.members.len())?;
        }
        Ok(())
    }

    /// The member whose day has most turns, the first of them.
    #[must_use]
    pub fn hero(&self) -> usize {
        let turns = |who: usize| {
            let bought = bought_by(self.day, who);
            let mut shops: Vec<usize> = bought.iter().map(|bought| bought.shop).collect();
            shops.sort_unstable();
            shops.dedup();
            let mut kinds: Vec<EventKind> = bought.iter().flat_map(|b| &b.steps).map(|step| step.kind).collect();
            kinds.sort();
            kinds.dedup();
            let refunded = usize::from(kinds.contains(&EventKind::Refund)) * 2;
            let paid = usize::from(self.books.paid.iter().any(|paid| paid.person == who)) * 4;
            let owes = usize::from(self.books.members[who].head.balances.iter().any(|(_, b)| b.owed_minor > 0)) * 8;
            let long = bought.len() > 6 || self.town.people[who].twin.is_some();
            if long { 0 } else { kinds.len() + shops.len() + refunded + paid + owes }
        };
        let all = 0..self.town.people.len();
        all.max_by_key(|who| (turns(*who), std::cmp::Reverse(*who))).unwrap_or(0)
    }

    fn story(&self, out: &mut String, style: Style) -> Result<(), Failure> {
        let who = self.hero();
        let person = &self.town.people[who];
        let city = &CITIES[person.city];
        let zone = TimeZone::get(city.zone)?;
        let first = person.name.split(' ').next().unwrap_or(&person.name);
        let title = format!("The day of {} in {} ({})", person.name, city.name, person.id);
        writeln!(out, "\n{}", style.heading(&title))?;
        let state = &self.books.members[who];
        let mut rows = Vec::new();
        for bought in bought_by(self.day, who) {
            let shop = &self.town.shops[bought.shop];
            let Some(at) = state.find(&key(bought.source, &bought.id)?) else { continue };
            for event in &state.purchases[at].purchase.events {
                rows.push((event.occurred_at, did(event, &shop.merchant.name), earned(&event.answer, shop.currency)));
            }
        }
        for paid in self.books.paid.iter().filter(|paid| paid.person == who) {
            rows.push((self.books.paid_at, format!("was paid {}", paid.money), String::new()));
        }
        rows.sort();
        for (at, did, earned) in rows {
            let when = at.local(&zone).strftime("%a %H:%M");
            let line = format!("  {when}  {did:<52}{}", if earned.is_empty() { earned } else { style.faint(&earned) });
            writeln!(out, "{}", line.trim_end())?;
        }
        for (unit, balance) in &state.head.balances {
            let has = [
                (balance.pending_minor, "pending"),
                (balance.posted_minor, "posted and held for some days yet"),
                (balance.available_minor, "to be paid"),
            ];
            let has = has.iter().filter(|(minor, _)| *minor > 0);
            let has: Vec<String> = has.map(|(minor, says)| format!("{} {says}", unit.shown(*minor))).collect();
            let mut all = if has.is_empty() { Vec::new() } else { vec![format!("has {}", has.join(", "))] };
            if balance.owed_minor > 0 {
                all.push(format!("owes {} that was paid before a refund", unit.shown(balance.owed_minor)));
            }
            let all = if all.is_empty() { "has nothing more to come".to_owned() } else { all.join(", and ") };
            writeln!(out, "  In the end {first} {all}.")?;
        }
        Ok(())
    }

    /// What screening flagged, and whom it left in peace.
    fn screened(&self, out: &mut String, style: Style) -> std::fmt::Result {
        let Flagged { cases, kinds, seen: (members, links), .. } = self.flagged;
        let title = format!(
            "Flagged: {} cases among {} members and {} links, for people to judge",
            cases.len(),
            grouped(*members as u64),
            grouped(*links as u64)
        );
        writeln!(out, "\n{}", style.heading(&title))?;
        for (id, members, score, scope, headline) in cases {
            let id = format!("case {id}");
            writeln!(out, "  {id:<12}{members:>3} members  score {score:>4}  {scope:<22}{}", style.faint(headline))?;
        }
        for (kind, (people, meant)) in kinds {
            let words = kind.words();
            writeln!(out, "  {words:<24}{meant:>4} of {people} people in a case")?;
        }
        writeln!(
            out,
            "  {}",
            style.faint("nobody was held: without a review, or a policy that says so, cases are all there is")
        )
    }

    fn accounts(&self, out: &mut String, style: Style) -> std::fmt::Result {
        writeln!(out, "\n{}", style.heading("Trial balance (credit less debit)"))?;
        let units: Vec<Unit> = self.books.balances.keys().copied().filter(|unit| unit.currency().is_some()).collect();
        let line = |out: &mut String, name: &str, minor: &dyn Fn(Unit) -> i64| {
            let cells = units.iter().map(|unit| format!("{:>18}", unit.shown(minor(*unit))));
            writeln!(out, "  {name:<18}{}", cells.collect::<String>())
        };
        let sum = |kind, unit| self.books.trial.sums.get(&(kind, unit)).copied().unwrap_or(0);
        for kind in AccountKind::ALL {
            if units.iter().any(|unit| sum(kind, *unit) != 0) {
                line(out, kind.as_str(), &|unit| sum(kind, unit))?;
            }
        }
        line(out, "sum", &|unit| AccountKind::ALL.iter().map(|kind| sum(*kind, unit)).sum())
    }

    fn proofs(&self, out: &mut String, style: Style) -> std::fmt::Result {
        writeln!(out, "\n{}", style.heading("Proved"))?;
        for Proof { what, holds, detail } in self.proofs {
            let mark = if *holds { style.good("yes") } else { style.bad("NO ") };
            writeln!(out, "  {mark}  {what:<36}{}", style.faint(detail))?;
        }
        for surprise in &self.tally.surprises.1 {
            writeln!(out, "       {surprise}")?;
        }
        Ok(())
    }
}

/// What next, while the service is there.
#[must_use]
pub fn next_steps(address: &str, (key, once): (&str, &str), person: &Person, sign: &str) -> String {
    let Person { id, name, .. } = person;
    format!(
        "\nconsole: http://{address}/console/sign-in?once={once}\n\
         \x20 good once, for 10 minutes; after that sign in with a key, such as the one below\n\n\
         Still serving on http://{address} until Ctrl-C. In another terminal, {name} buys one more coffee:\n\n\
         \x20 {sign}\n\n\
         `ringfence sign` prints the curl command with the signature of the network; `sh` runs it. Then:\n\n\
         \x20 export KEY={key}\n\
         \x20 curl -H \"Authorization: Bearer $KEY\" http://{address}/v1/members/{id}/balance\n\
         \x20 curl -H \"Authorization: Bearer $KEY\" http://{address}/v1/members/{id}/statement\n\
         \x20 curl -H \"Authorization: Bearer $KEY\" http://{address}/v1/ledger/trial-balance\n\
         \x20 curl -H \"Authorization: Bearer $KEY\" http://{address}/v1/cases\n\
         \x20 curl http://{address}/metrics\n"
    )
}

fn did(event: &HeldEvent, shop: &str) -> String {
    let money = event.amount.map_or_else(|| "all of it".to_owned(), |money| money.to_string());
    match event.kind {
        EventKind::Authorization => format!("paid {money} at {shop}"),
        EventKind::Increment => format!("put {money} more on the bill at {shop}"),
        EventKind::Advice => format!("the bill at {shop} came to {money}"),
        EventKind::Reversal | EventKind::Expiry => format!("cancelled {money} at {shop}"),
        EventKind::Clearing => format!("{money} cleared for {shop}"),
        EventKind::ClearingReversal => format!("{money} uncleared for {shop}"),
        EventKind::Refund => format!("got {money} back from {shop}"),
        EventKind::RefundReversal => format!("{shop} took {money} of the refund back"),
        EventKind::Chargeback => format!("disputed {money} of {shop}"),
        EventKind::ChargebackReversal => format!("lost the dispute over {money} with {shop}"),
    }
}

fn earned(answer: &[AnswerLine], currency: Currency) -> String {
    let change: i64 = answer.iter().map(|line| line.change_minor).sum();
    let due: i64 = answer.iter().map(|line| line.due_minor).sum();
    let stage = answer.iter().map(|line| line.stage).max_by_key(|stage| *stage as u8);
    let state = match stage {
        Some(Stage::Pending) => "pending",
        Some(Stage::Posted) => "posted",
        Some(Stage::Available) => "available",
        None => "nothing earned",
    };
    let (change, due) = (Money::new(change, currency), Money::new(due, currency));
    match change.minor {
        _ if answer.is_empty() => state.to_owned(),
        0 => format!("{due} {state}"),
        1.. => format!("earned {change}, {state}"),
        _ => format!("lost {}, {due} left", Money::new(-change.minor, currency)),
    }
}

fn in_words(code: &str) -> &'static str {
    match code {
        "seen_from_another_source" => "another network told of the same card, and credits it",
        "not_activated" => "the member had not opted in before buying",
        "nothing_stands" => "refunded or cancelled in full",
        "spend_too_low" => "spent less than the offer asks",
        "outside_hours" => "bought outside the offer's hours, local to the shop",
        "cap_reached" => "the member had used the offer as often as it allows",
        "reward_cap_reached" => "the member had all the offer gives one person",
        "excluded_by_another" => "a better offer of the same group gave",
        "budget_spent" => "the offer's budget was spent",
        "used_before" => "one that was used and then taken back stands for it",
        "offer_ended" => "bought after the offer was over",
        "offer_paused" => "bought while the offer was paused",
        "currency_differs" => "offer and purchase are in different currencies",
        "reward_rounds_to_zero" => "less than the smallest unit of the currency",
        "cash_like" => "cash-like purchases earn nothing",
        "purchase_count" => "the punch card is not full",
        "streak" => "not yet so many months in a row",
        "days_since_purchase" => "a welcome back is for those who stayed away",
        "locations_visited" => "not yet at so many different shops",
        "other_location" => "bought at a shop that takes no part",
        "other_country" => "bought in a country that takes no part",
        "not_referred" => "nobody referred the member",
        "not_qualifying" => "a referral is rewarded for one purchase",
        "tier_too_low" => "the member's tier is too low",
        "no_cause_chosen" => "the member has chosen none of the offer's causes",
        "not_birthday" => "not near the member's birthday",
        "not_started" => "bought before the offer began",
        "not_eligible" => "not for this member, or kept out to measure what the offer brings",
        "expired" => "expired before it was used",
        _ => "see the purchase's own page",
    }
}
