//! Every action there is, in one catalogue: as a word for policies, the API and the audit, and as a type for proofs.

use serde::{Deserialize, Serialize};

/// An action, as a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Verb {
    /// See it exists, read its state, code, output and logs.
    View,
    /// See with whom it is shared.
    ViewGrants,
    /// Run code in it.
    Attach,
    /// Read the data of a handle.
    Read,
    /// Change the data of a handle.
    Write,
    /// Stop it; of a handle: take the name away from its data.
    Manage,
    /// Share it, and take that back.
    Share,
    /// Make a context from a profile.
    CreateContext,
    /// Make a session from a profile.
    CreateSession,
    /// Make a batch from a profile.
    CreateBatch,
    /// List the API tokens of an account.
    ViewTokens,
    /// Make an API token of an account.
    CreateToken,
    /// End an API token of an account.
    RevokeToken,
    /// List the logins of an account.
    ViewLogins,
    /// End a login of an account.
    EndLogin,
    /// Read the policies, and ask what they decide for others.
    ReadPolicies,
    /// Read the audit.
    ReadAudit,
}

impl Verb {
    /// Every action.
    pub const ALL: [Self; 17] = [
        Self::View,
        Self::ViewGrants,
        Self::Attach,
        Self::Read,
        Self::Write,
        Self::Manage,
        Self::Share,
        Self::CreateContext,
        Self::CreateSession,
        Self::CreateBatch,
        Self::ViewTokens,
        Self::CreateToken,
        Self::RevokeToken,
        Self::ViewLogins,
        Self::EndLogin,
        Self::ReadPolicies,
        Self::ReadAudit,
    ];

    /// The group of those that only look, in the policies' schema.
    pub const READS: &str = "reads";
    /// The group of those that run something.
    pub const RUNS: &str = "runs";

    /// The word in policies, the API and the audit.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::View => "view",
            Self::ViewGrants => "viewGrants",
            Self::Attach => "attach",
            Self::Read => "read",
            Self::Write => "write",
            Self::Manage => "manage",
            Self::Share => "share",
            Self::CreateContext => "createContext",
            Self::CreateSession => "createSession",
            Self::CreateBatch => "createBatch",
            Self::ViewTokens => "viewTokens",
            Self::CreateToken => "createToken",
            Self::RevokeToken => "revokeToken",
            Self::ViewLogins => "viewLogins",
            Self::EndLogin => "endLogin",
            Self::ReadPolicies => "readPolicies",
            Self::ReadAudit => "readAudit",
        }
    }

    /// Whether it only looks.
    #[must_use]
    pub const fn only_reads(self) -> bool {
        matches!(
            self,
            Self::View
                | Self::ViewGrants
                | Self::Read
                | Self::ViewTokens
                | Self::ViewLogins
                | Self::ReadPolicies
                | Self::ReadAudit
        )
    }

    /// What somebody wants who asks for it, to be said after "you may not".
    #[must_use]
    pub const fn deed(self) -> &'static str {
        match self {
            Self::View => "see it",
            Self::ViewGrants => "see with whom it is shared",
            Self::Attach => "run code in it",
            Self::Read => "read its data",
            Self::Write => "change its data",
            Self::Manage => "stop it",
            Self::Share => "share it",
            Self::CreateContext => "make a context",
            Self::CreateSession => "make a session",
            Self::CreateBatch => "make a batch",
            Self::ViewTokens => "list the API tokens",
            Self::CreateToken => "make an API token",
            Self::RevokeToken => "revoke an API token",
            Self::ViewLogins => "list the logins",
            Self::EndLogin => "end a login",
            Self::ReadPolicies => "read the policies",
            Self::ReadAudit => "read the audit",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|v| v.as_str() == text)
    }
}

/// An action, as a type: what an [`super::Allowed`] is a proof of.
pub trait Action {
    /// Its word.
    const VERB: Verb;
}

/// [`Verb::View`], as a type.
#[derive(Debug)]
pub enum View {}
/// [`Verb::ViewGrants`], as a type.
#[derive(Debug)]
pub enum ViewGrants {}
/// [`Verb::Attach`], as a type.
#[derive(Debug)]
pub enum Attach {}
/// [`Verb::Read`], as a type.
#[derive(Debug)]
pub enum Read {}
/// [`Verb::Write`], as a type.
#[derive(Debug)]
pub enum Write {}
/// [`Verb::Manage`], as a type.
#[derive(Debug)]
pub enum Manage {}
/// [`Verb::Share`], as a type.
#[derive(Debug)]
pub enum Share {}
/// [`Verb::CreateContext`], as a type.
#[derive(Debug)]
pub enum CreateContext {}
/// [`Verb::CreateSession`], as a type.
#[derive(Debug)]
pub enum CreateSession {}
/// [`Verb::CreateBatch`], as a type.
#[derive(Debug)]
pub enum CreateBatch {}
/// [`Verb::ViewTokens`], as a type.
#[derive(Debug)]
pub enum ViewTokens {}
/// [`Verb::CreateToken`], as a type.
#[derive(Debug)]
pub enum CreateToken {}
/// [`Verb::RevokeToken`], as a type.
#[derive(Debug)]
pub enum RevokeToken {}
/// [`Verb::ViewLogins`], as a type.
#[derive(Debug)]
pub enum ViewLogins {}
/// [`Verb::EndLogin`], as a type.
#[derive(Debug)]
pub enum EndLogin {}
/// [`Verb::ReadPolicies`], as a type.
#[derive(Debug)]
pub enum ReadPolicies {}
/// [`Verb::ReadAudit`], as a type.
#[derive(Debug)]
pub enum ReadAudit {}

impl Action for View {
    const VERB: Verb = Verb::View;
}
impl Action for ViewGrants {
    const VERB: Verb = Verb::ViewGrants;
}
impl Action for Attach {
    const VERB: Verb = Verb::Attach;
}
impl Action for Read {
    const VERB: Verb = Verb::Read;
}
impl Action for Write {
    const VERB: Verb = Verb::Write;
}
impl Action for Manage {
    const VERB: Verb = Verb::Manage;
}
impl Action for Share {
    const VERB: Verb = Verb::Share;
}
impl Action for CreateContext {
    const VERB: Verb = Verb::CreateContext;
}
impl Action for CreateSession {
    const VERB: Verb = Verb::CreateSession;
}
impl Action for CreateBatch {
    const VERB: Verb = Verb::CreateBatch;
}
impl Action for ViewTokens {
    const VERB: Verb = Verb::ViewTokens;
}
impl Action for CreateToken {
    const VERB: Verb = Verb::CreateToken;
}
impl Action for RevokeToken {
    const VERB: Verb = Verb::RevokeToken;
}
impl Action for ViewLogins {
    const VERB: Verb = Verb::ViewLogins;
}
impl Action for EndLogin {
    const VERB: Verb = Verb::EndLogin;
}
impl Action for ReadPolicies {
    const VERB: Verb = Verb::ReadPolicies;
}
impl Action for ReadAudit {
    const VERB: Verb = Verb::ReadAudit;
}
