//! Every metric of the service, by name, and how to add to it.
//!
//! Labels come from fixed or bounded sets: a stranger cannot make the page grow. Units stand
//! in the names (`_seconds`, `_bytes`), counters end in `_total`.

use super::instruments::{
    COUNTS, Counters, Histogram, HistogramsBy, Reading, ReadingsBy, SIZES, TIMES, Vocabulary, Words,
};
use super::proofs::{Proofs, Shown, What};
use crate::domain::SourceName;
use prometheus_client::encoding::EncodeMetric;
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Most refusal codes told apart; further ones are counted as `other`.
const REFUSAL_CODES_MAX: usize = 64;
/// Most reasons of a failed signature told apart.
const SIGNATURE_REASONS_MAX: usize = 16;

macro_rules! labels {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant,)+ }

        impl $name {
            /// All of them; the position is the number.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];
            /// The word in the label.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
            /// The one of this word; `None` for another word.
            #[must_use]
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }
            fn words() -> impl Iterator<Item = &'static str> {
                Self::ALL.iter().map(|one| one.as_str())
            }
        }
    };
}

labels! {
    /// A step of a webhook's path, each timed.
    Stage {
        /// Signature and age.
        Authenticate = "authenticate",
        /// Their words into ours.
        Normalise = "normalise",
        /// Reading the facts.
        Gather = "gather",
        /// Deciding.
        Decide = "decide",
        /// Until the record is on disk.
        Journal = "journal",
        /// Until the state has it.
        State = "state",
        /// From the first byte read to the answer.
        Total = "total",
    }
}

labels! {
    /// What became of an event, in the words of the answer.
    WebhookOutcome {
        /// A reward is frozen by a standing.
        Held = "held",
        /// A reward was taken back.
        ClawedBack = "clawed_back",
        /// A reward was changed.
        Adjusted = "adjusted",
        /// A reward was granted.
        Credited = "credited",
        /// Recorded, and nothing due.
        NoReward = "no_reward",
        /// The merchant is not ours.
        NoOffer = "no_offer",
        /// The card is not linked.
        UnknownCard = "unknown_card",
        /// A verification, or not approved.
        Ignored = "ignored",
        /// Older than the retention.
        TooOld = "too_old",
        /// Seen before.
        Duplicate = "duplicate",
        /// Not understood; on the dead-letter shelf.
        Kept = "kept",
        /// Its id was seen with other content.
        Conflict = "conflict",
    }
}

labels! {
    /// Whom an HTTP answer was for.
    RouteGroup {
        /// `/v1/webhooks/…`
        Webhooks = "webhooks",
        /// The rest of `/v1/…`
        Api = "api",
        /// Health, readiness, metrics, documentation.
        Operations = "operations",
        /// No route of ours.
        Unknown = "unknown",
    }
}

labels! {
    /// Which limit was reached.
    RateLimitKind {
        /// That of a source.
        Source = "source",
        /// That of an API key.
        Key = "key",
        /// That of a client address.
        Address = "address",
    }
}

labels! {
    /// What is unusual about an event that was understood. A person should look when one grows.
    EventOddity {
        /// Delivered before.
        Duplicate = "duplicate",
        /// Its id was seen with other content.
        Conflict = "conflict",
        /// Older than the retention.
        Late = "late",
        /// Its own time is far ahead of ours.
        Future = "future",
        /// In another currency than its purchase.
        CurrencyDiffers = "currency_differs",
    }
}

labels! {
    /// How many percent of a budget are used, when somebody should know.
    BudgetShare {
        /// A half.
        Half = "50",
        /// Time to add to it.
        Most = "80",
        /// All: nothing more is given.
        All = "100",
    }
}

