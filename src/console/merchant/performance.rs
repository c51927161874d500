//! How a merchant's offers do: spend, returns, rewards and redemptions by day, hour and shop, and
//! when each budget runs out at the pace of the last days. One unit at a time.

use super::list::word;
use super::whose::{self, Whose};
use crate::api::Doors;
use crate::api::offers::{self, OfferView};
use crate::api::page::Page;
use crate::api::reply::Reply;
use crate::console::page::{self, Chrome, Visitor, encoded};
use crate::console::words;
use crate::domain::time::DAY_MS;
use crate::domain::{OfferId, Timestamp, Unit};
use crate::follow::customers::CustomerSums;
use crate::follow::report::{DAYS_KEPT, MerchantReport, OfferSums, Sums};
use askama::Template;
use hyper::StatusCode;
use serde_json::json;
use std::collections::BTreeMap;

/// Offers that the page shows.
const OFFERS_MAX: usize = 100;
/// Shops that the page shows: those where most is spent.
const SHOPS_MAX: usize = 100;
/// Days by whose pace a budget is foreseen.
const PACE_DAYS: u32 = 14;
/// Further ahead nothing is said.
const FORESEEN_DAYS_MAX: i64 = 730;
/// Days that a curve shows at least.
const CURVE_DAYS_MIN: u32 = 14;

