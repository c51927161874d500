//! The common things of an offer as a form, for those who do not write documents: its fields
//! become the document, which is then read as every other and can be refined by hand.

use crate::api::offer_document::OfferDocument;
use crate::api::reply::{self, Reply};
use crate::domain::offer::Terms;
use crate::domain::{Currency, MerchantId, OfferId};
use serde_json::{Map, Value, json};

/// Parts of the week, as the form says them and as documents do.
const WEEK: [(&str, &[&str]); 2] = [("weekdays", &["mon", "tue", "wed", "thu", "fri"]), ("weekends", &["sat", "sun"])];

/// What was filled in, as it was typed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Simple {
    /// Whose offer it is; a merchant's own without asking.
    pub merchant: String,
    /// What members read.
    pub title: String,
    /// ISO 4217.
    pub currency: String,
    /// `percent` or `fixed`.
    pub kind: String,
    /// So many percent, or so much money.
    pub reward: String,
    /// Most for one purchase, of a percentage.
    pub most: String,
    /// Purchases from this amount on.
    pub least: String,
    /// Most in all.
    pub budget: String,
    /// First day.
    pub starts: String,
    /// Last day.
    pub ends: String,
    /// Days after a purchase cleared until its reward may be paid.
    pub hold_days: String,
    /// Who: `new` for a first purchase, `lapsed` for who has not bought lately, or nothing for everybody.
    pub who: String,
    /// Days that somebody lapsed has not bought for.
    pub lapsed_days: String,
    /// On which days of the week: `weekdays`, `weekends` or nothing for all.
    pub on: String,
    /// From this time of the shop's day on.
    pub from: String,
    /// Before this time.
    pub to: String,
    /// How often a member may use it: `ever`, `month`, `week`, `day` or nothing.
    pub once: String,
    /// Whether members must opt in.
    pub opt_in: bool,
}

impl Simple {
    /// What the address or a form says; `None` when the form was not sent. A merchant's own is its own.
    pub(super) fn of(said: impl Fn(&str) -> String, own: Option<&MerchantId>) -> Option<Self> {
        let said = |name: &str| said(name).trim().to_owned();
        if said("simple").is_empty() {
            return None;
        }
        Some(Self {
            merchant: own.map_or_else(|| said("merchant"), ToString::to_string),
            title: said("title"),
            currency: said("currency").to_ascii_uppercase(),
            kind: said("kind"),
            reward: said("reward"),
            most: said("most"),
            least: said("least"),
            budget: said("budget"),
            starts: said("starts"),
            ends: said("ends"),
            hold_days: said("hold_days"),
            who: said("who"),
            lapsed_days: said("lapsed_days"),
            on: said("on"),
            from: said("from"),
            to: said("to"),
            once: said("once"),
            opt_in: said("opt_in") == "yes",
        })
    }

    /// Some terms as the fields of the form; `None` when they say more than the form can.
    pub(super) fn read(terms: &Terms) -> Option<Self> {
        let document = serde_json::to_value(OfferDocument::of(terms)).ok()?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let currency = Currency::parse(document["currency"].as_str()?).ok()?;
        let decimals = usize::from(currency.exponent());
        let money = |value: &Value| value.as_i64().map_or_else(String::new, |minor| decimal(minor, decimals));
        let reward = &document["reward"];
        let fixed = reward["kind"] == "fixed";
        let mut found = Self {
            merchant: text(&document["merchant"]),
            title: text(&document["title"]),
            currency: currency.to_string(),
            kind: if fixed { "fixed" } else { "percent" }.to_owned(),
            reward: if fixed {
                money(&reward["amount_minor"])
            } else {
                reward["basis_points"].as_i64().map_or_else(String::new, |points| decimal(points, 2))
            },
            most: money(&reward["max_minor"]),
            budget: money(&document["budget_minor"]),
            starts: text(&document["starts"]).trim_end_matches("T00:00").to_owned(),
            ends: last_day(document["ends"].as_str()),
            hold_days: document["hold_days"]
                .as_i64()
                .filter(|days| *days > 0)
                .map_or_else(String::new, |days| days.to_string()),
            once: text(&document["limits"]["per_member"]["every"]),
            opt_in: document["activation"] == "required",
            ..Self::default()
        };
        let one = [document["when"].clone()];
        for condition in document["when"]["all"].as_array().map_or(one.as_slice(), Vec::as_slice) {
            found.read_condition(condition, &money);
        }
        // What the fields would write must be what is there: else some of it would be lost.
        let written: OfferDocument = serde_json::from_value(found.document().ok()?).ok()?;
        let same = written.into_terms(&OfferId::new("preview").ok()?).ok()?;
        (same == *terms).then_some(found)
    }

