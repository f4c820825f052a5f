//! Livy's REST API at `/`, as its clients know it.

use axum::Router;

use super::Doors;

/// The routes of this door.
pub fn router() -> Router<Doors> {
    Router::new()
}