/// The metrics of one service. Every method may be called from any thread; those of the
/// webhook path take a few nanoseconds.
#[derive(Debug)]
pub struct Metrics {
    registry: Mutex<Registry>,
    stages: HistogramsBy,
    outcomes: Counters,
    refusals: Counters,
    signature_failures: Counters,
    proofs: Arc<Proofs>,
    answers: Counters,
    rate_limited: Counters,
    oddities: Counters,
    sync_time: Histogram,
    sync_records: Histogram,
    sync_bytes: Histogram,
    journal_poisoned: Gauge,
    ready: Gauge,
    sightings_dropped: Counters,
    dead_letters_kept: Counters,
    offered_again: Counters,
    dead_letters_dropped: Counters,
    budgets_used: Counters,
    checkpoint_time: Histogram,
    checkpoint_bytes: Histogram,
    replayed_records: Gauge,
    books: Family<[(&'static str, String); 1], Gauge>,
}

/// Adds metrics to the page.
struct Page(Registry);

impl Page {
    fn add<M>(&mut self, name: &str, help: &str, metric: &M) -> M
    where
        M: EncodeMetric + Clone + std::fmt::Debug + Send + Sync + 'static,
    {
        self.0.register(name, help, metric.clone());
        metric.clone()
    }
    fn times(&mut self, name: &str, help: &str) -> Histogram {
        let histogram = Histogram::new(TIMES);
        self.0.register_with_unit(name, help, Unit::Seconds, histogram.clone());
        histogram
    }
    fn sizes(&mut self, name: &str, help: &str) -> Histogram {
        let histogram = Histogram::new(SIZES);
        self.0.register_with_unit(name, help, Unit::Bytes, histogram.clone());
        histogram
    }
    fn counter(&mut self, name: &str, help: &str) -> Counters {
        self.add(name, help, &Counters::one())
    }
    fn gauge(&mut self, name: &str, help: &str) -> Gauge {
        self.add(name, help, &Gauge::default())
    }
    fn proofs(&mut self, proofs: &Arc<Proofs>) {
        let shown = |what| Shown { proofs: Arc::clone(proofs), what };
        let help = "Webhooks proven, by the place in the source's list of the secret used; one that no longer grows \
                    may be removed";
        self.add("proofs", help, &shown(What::Used));
        let mut gap = |name, help, what| self.0.register_with_unit(name, help, Unit::Seconds, shown(what));
        let help = "Our clock less the time of the last proven signature, transport included";
        gap("signature_clock_gap", help, What::GapLast);
        let help = "The gap furthest from zero since the start; beyond age_seconds_max a webhook is turned away";
        gap("signature_clock_gap_largest", help, What::GapLargest);
    }
}

impl Metrics {
    /// Metrics for these sources; a source is named later by its position.
    #[must_use]
    pub fn new(sources: &[SourceName]) -> Self {
        let mut page = Page(Registry::with_prefix("ringfence"));
        let names = || ("source", sources.iter().map(|name| name.as_str().to_owned()).collect::<Vec<_>>());
        let stages = HistogramsBy::new("stage", Stage::words(), TIMES);
        page.0.register_with_unit("stage", "Time per step of a webhook", Unit::Seconds, stages.clone());
        let outcomes = Counters::new(names(), ("outcome", Words::Fixed(WebhookOutcome::words().collect())));
        let reasons = Words::Learnt(Vocabulary::new(SIGNATURE_REASONS_MAX));
        let signature_failures = Counters::new(names(), ("reason", reasons));
        let proofs = Arc::new(Proofs::new(names().1));
        if !sources.is_empty() {
            page.add("events", "Events of webhooks by what became of them", &outcomes);
            page.add("signature_failures", "Webhooks turned away as not authentic", &signature_failures);
            page.proofs(&proofs);
        }
        let codes = Words::Learnt(Vocabulary::new(REFUSAL_CODES_MAX));
        let refusals = Counters::new(("", Vec::new()), ("code", codes));
        page.add("refusals", "Offers considered and refused, by the first reason", &refusals);
        let groups = ("route", RouteGroup::words().map(str::to_owned).collect());
        let classes = Words::Fixed(vec!["1xx", "2xx", "3xx", "4xx", "5xx"]);
        let answers = page.add("http_answers", "HTTP answers", &Counters::new(groups, ("status", classes)));
        let rate_limited = Counters::by("limit", RateLimitKind::words());
        page.add("rate_limited", "Requests answered 429", &rate_limited);
        let oddities = Counters::by("kind", EventOddity::words());
        page.add("events_odd", "Events understood and unusual", &oddities);
        let budgets = ("budget", vec!["whole".to_owned(), "day".to_owned()]);
        let budgets_used = Counters::new(budgets, ("percent", Words::Fixed(BudgetShare::words().collect())));
        page.add("budgets_used", "Offers whose budget, whole or of a day, came to so many percent", &budgets_used);
        let sync_records = Histogram::new(COUNTS);
        page.add("journal_sync_records", "Records made durable by one sync", &sync_records);
        let books = Family::default();
        page.add(
            "books_out_of_balance_minor_units",
            "Sum of all balances per currency, points or perk; anything but 0 is a fault of ours",
            &books,
        );
        let build = Info::new([("version", env!("CARGO_PKG_VERSION")), ("target", std::env::consts::ARCH)]);
        page.0.register("build", "What is running", build);
        Self {
            stages,
            outcomes,
            refusals,
            signature_failures,
            proofs,
            answers,
            rate_limited,
            oddities,
            sync_time: page.times("journal_sync", "Time of one sync of the journal"),
            sync_records,
            sync_bytes: page.sizes("journal_sync", "Bytes made durable by one sync"),
            journal_poisoned: page.gauge("journal_poisoned", "1 after a failed sync: nothing is committed any more"),
            ready: page.gauge("ready", "1 while requests are welcome"),
            sightings_dropped: page.counter("sightings_dropped", "Sightings not kept because the queue was full"),
            offered_again: page.counter("records_offered_again", "Records that a shared store had forgotten"),
            dead_letters_kept: page.counter("dead_letters_kept", "Messages put on the dead-letter shelf"),
            dead_letters_dropped: page.counter("dead_letters_dropped", "Messages that fell off the full shelf"),
            budgets_used,
            checkpoint_time: page.times("checkpoint", "Time of one checkpoint of the state"),
            checkpoint_bytes: page.sizes("checkpoint", "Bytes of journal covered by one checkpoint"),
            replayed_records: page.gauge("replayed_records", "Records of the journal replayed at the start"),
            books,
            registry: Mutex::new(page.0),
        }
    }

    /// The page as OpenMetrics text (`application/openmetrics-text; version=1.0.0; charset=utf-8`).
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = String::with_capacity(32 << 10);
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("writing to a string does not fail");
        text
    }

    /// Puts a number on the page that somebody else keeps and that only grows; `_total` is added to its name.
    pub fn publish_counter(&self, name: &str, help: &str, read: impl Fn() -> u64 + Send + Sync + 'static) {
        self.publish(name, help, Reading { read: Box::new(read), kind: MetricType::Counter });
    }

    /// Puts a number on the page that somebody else keeps and that goes up and down.
    pub fn publish_gauge(&self, name: &str, help: &str, read: impl Fn() -> u64 + Send + Sync + 'static) {
        self.publish(name, help, Reading { read: Box::new(read), kind: MetricType::Gauge });
    }

    /// Puts numbers on the page, one per source, that somebody else keeps: some only grow
    /// (`grows`, then `_total` is added to the name), others go up and down.
    pub fn publish_by_source(
        &self,
        name: &str,
        help: &str,
        grows: bool,
        sources: Vec<String>,
        read: impl Fn(usize) -> u64 + Send + Sync + 'static,
    ) {
        if sources.is_empty() {
            return;
        }
        let kind = if grows { MetricType::Counter } else { MetricType::Gauge };
        let readings = ReadingsBy { label: "source", names: sources, read: Box::new(read), kind };
        self.registry.lock().unwrap_or_else(PoisonError::into_inner).register(name, help, readings);
    }

    /// Webhooks of a source that were turned away as not authentic, by reason.
    #[must_use]
    pub fn signature_failures_of(&self, source: usize) -> BTreeMap<String, u64> {
        self.signature_failures.row(source)
    }

    fn publish(&self, name: &str, help: &str, reading: Reading) {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner).register(name, help, reading);
    }

