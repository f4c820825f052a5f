//! Starts the application of a context: its row, its folder, its secrets, its program.
use crate::context::Context;
use crate::context::driver::Sink;
use crate::context::service::Service;

/// x
#[derive(Clone)]
pub struct Starter;
/// x
#[derive(Debug, thiserror::Error)]
#[error("x")]
pub struct Error;
impl Starter {
    /// x
    pub async fn start(&self, _c: &Service, _s: &dyn Sink, _x: &Context) -> Result<(), Error> {
        Ok(())
    }
}