    fn read_condition(&mut self, condition: &Value, money: &impl Fn(&Value) -> String) {
        if condition["spend_at_least_minor"].is_i64() {
            self.least = money(&condition["spend_at_least_minor"]);
        } else if condition["purchases"]["exactly"] == 1 {
            "new".clone_into(&mut self.who);
        } else if let Some(days) = condition["days_since_purchase"]["at_least"].as_i64() {
            "lapsed".clone_into(&mut self.who);
            self.lapsed_days = days.to_string();
        } else if let Some(time) = condition["local_time"].as_object() {
            // A whole day's ends are as good as none.
            let part = |name: &str, end: &str| {
                time.get(name).and_then(Value::as_str).filter(|text| *text != end).unwrap_or_default().to_owned()
            };
            (self.from, self.to) = (part("from", "00:00"), part("to", "24:00"));
            let days = time.get("days").cloned().unwrap_or_default();
            let named = WEEK.iter().find(|(_, known)| days == json!(known));
            self.on = named.map_or_else(String::new, |(word, _)| (*word).to_owned());
        }
    }

    /// The document; the first field that is no number is named. What else may be wrong the
    /// reader of documents says.
    pub(super) fn document(&self) -> Result<Value, Reply> {
        let currency = Currency::parse(&self.currency)
            .map_err(|error| reply::impossible("bad_value", "currency", error.to_string()))?;
        let money = |name: &str, text: &str| number(name, text, usize::from(currency.exponent()));
        let mut reward = Map::new();
        if self.kind == "fixed" {
            reward.insert("kind".to_owned(), json!("fixed"));
            reward.insert("amount_minor".to_owned(), json!(money("reward", &self.reward)?));
        } else {
            reward.insert("kind".to_owned(), json!("percent"));
            reward.insert("basis_points".to_owned(), json!(number("reward", &self.reward, 2)?));
            if !self.most.is_empty() {
                reward.insert("max_minor".to_owned(), json!(money("most", &self.most)?));
            }
        }
        let activation = if self.opt_in { "required" } else { "automatic" };
        let mut document = json!({
            "merchant": self.merchant, "title": self.title, "currency": self.currency,
            "reward": reward, "activation": activation,
        });
        let mut when = self.conditions()?;
        if !self.least.is_empty() {
            when.insert(0, json!({"spend_at_least_minor": money("least", &self.least)?}));
        }
        match when.len() {
            0 => {}
            1 => document["when"] = when.remove(0),
            _ => document["when"] = json!({"all": when}),
        }
        if !self.budget.is_empty() {
            document["budget_minor"] = json!(money("budget", &self.budget)?);
        }
        if !self.starts.is_empty() {
            document["starts"] = json!(format!("{}T00:00", self.starts));
        }
        if !self.ends.is_empty() {
            // The last day counts whole.
            let day: Result<jiff::civil::Date, _> = self.ends.parse();
            let day = day.and_then(jiff::civil::Date::tomorrow);
            let day = day.map_err(|_| reply::impossible("bad_value", "ends", "give a date such as 2026-11-30"))?;
            document["ends"] = json!(format!("{day}T00:00"));
        }
        if !self.hold_days.is_empty() {
            document["hold_days"] = json!(number("hold_days", &self.hold_days, 0)?);
        }
        if !self.once.is_empty() {
            document["limits"] = json!({"per_member": {"count": 1, "every": self.once}});
        }
        Ok(document)
    }

    /// For whom and at which times it counts.
    fn conditions(&self) -> Result<Vec<Value>, Reply> {
        let mut when = Vec::new();
        match self.who.as_str() {
            // The purchase at hand is the first.
            "new" => when.push(json!({"purchases": {"exactly": 1}})),
            "lapsed" => {
                let days = number("lapsed_days", &self.lapsed_days, 0)?;
                when.push(json!({"days_since_purchase": {"at_least": days}}));
            }
            _ => {}
        }
        let mut time = Map::new();
        if let Some((_, days)) = WEEK.iter().find(|(word, _)| *word == self.on) {
            time.insert("days".to_owned(), json!(days));
        }
        for (name, said) in [("from", &self.from), ("to", &self.to)] {
            if !said.is_empty() {
                time.insert(name.to_owned(), json!(said));
            }
        }
        if !time.is_empty() {
            when.push(json!({"local_time": time}));
        }
        Ok(when)
    }
}

/// The day before the first that does not count any more.
fn last_day(ends: Option<&str>) -> String {
    let day = ends.and_then(|ends| ends.strip_suffix("T00:00")).and_then(|day| day.parse::<jiff::civil::Date>().ok());
    day.and_then(|day| day.yesterday().ok()).map_or_else(String::new, |day| day.to_string())
}

