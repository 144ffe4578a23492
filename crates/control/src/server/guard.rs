//! The pages of `plimsoll guard`.

use super::probe;
use crate::guard::Page;
use crate::metrics::Format;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::sync::Arc;

pub(super) fn router(page: Arc<Page>) -> Router {
    let health = async |State(page): State<Arc<Page>>| probe(page.health());
    Router::new()
        .route("/metrics", get(scrape))
        .route("/livez", get(health))
        .route("/readyz", get(health))
        .fallback(async || (StatusCode::NOT_FOUND, "not found\n"))
        .with_state(page)
}

async fn scrape(State(page): State<Arc<Page>>, headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT);
    let format = Format::accepted(accept.and_then(|v| v.to_str().ok()).unwrap_or(""));
    (
        [(header::CONTENT_TYPE, format.content_type())],
        page.text(format),
    )
        .into_response()
}
