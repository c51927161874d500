//! The table of routes.

use super::reply::{self, Reply};
use super::{
    Doors, again, backtests, books, cards, cases, detectors, docs, health, ingest, members, merchants, money, offers,
    operations, prospects, purchases, risk, rules, shelf, signals,
};
use crate::telemetry::RouteGroup;
use crate::wire::Request;
use matchit::{Params, Router};

/// Every path we answer, besides the webhooks'.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// The process is there.
    Health,
    /// The service takes traffic.
    Ready,
    /// All metrics.
    Metrics,
    /// One merchant.
    Merchant,
    /// What a merchant's change would come to.
    MerchantPreview,
    /// Statement texts that may be a merchant's.
    Descriptors,
    /// All offers.
    Offers,
    /// One offer.
    Offer,
    /// A step of an offer's life.
    OfferStep,
    /// What an offer's document may say.
    OfferSchema,
    /// One member.
    Member,
    /// One card of a member.
    Card,
    /// What linking a card would come to.
    CardPreview,
    /// What is still being decided again.
    Jobs,
    /// What a member did that is no purchase.
    Signals,
    /// One activation of a member.
    Activation,
    /// What a member has.
    Balance,
    /// A member's transfers.
    Statement,
    /// A member's pay-outs.
    Redemptions,
    /// One purchase.
    Purchase,
    /// What could not be understood.
    DeadLetters,
    /// One of those, tried again.
    Replay,
    /// Messages of a source, by an operator's authority.
    Ingest,
    /// What a source sent, and whether it is silent.
    SourceHealth,
    /// What a source says it sent on a day.
    ControlTotals,
    /// What a member may earn now.
    Prospects,
    /// The books, summed.
    TrialBalance,
    /// The books' transfers.
    Transfers,
    /// Cases for review.
    Cases,
    /// One case.
    Case,
    /// A review of a case.
    Review,
    /// A review taken back.
    Undo,
    /// A member's objection.
    Objections,
    /// A detector's version that is to count for nothing.
    WithdrawDetector,
    /// Rules of the risk desk.
    Rules,
    /// One of them.
    Rule,
    /// Whether it counts.
    RuleState,
    /// Detectors, and what people said of what they found.
    Detectors,
    /// What another policy would have found.
    Backtests,
    /// One of those.
    Backtest,
    /// What is known of a member's risk.
    Risk,
    /// This interface, for machines.
    OpenApi,
    /// This interface, for people.
    Docs,
    /// A file of those pages.
    DocsFile,
}

impl Route {
    /// Every route with its path and what it takes.
    pub(super) const ALL: [(&'static str, Self, &'static str); 45] = [
        ("/healthz", Self::Health, "GET"),
        ("/readyz", Self::Ready, "GET"),
        ("/metrics", Self::Metrics, "GET"),
        ("/v1/merchants/{id}", Self::Merchant, "GET, PUT"),
        ("/v1/merchants/{id}/preview", Self::MerchantPreview, "POST"),
        ("/v1/merchants/{id}/descriptors", Self::Descriptors, "GET"),
        ("/v1/offers", Self::Offers, "GET"),
        ("/v1/offers/{id}", Self::Offer, "GET, PUT"),
        ("/v1/offers/{id}/{step}", Self::OfferStep, "POST"),
        ("/v1/schemas/offer.json", Self::OfferSchema, "GET"),
        ("/v1/members/{id}", Self::Member, "DELETE, GET, PUT"),
        ("/v1/members/{id}/cards/{source}/{token}", Self::Card, "DELETE, PUT"),
        ("/v1/members/{id}/cards/{source}/{token}/preview", Self::CardPreview, "POST"),
        ("/v1/jobs", Self::Jobs, "GET"),
        ("/v1/members/{id}/activations/{offer}", Self::Activation, "DELETE, PUT"),
        ("/v1/members/{id}/offers", Self::Prospects, "GET"),
        ("/v1/members/{id}/signals", Self::Signals, "POST"),
        ("/v1/members/{id}/balance", Self::Balance, "GET"),
        ("/v1/members/{id}/statement", Self::Statement, "GET"),
        ("/v1/members/{id}/redemptions", Self::Redemptions, "POST"),
        ("/v1/purchases/{source}/{purchase}", Self::Purchase, "GET"),
        ("/v1/dead-letters", Self::DeadLetters, "GET"),
        ("/v1/dead-letters/{id}/replay", Self::Replay, "POST"),
        ("/v1/sources/{source}/ingest", Self::Ingest, "POST"),
        ("/v1/sources/{source}/health", Self::SourceHealth, "GET"),
        ("/v1/sources/{source}/control-totals/{day}", Self::ControlTotals, "PUT"),
        ("/v1/ledger/trial-balance", Self::TrialBalance, "GET"),
        ("/v1/ledger/transfers", Self::Transfers, "GET"),
        ("/v1/cases", Self::Cases, "GET, POST"),
        ("/v1/cases/{id}", Self::Case, "GET"),
        ("/v1/cases/{id}/review", Self::Review, "POST"),
        ("/v1/cases/{id}/undo", Self::Undo, "POST"),
        ("/v1/cases/{id}/objections", Self::Objections, "POST"),
        ("/v1/detectors/{name}/withdraw", Self::WithdrawDetector, "POST"),
        ("/v1/screening/rules", Self::Rules, "GET"),
        ("/v1/screening/rules/{id}", Self::Rule, "GET, PUT"),
        ("/v1/screening/rules/{id}/state", Self::RuleState, "POST"),
        ("/v1/screening/detectors", Self::Detectors, "GET"),
        ("/v1/screening/backtests", Self::Backtests, "GET, POST"),
        ("/v1/screening/backtests/{id}", Self::Backtest, "GET"),
        ("/v1/members/{id}/risk", Self::Risk, "GET"),
        ("/openapi.json", Self::OpenApi, "GET"),
        ("/docs", Self::Docs, "GET"),
        ("/docs/", Self::DocsFile, "GET"),
        ("/docs/{*file}", Self::DocsFile, "GET"),
    ];