/// A number of units of the last decimal, as people write it.
fn decimal(number: i64, decimals: usize) -> String {
    let digits = format!("{number:0width$}", width = decimals + 1);
    let (whole, part) = digits.split_at(digits.len() - decimals);
    let part = if part.bytes().all(|digit| digit == b'0') { "" } else { part };
    if part.is_empty() { whole.to_owned() } else { format!("{whole}.{part}") }
}

/// A number with at most so many decimals, in units of the last of them.
fn number(name: &str, text: &str, decimals: usize) -> Result<i64, Reply> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = !whole.is_empty() && whole.bytes().chain(part.bytes()).all(|byte| byte.is_ascii_digit());
    let fits = digits && part.len() <= decimals && whole.len() <= 12;
    let read = fits.then(|| format!("{whole}{part:0<decimals$}").parse().ok()).flatten();
    read.ok_or_else(|| {
        let detail = format!("must be a number with at most {decimals} decimals after a point, such as 5");
        reply::impossible("bad_value", name, detail)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_become_the_document() {
        let simple = Simple {
            merchant: "bakery".to_owned(),
            title: "7.5% back".to_owned(),
            currency: "USD".to_owned(),
            reward: "7.5".to_owned(),
            most: "10".to_owned(),
            least: "5.00".to_owned(),
            ends: "2026-11-30".to_owned(),
            once: "month".to_owned(),
            ..Simple::default()
        };
        let expected = json!({
            "merchant": "bakery", "title": "7.5% back", "currency": "USD", "activation": "automatic",
            "reward": {"kind": "percent", "basis_points": 750, "max_minor": 1000},
            "when": {"spend_at_least_minor": 500}, "ends": "2026-12-01T00:00",
            "limits": {"per_member": {"count": 1, "every": "month"}},
        });
        assert_eq!(simple.document().unwrap(), expected);
        let early = Simple {
            who: "lapsed".to_owned(),
            lapsed_days: "60".to_owned(),
            on: "weekdays".to_owned(),
            to: "12:00".to_owned(),
            ..simple.clone()
        };
        let when = json!({"all": [{"spend_at_least_minor": 500}, {"days_since_purchase": {"at_least": 60}},
            {"local_time": {"days": ["mon", "tue", "wed", "thu", "fri"], "to": "12:00"}}]});
        assert_eq!(early.document().unwrap()["when"], when);
        assert_eq!(
            (Simple { who: "new".to_owned(), least: String::new(), ..simple.clone() }).document().unwrap()["when"],
            json!({"purchases": {"exactly": 1}})
        );
        let yen = Simple {
            currency: "JPY".to_owned(),
            kind: "fixed".to_owned(),
            reward: "150".to_owned(),
            ..Simple::default()
        };
        assert_eq!(yen.document().unwrap()["reward"]["amount_minor"], 150);
        for wrong in ["", "x", "1,50", "1.505", "-1", "1.5.0"] {
            let Err(Reply::Problem(problem)) = (Simple { reward: wrong.to_owned(), ..simple.clone() }).document()
            else {
                panic!("{wrong}")
            };
            assert_eq!(problem.field.as_deref(), Some("reward"), "{wrong}");
        }
    }

    #[test]
    fn what_the_form_wrote_it_reads_again_and_nothing_else() {
        let terms = |simple: &Simple| {
            let document: OfferDocument = serde_json::from_value(simple.document().unwrap()).unwrap();
            document.into_terms(&OfferId::new("preview").unwrap()).unwrap()
        };
        let text = str::to_owned;
        let simple = Simple {
            merchant: text("bakery"),
            title: text("10% back before noon"),
            currency: text("USD"),
            kind: text("percent"),
            reward: text("10"),
            most: text("5"),
            least: text("2.50"),
            budget: text("1500.50"),
            starts: text("2026-11-01"),
            ends: text("2026-11-30"),
            hold_days: text("14"),
            who: text("lapsed"),
            lapsed_days: text("60"),
            on: text("weekdays"),
            from: text("06:00"),
            to: text("12:00"),
            once: text("ever"),
            opt_in: true,
        };
        assert_eq!(Simple::read(&terms(&simple)), Some(simple.clone()));
        let yen = Simple {
            merchant: text("bakery"),
            title: text("150 back"),
            currency: text("JPY"),
            kind: text("fixed"),
            reward: text("150"),
            who: text("new"),
            to: text("12:00"),
            ..Simple::default()
        };
        assert_eq!(Simple::read(&terms(&yen)), Some(yen));
        let more = Terms { holdout_percent: 10, ..terms(&simple) };
        assert_eq!(Simple::read(&more), None, "the form would lose it");
    }
}