    /// A step of a webhook's path took this long.
    #[inline]
    pub fn stage(&self, stage: Stage, took: Duration) {
        self.stages.at(stage as usize).observe(nanoseconds(took));
    }
    /// An event of the source at this position ended so.
    #[inline]
    pub fn outcome(&self, source: usize, outcome: WebhookOutcome) {
        self.outcomes.add(source, outcome as usize, 1);
    }
    /// An offer was refused under this code.
    #[inline]
    pub fn refusal(&self, code: &str) {
        self.refusals.add_word(0, code, 1);
    }
    /// A webhook of the source at this position was not authentic; the reason is a word of ours.
    #[inline]
    pub fn signature_failure(&self, source: usize, reason: &'static str) {
        self.signature_failures.add_word(source, reason, 1);
    }
    /// The source at this position has so many secrets: those never used are shown as such.
    pub fn expect_keys(&self, source: usize, keys: usize) {
        self.proofs.show(source, keys);
    }
    /// A webhook of the source at this position was proven with the secret at this place of its list.
    #[inline]
    pub fn key_used(&self, source: usize, place: usize) {
        self.proofs.used(source, place);
    }
    /// A proven signature's time lay this much before ours; negative, after it.
    #[inline]
    pub fn clock_gap(&self, source: usize, gap_ms: i64) {
        self.proofs.gap(source, gap_ms);
    }
    /// An HTTP answer went out.
    #[inline]
    pub fn answer(&self, route: RouteGroup, status: u16) {
        let class = usize::from(status / 100).clamp(1, 5) - 1;
        self.answers.add(route as usize, class, 1);
    }
    /// A caller went too fast.
    #[inline]
    pub fn rate_limited(&self, limit: RateLimitKind) {
        self.rate_limited.add(0, limit as usize, 1);
    }
    /// An event was unusual.
    #[inline]
    pub fn oddity(&self, oddity: EventOddity) {
        self.oddities.add(0, oddity as usize, 1);
    }
    /// A sync made these records durable.
    #[inline]
    pub fn journal_sync(&self, took: Duration, records: u64, bytes: u64) {
        self.sync_time.observe(nanoseconds(took));
        self.sync_records.observe(records);
        self.sync_bytes.observe(bytes);
    }
    /// Whether a sync has failed, so that nothing may be committed.
    pub fn set_journal_poisoned(&self, poisoned: bool) {
        self.journal_poisoned.set(i64::from(poisoned));
    }
    /// Whether requests are welcome.
    pub fn set_ready(&self, ready: bool) {
        self.ready.set(i64::from(ready));
    }
    /// A sighting was not kept.
    #[inline]
    pub fn sighting_dropped(&self) {
        self.sightings_dropped.add(0, 0, 1);
    }
    /// So many records were offered again to a shared store that had forgotten them.
    pub fn offered_again(&self, count: u64) {
        self.offered_again.add(0, 0, count);
    }
    /// A message was put on the dead-letter shelf.
    pub fn dead_letter_kept(&self) {
        self.dead_letters_kept.add(0, 0, 1);
    }
    /// This many messages fell off the full shelf.
    pub fn dead_letters_dropped(&self, count: u64) {
        self.dead_letters_dropped.add(0, 0, count);
    }
    /// An offer's budget, the whole or a day's, came to one of the shares that are warned of.
    pub fn budget_used(&self, of_day: bool, share: BudgetShare) {
        self.budgets_used.add(usize::from(of_day), share as usize, 1);
    }
    /// The state on disk caught up with this much of the journal.
    pub fn checkpoint(&self, took: Duration, bytes: u64) {
        self.checkpoint_time.observe(nanoseconds(took));
        self.checkpoint_bytes.observe(bytes);
    }
    /// How many records were replayed at the start.
    pub fn set_replayed_records(&self, records: u64) {
        self.replayed_records.set(i64::try_from(records).unwrap_or(i64::MAX));
    }
    /// The sum of all balances of a unit, which must be 0.
    pub fn set_books_sum(&self, unit: crate::domain::Unit, sum_minor: i128) {
        let shown = i64::try_from(sum_minor).unwrap_or(if sum_minor < 0 { i64::MIN } else { i64::MAX });
        self.books.get_or_create(&[("unit", unit.to_string())]).set(shown);
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn used() -> Metrics {
        let metrics = Metrics::new(&[SourceName::new("visa-eu").unwrap(), SourceName::new("b\"s").unwrap()]);
        for stage in Stage::ALL {
            metrics.stage(*stage, Duration::from_micros(3));
        }
        metrics.outcome(0, WebhookOutcome::Credited);
        metrics.outcome(1, WebhookOutcome::NoOffer);
        metrics.outcome(1, WebhookOutcome::NoOffer);
        metrics.refusal("budget_spent");
        metrics.signature_failure(0, "too_old");
        metrics.expect_keys(0, 2);
        metrics.key_used(0, 0);
        metrics.key_used(0, 0);
        metrics.key_used(1, 2);
        metrics.clock_gap(0, -2500);
        metrics.clock_gap(0, 250);
        metrics.answer(RouteGroup::Webhooks, 200);
        metrics.answer(RouteGroup::Unknown, 999);
        metrics.rate_limited(RateLimitKind::Address);
        metrics.oddity(EventOddity::Future);
        metrics.journal_sync(Duration::from_millis(2), 3, 4096);
        metrics.set_ready(true);
        metrics.sighting_dropped();
        metrics.dead_letter_kept();
        metrics.dead_letters_dropped(2);
        metrics.budget_used(true, BudgetShare::Most);
        metrics.checkpoint(Duration::from_secs(20), 1 << 20);
        metrics.set_replayed_records(7);
        metrics.set_books_sum(crate::domain::Currency::parse("USD").unwrap().into(), 0);
        metrics.publish_counter("connections_refused", "Connections refused", || 5);
        metrics.publish_gauge("connections_open", "Connections open", || 6);
        metrics
    }

    /// The page as sample -> value, having checked its form on the way.
    fn parse(page: &str) -> BTreeMap<String, f64> {
        let mut samples = BTreeMap::new();
        let (mut helped, mut typed, mut family) = (BTreeSet::new(), BTreeMap::new(), String::new());
        let body = page.strip_suffix("# EOF\n").expect("ends with the mark");
        for line in body.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').unwrap();
                assert!(help.ends_with('.') && help.len() > 5, "{line}");
                assert!(helped.insert(name.to_owned()), "{name} once");
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                typed.insert(name.to_owned(), kind.to_owned());
                family = name.to_owned();
            } else if let Some(rest) = line.strip_prefix("# UNIT ") {
                let (name, unit) = rest.split_once(' ').unwrap();
                assert!(name.ends_with(&format!("_{unit}")), "{line}");
            } else {
                let (sample, value) = line.rsplit_once(' ').unwrap();
                let name = sample.split('{').next().unwrap();
                let suffix = name.strip_prefix(&family).expect(line);
                let expected: &[&str] = match typed[&family].as_str() {
                    "counter" => &["_total"],
                    "gauge" => &[""],
                    "histogram" => &["_sum", "_count", "_bucket"],
                    "info" => &["_info"],
                    other => panic!("{other}"),
                };
                assert!(expected.contains(&suffix), "{line}");
                assert!(name.starts_with("ringfence_") && name.chars().all(|c| c.is_ascii_lowercase() || c == '_'));
                assert!(samples.insert(sample.to_owned(), value.parse().expect(line)).is_none(), "{line} once");
            }
        }
        assert_eq!(helped, typed.into_keys().collect());
        samples
    }

    #[test]
    fn the_page_holds_what_was_observed_in_valid_form() {
        let page = used().encode();
        let samples = parse(&page);
        for (sample, value) in [
            ("ringfence_stage_seconds_count{stage=\"decide\"}", 1.0),
            ("ringfence_stage_seconds_sum{stage=\"decide\"}", 3e-6),
            ("ringfence_stage_seconds_bucket{le=\"0.000002\",stage=\"total\"}", 0.0),
            ("ringfence_stage_seconds_bucket{le=\"0.000004\",stage=\"total\"}", 1.0),
            ("ringfence_stage_seconds_bucket{le=\"+Inf\",stage=\"total\"}", 1.0),
            ("ringfence_events_total{source=\"visa-eu\",outcome=\"credited\"}", 1.0),
            ("ringfence_events_total{source=\"visa-eu\",outcome=\"held\"}", 0.0),
            ("ringfence_events_total{source=\"b\\\"s\",outcome=\"no_offer\"}", 2.0),
            ("ringfence_refusals_total{code=\"budget_spent\"}", 1.0),
            ("ringfence_signature_failures_total{source=\"visa-eu\",reason=\"too_old\"}", 1.0),
            ("ringfence_proofs_total{source=\"visa-eu\",key=\"1\"}", 2.0),
            ("ringfence_proofs_total{source=\"visa-eu\",key=\"2\"}", 0.0),
            ("ringfence_proofs_total{source=\"b\\\"s\",key=\"3\"}", 1.0),
            ("ringfence_signature_clock_gap_seconds{source=\"visa-eu\"}", 0.25),
            ("ringfence_signature_clock_gap_largest_seconds{source=\"visa-eu\"}", -2.5),
            ("ringfence_http_answers_total{route=\"webhooks\",status=\"2xx\"}", 1.0),
            ("ringfence_http_answers_total{route=\"unknown\",status=\"5xx\"}", 1.0),
            ("ringfence_rate_limited_total{limit=\"address\"}", 1.0),
            ("ringfence_events_odd_total{kind=\"future\"}", 1.0),
            ("ringfence_journal_sync_records_sum", 3.0),
            ("ringfence_journal_sync_seconds_sum", 0.002),
            ("ringfence_journal_sync_bytes_bucket{le=\"4096.0\"}", 1.0),
            ("ringfence_journal_poisoned", 0.0),
            ("ringfence_ready", 1.0),
            ("ringfence_dead_letters_dropped_total", 2.0),
            ("ringfence_checkpoint_seconds_bucket{le=\"16.777216\"}", 0.0),
            ("ringfence_budgets_used_total{budget=\"day\",percent=\"80\"}", 1.0),
            ("ringfence_budgets_used_total{budget=\"whole\",percent=\"100\"}", 0.0),
            ("ringfence_checkpoint_seconds_count", 1.0),
            ("ringfence_replayed_records", 7.0),
            ("ringfence_books_out_of_balance_minor_units{unit=\"USD\"}", 0.0),
            ("ringfence_connections_refused_total", 5.0),
            ("ringfence_connections_open", 6.0),
        ] {
            assert_eq!(samples.get(sample), Some(&value), "{sample}\n{page}");
        }
        for absent in ["ringfence_proofs_total{source=\"visa-eu\",key=\"3\"}", "gap_seconds{source=\"b"] {
            assert!(!page.contains(absent), "{absent}\n{page}");
        }
    }

    #[test]
    fn without_sources_the_page_is_valid_too() {
        parse(&Metrics::new(&[]).encode());
    }

    #[test]
    fn buckets_only_grow() {
        let samples = used().encode();
        let counts: Vec<u64> = samples
            .lines()
            .filter(|line| line.starts_with("ringfence_checkpoint_seconds_bucket"))
            .map(|line| line.rsplit(' ').next().unwrap().parse().unwrap())
            .collect();
        assert_eq!(counts.len(), TIMES.count + 1);
        assert!(counts.is_sorted() && counts.last() == Some(&1));
    }

    #[test]
    fn inv_09_codes_beyond_the_bound_are_other() {
        let metrics = Metrics::new(&[]);
        (0..1000).for_each(|n| metrics.refusal(&format!("code_{n}")));
        let samples = parse(&metrics.encode());
        let codes = samples.keys().filter(|name| name.starts_with("ringfence_refusals_total")).count();
        assert_eq!(codes, REFUSAL_CODES_MAX + 1);
        assert_eq!(samples["ringfence_refusals_total{code=\"other\"}"], 1000.0 - REFUSAL_CODES_MAX as f64);
    }

    #[test]
    fn words_lead_back() {
        for outcome in WebhookOutcome::ALL {
            assert_eq!(WebhookOutcome::from_word(outcome.as_str()), Some(*outcome));
        }
        assert_eq!(WebhookOutcome::from_word("nonsense"), None);
    }

    #[test]
    #[ignore = "a measurement: run with --release"]
    fn cost_of_an_observation() {
        let metrics = used();
        let rounds: u32 = 10_000_000;
        for (what, act) in [
            ("stage", Box::new(|n| metrics.stage(Stage::Decide, Duration::from_nanos(n))) as Box<dyn Fn(u64)>),
            ("outcome", Box::new(|_| metrics.outcome(0, WebhookOutcome::Credited))),
            ("refusal", Box::new(|_| metrics.refusal("budget_spent"))),
        ] {
            let start = std::time::Instant::now();
            (0..u64::from(rounds)).for_each(&*act);
            eprintln!("{what}: {} ns", start.elapsed().as_nanos() / u128::from(rounds));
        }
    }
}
