//! Which Hearth this is.

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::Doors;

/// The routes.
pub fn router() -> OpenApiRouter<Doors> {
    OpenApiRouter::new().routes(routes!(get))
}

/// Which Hearth this is.
#[derive(Debug, Serialize, ToSchema)]
pub struct Version {
    /// Hearth's own version.
    version: &'static str,
}

/// Which Hearth this is.
#[utoipa::path(get, path = "/version", tag = "gateway", operation_id = "get_version", responses((status = 200, body = Version)))]
async fn get() -> Json<Version> {
    Json(Version { version: env!("CARGO_PKG_VERSION") })
}