    /// For counters and limits.
    pub(super) fn group(self) -> RouteGroup {
        match self {
            Self::Health | Self::Ready | Self::Metrics => RouteGroup::Operations,
            _ => RouteGroup::Api,
        }
    }

    fn entry(self) -> &'static (&'static str, Self, &'static str) {
        Self::ALL.iter().find(|(_, route, _)| *route == self).expect("the table has every route")
    }
    /// Its path with the names of its parts: fit for logs, where a token must not be.
    pub(super) fn path(self) -> &'static str {
        self.entry().0
    }
    /// Its methods, for those who used another.
    fn methods(self) -> &'static str {
        self.entry().2
    }
}

/// The router over all routes.
pub(super) fn router() -> Router<Route> {
    let mut router = Router::new();
    for (path, route, _) in Route::ALL {
        router.insert(path, route).expect("the table has no path twice");
    }
    router
}

/// Answers a request for a route.
pub(super) async fn answer(doors: &Doors, route: Route, params: &Params<'_, '_>, request: &Request) -> Reply {
    let done = match (route, request.method.as_str()) {
        (Route::Health, "GET") => Ok(operations::alive()),
        (Route::Ready, "GET") => Ok(operations::ready(doors)),
        (Route::Metrics, "GET") => Ok(operations::metrics(doors).await),
        (Route::Merchant, "PUT") => merchants::put(doors, params, request).await,
        (Route::Merchant, "GET") => merchants::get(doors, params, request).await,
        (Route::MerchantPreview, "POST") => again::merchant(doors, params, request).await,
        (Route::Descriptors, "GET") => again::suggestions(doors, params, request).await,
        (Route::CardPreview, "POST") => again::card(doors, params, request).await,
        (Route::Jobs, "GET") => again::jobs(doors, request).await,
        (Route::Offers, "GET") => offers::list(doors, request).await,
        (Route::Offer, "PUT") => offers::put(doors, params, request).await,
        (Route::Offer, "GET") => offers::get(doors, params, request).await,
        (Route::OfferStep, "POST") => offers::step(doors, params, request).await,
        (Route::OfferSchema, "GET") => Ok(offers::schema()),
        (Route::Member, "PUT") => members::put(doors, params, request).await,
        (Route::Member, "GET") => members::get(doors, params, request).await,
        (Route::Member, "DELETE") => members::delete(doors, params, request).await,
        (Route::Card, "PUT") => cards::put(doors, params, request).await,
        (Route::Card, "DELETE") => cards::delete(doors, params, request).await,
        (Route::Activation, "PUT") => members::opt_in(doors, params, request).await,
        (Route::Activation, "DELETE") => members::opt_out(doors, params, request).await,
        (Route::Prospects, "GET") => prospects::get(doors, params, request).await,
        (Route::Signals, "POST") => signals::post(doors, params, request).await,
        (Route::Balance, "GET") => money::balance(doors, params, request).await,
        (Route::Statement, "GET") => money::statement(doors, params, request).await,
        (Route::Redemptions, "POST") => money::redeem(doors, params, request).await,
        (Route::Purchase, "GET") => purchases::get(doors, params, request).await,
        (Route::DeadLetters, "GET") => shelf::list(doors, request).await,
        (Route::Replay, "POST") => shelf::replay(doors, params, request).await,
        (Route::Ingest, "POST") => ingest::post(doors, params, request).await,
        (Route::SourceHealth, "GET") => health::get(doors, params, request),
        (Route::ControlTotals, "PUT") => health::put_control(doors, params, request).await,
        (Route::TrialBalance, "GET") => books::trial_balance(doors, request).await,
        (Route::Transfers, "GET") => books::transfers(doors, request).await,
        (Route::Cases, "GET") => cases::list(doors, request).await,
        (Route::Cases, "POST") => cases::report(doors, request).await,
        (Route::Case, "GET") => cases::get(doors, params, request).await,
        (Route::Review, "POST") => cases::review(doors, params, request).await,
        (Route::Undo, "POST") => cases::undo(doors, params, request).await,
        (Route::Objections, "POST") => cases::object(doors, params, request).await,
        (Route::WithdrawDetector, "POST") => cases::withdraw(doors, params, request).await,
        (Route::Rules, "GET") => rules::list(doors, request).await,
        (Route::Rule, "GET") => rules::get(doors, params, request).await,
        (Route::Rule, "PUT") => rules::put(doors, params, request).await,
        (Route::RuleState, "POST") => rules::state(doors, params, request).await,
        (Route::Detectors, "GET") => detectors::list(doors, request).await,
        (Route::Backtests, "POST") => backtests::begin(doors, request).await,
        (Route::Backtests, "GET") => backtests::list(doors, request),
        (Route::Backtest, "GET") => backtests::get(doors, params, request),
        (Route::Risk, "GET") => risk::get(doors, params, request).await,
        (Route::OpenApi, "GET") => Ok(docs::openapi()),
        (Route::Docs, "GET") => Ok(docs::redirect()),
        (Route::DocsFile, "GET") => docs::file(params.get("file").unwrap_or("")),
        _ => Err(reply::not_this_method(route.methods())),
    };
    done.unwrap_or_else(|refused| refused)
}
