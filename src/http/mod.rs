//! The front doors.
pub mod limits;
