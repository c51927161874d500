//! The common things of an offer as a form, for those who do not write documents: its fields
//! become the document, which is then read as every other and can be refined by hand.

use crate::api::read;
use crate::api::reply::{self, Reply};
use crate::console::page::Visitor;
use crate::domain::Currency;
use serde_json::{Map, Value, json};

/// What was filled in, as it was typed.
#[derive(Debug, Clone, Default)]
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
    /// How often a member may use it: `ever`, `month`, `week`, `day` or nothing.
    pub once: String,
    /// Whether members must opt in.
    pub opt_in: bool,
}

impl Simple {
    /// What the address says; `None` when the form was not sent.
    pub(super) fn of(visitor: &Visitor<'_>) -> Result<Option<Self>, Reply> {
        let said =
            |name: &str| Ok::<_, Reply>(read::query(visitor.request, name)?.unwrap_or_default().trim().to_owned());
        if said("simple")?.is_empty() {
            return Ok(None);
        }
        let own = visitor.caller.merchant.as_ref().map(ToString::to_string);
        Ok(Some(Self {
            merchant: own.map_or_else(|| said("merchant"), Ok)?,
            title: said("title")?,
            currency: said("currency")?.to_ascii_uppercase(),
            kind: said("kind")?,
            reward: said("reward")?,
            most: said("most")?,
            least: said("least")?,
            budget: said("budget")?,
            starts: said("starts")?,
            ends: said("ends")?,
            once: said("once")?,
            opt_in: said("opt_in")? == "yes",
        }))
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
        if !self.least.is_empty() {
            document["when"] = json!({"spend_at_least_minor": money("least", &self.least)?});
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
        if !self.once.is_empty() {
            document["limits"] = json!({"per_member": {"count": 1, "every": self.once}});
        }
        Ok(document)
    }
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
}
