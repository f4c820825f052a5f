//! The catalogue: everything that is recorded, in one place.

macro_rules! catalogue {
    ($($(#[doc = $doc:literal])+ $variant:ident = $word:literal,)+) => {
        /// Something that is recorded.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Event {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Event {
            /// Every event.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// Its word in the audit.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }
    };
}

catalogue! {
    /// A gateway began its work.
    GatewayStarted = "gateway.started",
    /// A credential that costs its scheme a question was good, or any was not.
    Login = "login",
    /// A login was ended by whose it was.
    Logout = "logout",
    /// A login was ended by its id, by whose it was or by another.
    LoginEnded = "login.ended",
    /// Somebody acts, or wanted to act, for somebody else.
    ActFor = "act_for",
    /// An API token was made.
    TokenCreated = "token.created",
    /// An API token was revoked.
    TokenRevoked = "token.revoked",
    /// An action was refused that the caller may know of, or not even that.
    Access = "access",
    /// A grant was given.
    GrantCreated = "grant.created",
    /// A grant was taken back.
    GrantRevoked = "grant.revoked",
    /// The policies were read anew.
    PolicyReloaded = "policy.reloaded",
    /// A context was created.
    ContextCreated = "context.created",
    /// A context was told to end.
    ContextStopped = "context.stopped",
    /// A context was told to begin again with a new application.
    ContextRestarted = "context.restarted",
    /// A session was created.
    SessionCreated = "session.created",
    /// A session was told to end.
    SessionStopped = "session.stopped",
    /// A statement was submitted.
    StatementSubmitted = "statement.submitted",
    /// A statement was cancelled.
    StatementCancelled = "statement.cancelled",
    /// A batch was created.
    BatchCreated = "batch.created",
    /// A batch was told to end.
    BatchStopped = "batch.stopped",
    /// Entries of a handle were put through the gateway.
    HandlePut = "handle.put",
    /// Entries of a handle were deleted through the gateway.
    HandleDeleted = "handle.deleted",
    /// The name of a handle was taken away through the gateway.
    HandleUnshared = "handle.unshared",
    /// Output, a log or the data of a handle was read by another than the owner.
    Read = "read",
    /// The audit itself was read.
    AuditRead = "audit.read",
    /// The beginning of a chain of the audit was removed.
    AuditPruned = "audit.pruned",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_events_have_one_word() {
        let mut words: Vec<_> = Event::ALL.iter().map(|event| event.as_str()).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), Event::ALL.len());
    }
}
