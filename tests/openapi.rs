//! The description of the own API: what changes in it is seen in review.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[test]
fn the_description_is_as_reviewed() {
    insta::assert_snapshot!(hearth::http::api::description().unwrap());
}
