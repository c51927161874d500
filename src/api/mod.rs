//! The doors: every HTTP route, by audience. `reply` alone knows statuses and headers of
//! answers; a door turns a request into a call and the call's result into a reply.

pub mod access;
pub mod again;
pub mod backtests;
pub mod books;
pub mod cards;
pub mod cases;
pub mod check;
pub mod detectors;
pub mod docs;
pub mod health;
pub mod ingest;
pub mod member_document;
pub mod members;
pub mod merchant_document;
pub mod merchants;
pub mod money;
pub mod offer_document;
pub mod offers;
pub mod operations;
pub(crate) mod page;
mod prospects;
pub mod purchases;
pub mod read;
pub mod reply;
pub mod risk;
pub mod routes;
pub mod rule_document;
pub mod rules;
pub mod shelf;
mod signals;
#[cfg(test)]
mod tests;
pub mod webhooks;

use crate::again::Again;
use crate::authenticate::keys::KeyRing;
use crate::config::{ConsoleSettings, ScreeningSettings};
use crate::console;
use crate::engine::Engine;
use crate::follow::screening::Screener;
use crate::health::{Health, HealthOptions};
use crate::pipeline::Source;
use crate::telemetry::{RateLimitKind, RouteGroup};
use crate::wire::{AddressKey, Handler, Limiter, Request, TrustedProxies, WireCounters};
use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;
use reply::Reply;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// How fast callers may go; `None` is as fast as they like.
#[derive(Default)]
pub struct Limits {
    /// Per source, in order of the sources.
    pub sources: Vec<Option<Limiter<str>>>,
    /// Per API key.
    pub keys: Option<Limiter<str>>,
    /// Per client address.
    pub addresses: Option<Limiter<AddressKey>>,
}

/// Everything a request may need.
pub struct Doors {
    /// Commits and looks.
    pub engine: Arc<Engine>,
    /// Decides again what was seen.
    pub again: Arc<Again>,
    /// By name.
    pub sources: HashMap<String, Source>,
    /// What they sent, and whether they are quieter than usual.
    pub health: Arc<Health>,
    /// What is kept and seen of the network of members.
    pub screener: Arc<Screener>,
    /// Who may call.
    pub keys: Arc<KeyRing>,
    /// What the consoles keep besides: who is signed in, who works on what, who did what.
    pub console: console::Console,
    /// How fast.
    pub limits: Limits,
    /// Whose forwarded addresses are believed.
    pub proxies: TrustedProxies,
    /// Whether the service takes traffic.
    pub ready: AtomicBool,
    /// What the wire counts.
    pub wire: Arc<WireCounters>,
    router: matchit::Router<routes::Route>,
}

impl Doors {
    /// Puts the doors together.
    #[must_use]
    pub fn new(
        engine: Arc<Engine>,
        sources: Vec<Source>,
        keys: KeyRing,
        limits: Limits,
        proxies: TrustedProxies,
        wire: Arc<WireCounters>,
    ) -> Self {
        let names: Vec<_> = sources.iter().map(|source| source.name.clone()).collect();
        let health = Arc::new(Health::new(&names, HealthOptions::default(), engine.clock.now()));
        let sources = sources.into_iter().map(|source| (source.name.to_string(), source)).collect();
        let ready = AtomicBool::new(false);
        let again = Arc::default();
        let keys = Arc::new(keys);
        let console = console::Console::new(&keys, ConsoleSettings::default());
        let screener = Arc::new(Screener::new(ScreeningSettings::default()));
        Self {
            engine,
            again,
            sources,
            health,
            screener,
            keys,
            console,
            limits,
            proxies,
            ready,
            wire,
            router: routes::router(),
        }
    }

    /// With the health of these same sources from elsewhere, such as a folder.
    #[must_use]
    pub fn with_health(mut self, health: Health) -> Self {
        self.health = Arc::new(health);
        self
    }

    /// With a screener that was told otherwise.
    #[must_use]
    pub fn with_screener(mut self, screener: Screener) -> Self {
        self.screener = Arc::new(screener);
        self
    }

    /// With consoles that were told otherwise.
    #[must_use]
    pub fn with_console(mut self, settings: ConsoleSettings) -> Self {
        self.console = console::Console::new(&self.keys, settings);
        self
    }

    /// Switches readiness.
    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Release);
        self.engine.metrics.set_ready(ready && self.engine.is_able());
    }

    /// The answer, with what the request was for in words that hold no token.
    async fn answer(&self, request: &Request) -> (RouteGroup, &'static str, Reply) {
        let path = request.uri.path();
        // The busiest door first, without the router.
        if let Some(name) = path.strip_prefix("/v1/webhooks/") {
            let reply = match self.address_may(request) {
                Ok(()) => webhooks::receive(self, name, request).await,
                Err(reply) => reply,
            };
            return (RouteGroup::Webhooks, "/v1/webhooks/{source}", reply);
        }
        // Pages for people have a table of their own.
        if path == "/console" || path.starts_with("/console/") {
            let reply = match self.address_may(request) {
                Ok(()) => console::answer(self, request).await,
                Err(reply) => reply,
            };
            return (RouteGroup::Api, "/console", reply);
        }
        let Ok(found) = self.router.at(path) else {
            return (RouteGroup::Unknown, "none", reply::no_route());
        };
        let group = found.value.group();
        // Probes and scrapes must get through when somebody floods the API.
        if group == RouteGroup::Api
            && let Err(reply) = self.address_may(request)
        {
            return (group, found.value.path(), reply);
        }
        (group, found.value.path(), routes::answer(self, *found.value, &found.params, request).await)
    }

    fn address_may(&self, request: &Request) -> Result<(), Reply> {
        let Some(limiter) = &self.limits.addresses else { return Ok(()) };
        let address = self.proxies.caller(request.peer, &request.headers);
        limiter.check(&AddressKey::from(address)).map_err(|wait| {
            self.engine.metrics.rate_limited(RateLimitKind::Address);
            reply::slow_down(wait.seconds, "too many requests from this address")
        })
    }
}

impl Handler for Doors {
    async fn handle(&self, request: Request) -> Response<Full<Bytes>> {
        let (group, route, reply) = self.answer(&request).await;
        self.engine.metrics.answer(group, reply.status());
        if group == RouteGroup::Webhooks {
            self.engine.metrics.stage(crate::telemetry::Stage::Total, request.arrived.elapsed());
        }
        tracing::debug!(request = %request.id, route, status = reply.status(), "answered");
        reply.into_response(&request.id)
    }
}