#[derive(Template)]
#[template(path = "performance.html", config = "src/console/askama.toml")]
struct PerformancePage {
    chrome: Chrome,
    merchant: String,
    days_kept: u32,
    is_screened: bool,
    is_shared: bool,
    units: Vec<(String, String, bool)>,
    totals: Vec<(&'static str, String)>,
    by_day: String,
    days: Vec<Row>,
    hours: Vec<Row>,
    shops: Vec<Row>,
    customers: Vec<CustomerRow>,
    /// Customers are not all told apart.
    more_customers: bool,
    offers: Vec<OfferRow>,
}

/// Customers of one sort.
struct CustomerRow {
    label: &'static str,
    customers: u64,
    sums: Row,
}

struct Row {
    label: String,
    purchases: u64,
    spend: String,
    returned: String,
    redemptions: i64,
    reward: String,
    share: i64,
}

struct OfferRow {
    title: String,
    link: String,
    state: String,
    state_words: String,
    active: String,
    redeemers: String,
    redemptions: i64,
    rewards: String,
    budget: String,
    used: Option<u32>,
    lasts: String,
}

/// The page.
pub(in crate::console) async fn show(doors: &Doors, visitor: &Visitor<'_>) -> Result<Reply, Reply> {
    let Some(whose) = whose::whose(doors, visitor).await? else { return super::choose(visitor, "performance") };
    let report = doors.screener.report(&whose.id);
    let unit = unit(visitor, &report)?;
    let of_unit = unit.map(|unit| of(&report, unit));
    let offers = offers(doors, visitor, &whose, &report).await?;
    let Figures { all, totals, by_day, days, hours, shops } = of_unit.unwrap_or_default();
    let told = doors.screener.customers(&whose.id);
    Ok(page::page(
        StatusCode::OK,
        &PerformancePage {
            chrome: visitor.chrome("performance"),
            days_kept: DAYS_KEPT,
            is_shared: doors.engine.is_shared(),
            is_screened: doors.screener.settings().enabled,
            units: units(&whose, &report, unit),
            merchant: whose.id.to_string(),
            totals,
            by_day,
            days,
            hours,
            shops,
            more_customers: told.more,
            customers: unit.map(|unit| customers(&all, &told, unit)).unwrap_or_default(),
            offers,
        },
    ))
}

/// The unit that is asked for; else the money that was spent first.
fn unit(visitor: &Visitor<'_>, report: &MerchantReport) -> Result<Option<Unit>, Reply> {
    let asked = crate::api::read::query(visitor.request, "unit")?.unwrap_or_default();
    let named = report.units.iter().find(|unit| name(**unit) == asked);
    let money = report.units.iter().find(|unit| unit.currency().is_some());
    Ok(named.or(money).or(report.units.first()).copied())
}

fn name(unit: Unit) -> String {
    match unit {
        Unit::Money(currency) => currency.to_string(),
        Unit::Points(code) | Unit::Perk(code) => code.to_string(),
    }
}

fn units(whose: &Whose, report: &MerchantReport, chosen: Option<Unit>) -> Vec<(String, String, bool)> {
    let link = |unit: Unit| {
        format!("/console/performance?merchant={}&unit={}", encoded(whose.id.as_str()), encoded(&name(unit)))
    };
    report.units.iter().map(|unit| (name(*unit), link(*unit), Some(*unit) == chosen)).collect()
}

/// What is shown in one unit.
#[derive(Default)]
struct Figures {
    all: Sums,
    totals: Vec<(&'static str, String)>,
    by_day: String,
    days: Vec<Row>,
    hours: Vec<Row>,
    shops: Vec<Row>,
}

fn of(report: &MerchantReport, unit: Unit) -> Figures {
    let days: BTreeMap<u32, Sums> = chosen(&report.days, unit).collect();
    let mut all = Sums::default();
    days.values().for_each(|sums| all.add(sums, 1));
    let mut shops: Vec<_> = chosen(&report.shops, unit).collect();
    shops.sort_by_key(|(_, sums)| std::cmp::Reverse((sums.spend_minor, sums.reward_minor)));
    let hours: Vec<(u8, Sums)> = chosen(&report.hours, unit).collect();
    let most = hours.iter().map(|(_, sums)| sums.purchases).max().unwrap_or(0).max(1);
    let hour = |(hour, sums): (u8, Sums)| Row {
        share: i64::try_from(100 * sums.purchases / most).unwrap_or(0),
        ..row(format!("{hour:02}:00"), &sums, unit)
    };
    Figures {
        all,
        totals: totals(&all, unit),
        by_day: by_day(&days, unit),
        days: days.iter().rev().map(|(number, sums)| row(date(*number), sums, unit)).collect(),
        hours: hours.into_iter().map(hour).collect(),
        shops: shops.into_iter().take(SHOPS_MAX).map(|(id, sums)| row(id.to_string(), &sums, unit)).collect(),
    }
}

/// The sums of one unit by what they are told apart by.
fn chosen<K: Clone + Ord>(all: &BTreeMap<(K, Unit), Sums>, unit: Unit) -> impl Iterator<Item = (K, Sums)> {
    all.iter().filter(move |((_, of), _)| *of == unit).map(|((key, _), sums)| (key.clone(), *sums))
}

fn totals(all: &Sums, unit: Unit) -> Vec<(&'static str, String)> {
    let mut totals = vec![
        ("Purchases", all.purchases.to_string()),
        ("Spend", unit.shown(all.spend_minor)),
        ("Returned", unit.shown(all.returned_minor)),
        ("Redemptions", all.redemptions.to_string()),
        ("Rewards", unit.shown(all.reward_minor)),
    ];
    let kept = all.spend_minor.saturating_sub(all.returned_minor);
    if all.reward_minor > 0 && kept > 0 {
        // In tenths, without a float.
        let tenths = i128::from(kept) * 10 / i128::from(all.reward_minor);
        totals.push(("Spend for 1 of reward", format!("{}.{}", tenths / 10, tenths % 10)));
    }
    totals
}

/// New customers, and everybody else: together they are the totals.
fn customers(all: &Sums, told: &CustomerSums, unit: Unit) -> Vec<CustomerRow> {
    let new = told.of_new.get(&unit).copied().unwrap_or_default();
    let mut rest = *all;
    rest.add(&new, -1);
    let of = |label, customers, sums: &Sums| CustomerRow { label, customers, sums: row(String::new(), sums, unit) };
    vec![of("New", told.new, &new), of("Existing", told.existing, &rest)]
}

fn row(label: String, sums: &Sums, unit: Unit) -> Row {
    Row {
        label,
        purchases: sums.purchases,
        spend: unit.shown(sums.spend_minor),
        returned: unit.shown(sums.returned_minor),
        redemptions: sums.redemptions,
        reward: unit.shown(sums.reward_minor),
        share: 0,
    }
}

fn date(day: u32) -> String {
    Timestamp::start_of_day(day).local(&jiff::tz::TimeZone::UTC).strftime("%a %-d %b %Y").to_string()
}

/// The curve, as the script draws it: amounts in whole units for the axis.
#[expect(clippy::float_arithmetic, clippy::cast_precision_loss, reason = "a place on a screen, no money")]
fn by_day(days: &BTreeMap<u32, Sums>, unit: Unit) -> String {
    let (Some(first), Some(last)) = (days.keys().next(), days.keys().next_back()) else { return String::new() };
    let decimals = unit.currency().map_or(0, |currency| u32::from(currency.exponent()));
    let whole = |minor: i64| minor as f64 / 10_f64.powi(i32::try_from(decimals).unwrap_or(0));
    let first = (*first).min(last.saturating_sub(CURVE_DAYS_MIN - 1));
    // A day without anything is nothing, not a gap.
    let all: Vec<(u32, Sums)> = (first..=*last).map(|day| (day, days.get(&day).copied().unwrap_or_default())).collect();
    let series = |label: &str, scale: &str, of: fn(&Sums) -> i64| json!({"label": label, "scale": scale, "values": all.iter().map(|(_, sums)| whole(of(sums))).collect::<Vec<_>>()});
    let spend = series("Spend", "spend", |sums| sums.spend_minor);
    let reward = series("Rewards", "reward", |sums| sums.reward_minor);
    let seconds: Vec<u64> = all.iter().map(|(day, _)| u64::from(*day) * 86_400).collect();
    json!({"days": seconds, "decimals": decimals, "series": [spend, reward]}).to_string()
}

async fn offers(
    doors: &Doors,
    visitor: &Visitor<'_>,
    whose: &Whose,
    report: &MerchantReport,
) -> Result<Vec<OfferRow>, Reply> {
    let place = Page::<OfferId> { limit: OFFERS_MAX, after: None };
    let found = offers::listed(doors, Some(&whose.id), None, &place).await?.offers;
    let ids: Vec<OfferId> = found.iter().filter_map(|offer| OfferId::new(&offer.id).ok()).collect();
    let active = doors.screener.active(&ids);
    let mut rows = Vec::with_capacity(found.len());
    for ((offer, id), active) in found.iter().zip(&ids).zip(active) {
        let granted = doors.engine.offer_use(id).await?.granted;
        let left = offer.document.budget_minor.map(|budget| budget.saturating_sub(granted));
        let sums = report.offers.get(id).cloned().unwrap_or_default();
        rows.push(offer_row(offer, active, &sums, left, visitor.now));
    }
    Ok(rows)
}

fn offer_row(offer: &OfferView, active: i64, sums: &OfferSums, left: Option<i64>, now: Timestamp) -> OfferRow {
    let currency = offer.document.currency;
    let by_itself = offer.document.activation == crate::api::offer_document::ActivationWord::Automatic;
    let rewards = sums.rewards.iter().map(|(unit, minor)| unit.shown(*minor)).collect::<Vec<_>>();
    OfferRow {
        title: offer.document.title.clone(),
        link: encoded(&offer.id),
        state: word(offer.state),
        state_words: words::plain(&word(offer.state)),
        active: if by_itself { "everybody".to_owned() } else { active.to_string() },
        redeemers: match (by_itself, active) {
            (false, 1..) => format!("{} · {} %", sums.redeemers, 100 * sums.redeemers / active),
            _ => sums.redeemers.to_string(),
        },
        redemptions: sums.redemptions,
        rewards: rewards.join(", "),
        budget: offer.document.budget_minor.map_or_else(String::new, |minor| super::list::amount(minor, currency)),
        used: offer.budget_used_percent,
        lasts: left.map_or_else(String::new, |left| lasts(left, sums, now)),
    }
}

/// Until when a budget lasts at the pace of the last days.
fn lasts(left: i64, sums: &OfferSums, now: Timestamp) -> String {
    if left <= 0 {
        return "spent".to_owned();
    }
    let recent = sums.days.iter().filter(|(day, _)| **day + PACE_DAYS > now.day());
    let pace: i64 = recent.map(|(_, minor)| *minor).sum();
    if pace <= 0 {
        return "nothing given lately".to_owned();
    }
    let days = i128::from(left) * i128::from(PACE_DAYS) / i128::from(pace);
    match i64::try_from(days) {
        Ok(days) if days <= FORESEEN_DAYS_MAX => format!("until about {}", words::day(now.plus_ms(days * DAY_MS))),
        _ => "more than two years".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_foreseen_by_the_pace_of_the_last_days_alone() {
        let now = Timestamp::parse("2026-11-21T12:00:00Z").unwrap();
        let given = |days: &[(u32, i64)]| OfferSums { days: days.iter().copied().collect(), ..OfferSums::default() };
        let today = now.day();
        // 14.00 in fourteen days is 1.00 a day.
        assert_eq!(
            lasts(1_000, &given(&[(today, 1_000), (today - 13, 400), (today - 14, 9_999)]), now),
            "until about 1 Dec 2026"
        );
        assert_eq!(lasts(1_000, &given(&[(today - 14, 9_999)]), now), "nothing given lately");
        assert_eq!(lasts(0, &given(&[(today, 1)]), now), "spent");
        assert_eq!(lasts(i64::MAX, &given(&[(today, 1)]), now), "more than two years");
    }
}
