//! The description of the own API: what changes in it is seen in review.

#[test]
fn the_description_is_as_reviewed() {
    insta::assert_snapshot!(hearth::http::api::description().unwrap());
}
