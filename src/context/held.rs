//! The living contexts that this gateway holds, taken together.

use sqlx::PgConnection;

use super::service::Service;
use super::{Context, Error, store};

impl Service {
    /// Tells every living context that this gateway holds to end.
    ///
    /// # Errors
    /// The database's.
    pub async fn stop_all(&self, cause: &str) -> Result<(), Error> {
        let mut db = self.pool().acquire().await?;
        for context in self.held(&mut db).await? {
            store::mark_ending(&mut db, context.id, cause).await?;
        }
        self.wake();
        Ok(())
    }

    /// How many living contexts this gateway holds.
    ///
    /// # Errors
    /// The database's.
    pub async fn count_living(&self) -> Result<usize, Error> {
        let mut db = self.pool().acquire().await?;
        Ok(self.held(&mut db).await?.len())
    }

    async fn held(&self, db: &mut PgConnection) -> Result<Vec<Context>, Error> {
        let mut living = store::living_on(db, self.host()).await?;
        living.retain(|c| c.held_by == Some(self.me()));
        Ok(living)
    }
}
