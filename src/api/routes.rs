//! The table of routes.

use super::reply::{self, Reply};
use super::{Doors, operations};
use crate::telemetry::RouteGroup;
use crate::wire::Request;
use hyper::Method;
use matchit::{Params, Router};

/// Every path we answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// `/healthz`
    Health,
    /// `/readyz`
    Ready,
    /// `/metrics`
    Metrics,
}

impl Route {
    const ALL: [(&'static str, Self); 3] =
        [("/healthz", Self::Health), ("/readyz", Self::Ready), ("/metrics", Self::Metrics)];

    /// For counters and limits.
    pub(super) fn group(self) -> RouteGroup {
        match self {
            Self::Health | Self::Ready | Self::Metrics => RouteGroup::Operations,
        }
    }
}

/// The router over all routes.
pub(super) fn router() -> Router<Route> {
    let mut router = Router::new();
    for (path, route) in Route::ALL {
        router.insert(path, route).expect("the table has no path twice");
    }
    router
}

/// Answers a request for a route.
pub(super) async fn answer(doors: &Doors, route: Route, _params: &Params<'_, '_>, request: &Request) -> Reply {
    match (route, &request.method) {
        (Route::Health, &Method::GET) => operations::alive(),
        (Route::Ready, &Method::GET) => operations::ready(doors),
        (Route::Metrics, &Method::GET) => operations::metrics(doors).await,
        (Route::Health | Route::Ready | Route::Metrics, _) => reply::not_this_method("GET"),
    }
}
