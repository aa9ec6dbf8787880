//! The admin server's routes inside a user's own axum server.

use super::admin::Routes;
use super::routes::{AdminRoutes, plain};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use http::StatusCode;
use std::sync::Arc;

/// As the admin server bounds them.
const MAX_BODY: usize = 16 << 10;

/// All paths under where it is mounted.
pub(crate) fn router<S: Clone + Send + Sync + 'static>(routes: Arc<AdminRoutes>) -> Router<S> {
    Router::new().fallback(move |request: Request| {
        let routes = routes.clone();
        async move {
            let (head, body) = request.into_parts();
            let response = match to_bytes(body, MAX_BODY).await {
                Ok(body) => routes.handle(http::Request::from_parts(head, body), None).await,
                Err(_) => plain(StatusCode::PAYLOAD_TOO_LARGE, ""),
            };
            response.map(Body::from)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::page::PageContext;
    use tower::ServiceExt;

    #[tokio::test]
    async fn the_routes_stand_under_a_prefix() {
        let routes = Arc::new(AdminRoutes::new(Some(PageContext::default()), None));
        let app: Router = Router::new().nest("/internal", router(routes));
        for (path, status) in [
            ("/internal/metrics", 200),
            ("/internal/livez", 200),
            ("/internal/nothing", 404),
            ("/metrics", 404),
        ] {
            let request = http::Request::get(path).body(Body::empty()).unwrap();
            let response = app.clone().oneshot(request).await.unwrap();
            assert_eq!(response.status().as_u16(), status, "{path}");
        }
    }
}
