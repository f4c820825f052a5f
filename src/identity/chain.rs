//! The chain of schemes: a request in, a principal or the reason for none out.
//!
//! Each scheme says *not tried*, *refused* or *known*. A credential that is refused stops the search, so that nobody is silently somebody
//! else; an unknown or expired cookie counts as not tried and is cleared. Two good credentials of different users are refused.

mod principal;

use std::net::IpAddr;
use std::sync::Arc;

use secrecy::SecretString;
use sqlx::PgPool;
use tracing::{debug, info, warn};

use super::attempt::{Attempt, Authorization, Refusal};
use super::basic::{self, Basic};
use super::brake::{Brake, Tried};
use super::config::{CertificateName, Config, Unusable};
use super::directory::{Directory, Source};
use super::login::Logins;
use super::negotiate::{self, Negotiate};
use super::oidc::{Oidc, Pending};
use super::proxy::Proxies;
use super::tenant::Tenants;
use super::token::Tokens;
use super::{Credential, Origin, Person, Principal, Scheme, certificate, ldap};
use crate::time;

/// Makes principals. Cheap to clone.
#[derive(Clone)]
pub struct Chain(Arc<Parts>);

struct Parts {
    schemes: Vec<Scheme>,
    local: Principal,
    certificate: CertificateName,
    logins: Logins,
    tokens: Tokens,
    negotiate: Option<Negotiate>,
    oidc: Option<Oidc>,
    basic: Option<Basic>,
    brake: Brake,
    directory: Directory,
    tenants: Tenants,
    proxies: Proxies,
}

/// A principal, and what the answer has to carry.
#[derive(Debug)]
pub struct Known {
    /// Who is asking.
    pub principal: Principal,
    /// The server's own token, for clients that want mutual authentication (RFC 4559).
    pub reply: Option<Vec<u8>>,
    /// What becomes of the cookie.
    pub cookie: Cookie,
}

/// What becomes of the login's cookie.
#[derive(Debug)]
pub enum Cookie {
    /// Nothing.
    Keep,
    /// It is over.
    Clear,
    /// A login has begun.
    Set(SecretString),
}

/// Nobody, and why.
#[derive(Debug)]
pub struct Nobody {
    /// Why.
    pub why: Refusal,
    /// What the answer owes whoever was refused.
    pub owed: Owed,
}

/// What the answer to a refusal has to carry.
#[derive(Debug, Default)]
pub struct Owed {
    /// The cookie that came is over.
    pub clear: bool,
    /// The server's own token: the ticket was good, and its client may want to know that the refusal is the server's.
    pub reply: Option<Vec<u8>>,
}

impl From<Refusal> for Nobody {
    fn from(why: Refusal) -> Self {
        Self { why, owed: Owed::default() }
    }
}

/// Who a credential is of, and how that was shown.
struct Shown {
    person: Arc<Person>,
    scheme: Scheme,
    /// The server's own token.
    reply: Option<Vec<u8>>,
    /// Whether a login begins with it: it has cost the KDC or the directory a question.
    is_dear: bool,
}

impl Shown {
    fn new(person: impl Into<Arc<Person>>, scheme: Scheme) -> Self {
        Self { person: person.into(), scheme, reply: None, is_dear: false }
    }
}

impl Chain {
    /// The chain of a configuration.
    ///
    /// # Errors
    /// What the configuration lacks.
    pub fn new(config: &Config, pool: PgPool) -> Result<Self, Unusable> {
        let mut schemes = config.schemes.clone();
        if let Some(named) = schemes.iter().find(|scheme| matches!(scheme, Scheme::Local | Scheme::Cookie)) {
            return Err(Unusable::Rule(format!(
                "auth.schemes: {:?} is not to be named; with no scheme the local user is known, and a login's cookie always is",
                named.as_str()
            )));
        }
        schemes.dedup();
        let has = |scheme| config.schemes.contains(&scheme);
        let asks_ldap = has(Scheme::Basic) || config.groups == Source::Ldap;
        let ldap = asks_ldap.then(|| ldap::Client::new(&config.ldap)).transpose()?;
        let brake = Brake::default();
        let basic = |ldap| Basic::new(ldap, &config.ldap, brake.clone());
        Ok(Self(Arc::new(Parts {
            schemes,
            local: Principal::local(),
            certificate: config.certificate.user,
            logins: Logins::new(pool.clone(), config.login_idle, config.login_ttl),
            tokens: Tokens::new(pool, config.token_ttl),
            negotiate: has(Scheme::Negotiate).then(|| Negotiate::new(&config.negotiate)).transpose()?,
            oidc: has(Scheme::Bearer).then(|| Oidc::new(&config.oidc)).transpose()?,
            basic: ldap.clone().filter(|_| has(Scheme::Basic)).map(basic),
            brake,
            directory: Directory::new(config.groups, ldap, config.groups_cache.0),
            tenants: Tenants::new(config.tenants.clone()).map_err(Unusable::Rule)?,
            proxies: Proxies::new(config.proxies.clone()).map_err(Unusable::Rule)?,
        })))
    }

    /// Whether anybody has to show who they are.
    #[must_use]
    pub fn is_on(&self) -> bool {
        !self.0.schemes.is_empty()
    }

    /// The schemes that are on.
    #[must_use]
    pub fn schemes(&self) -> &[Scheme] {
        &self.0.schemes
    }

    /// The groups of a user who does not ask now, but whose code does; none while the directory is away.
    pub async fn groups_of(&self, user: &str) -> Vec<String> {
        self.0.directory.of_absent(user).await.map_or_else(|_| Vec::new(), |told| told.groups.to_vec())
    }

    /// The API tokens.
    #[must_use]
    pub fn tokens(&self) -> &Tokens {
        &self.0.tokens
    }

    /// The logins.
    #[must_use]
    pub fn logins(&self) -> &Logins {
        &self.0.logins
    }

    /// The provider at which browsers log in.
    #[must_use]
    pub fn browsers(&self) -> Option<&Oidc> {
        self.0.oidc.as_ref().filter(|oidc| oidc.has_login())
    }

    /// Begins the login of a browser that has come back from the provider with this query.
    ///
    /// # Errors
    /// The provider has not let them in, or something that has to be asked is away.
    pub async fn log_in(&self, pending: &Pending, query: &str, origin: &Origin) -> Result<Known, Nobody> {
        let begun = async {
            let oidc = self.browsers().ok_or(Refusal::NotOffered)?;
            let person = oidc.finish(pending, query).await.map_err(|why| self.slowed(why, None, origin))?;
            let shown = Shown::new(person, Scheme::Bearer);
            let principal = self.principal(&shown, origin).await?;
            let login = self.0.logins.begin(&principal, Scheme::Bearer).await;
            let cookie = Cookie::Set(login.map_err(|e| away(Scheme::Cookie, &e))?);
            Ok::<_, Refusal>(Known { principal, reply: None, cookie })
        };
        let known = begun.await.map_err(Nobody::from);
        if let Err(nobody) = &known {
            tell(nobody, origin);
        }
        known
    }

    /// Who is asking.
    ///
    /// # Errors
    /// Nobody who is known, and why.
    pub async fn authenticate(&self, attempt: &Attempt) -> Result<Known, Nobody> {
        if !self.is_on() {
            let principal = Principal { origin: attempt.origin.clone(), ..self.0.local.clone() };
            return Ok(Known { principal, reply: None, cookie: Cookie::Keep });
        }
        let mut owed = Owed::default();
        let known = match self.search(attempt, &mut owed).await {
            Ok(known) => Ok(Known { reply: owed.reply, ..known }),
            Err(why) => Err(Nobody { why, owed }),
        };
        if let Err(nobody) = &known {
            tell(nobody, &attempt.origin);
        }
        known
    }

    /// Whether what somebody has shown still holds, for those who listen for long.
    ///
    /// # Errors
    /// The database's.
    pub async fn is_good_still(&self, who: &Principal) -> Result<bool, Arc<crate::store::Error>> {
        for credential in who.credentials.iter() {
            let is_good = match credential {
                Credential::Login(hash) => self.0.logins.find_by_hash(*hash).await?.is_some(),
                Credential::Token(hash) => self.0.tokens.find_by_hash(*hash).await?.is_some(),
                Credential::Until(end) => time::now() < *end,
            };
            if !is_good {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn search(&self, attempt: &Attempt, owed: &mut Owed) -> Result<Known, Refusal> {
        let by_certificate = self.by_certificate(attempt)?;
        let by_cookie = match &attempt.cookie {
            Some(cookie) => {
                let found = self.0.logins.find(cookie).await.map_err(|e| away(Scheme::Cookie, &e))?;
                owed.clear = found.is_none();
                found.map(|person| Shown::new(person, Scheme::Cookie))
            }
            None => None,
        };
        let by_header = match &attempt.authorization {
            Some(shown) => {
                let found = self.by_authorization(shown, attempt).await;
                Some(found.map_err(|why| self.slowed(why, Some(shown), &attempt.origin))?)
            }
            None => None,
        };
        let (mut principals, mut dear) = (Vec::with_capacity(3), None);
        for shown in [by_certificate, by_cookie, by_header].into_iter().flatten() {
            owed.reply = owed.reply.take().or_else(|| shown.reply.clone());
            principals.push(self.principal(&shown, &attempt.origin).await?);
            dear = dear.or_else(|| shown.is_dear.then_some(shown.scheme));
        }
        let has_login = principals.iter().any(|principal| principal.scheme == Scheme::Cookie);
        let mut principals = principals.into_iter();
        let first = principals.next().ok_or(Refusal::Nothing)?;
        // The narrowest of several credentials of one user counts: whoever sends a token with a scope means it.
        let (mut scope, mut credentials) = (first.scope, first.credentials.to_vec());
        for other in principals {
            if (&other.user, &other.tenant) != (&first.user, &first.tenant) {
                return Err(Refusal::Conflict);
            }
            scope = scope.min(other.scope);
            credentials.extend(other.credentials.iter().cloned());
        }
        let caller = Principal { scope, credentials: credentials.into(), ..first };
        let principal = match &attempt.do_as {
            Some(wanted) => self.act_for(&caller, wanted).await?,
            None => caller.clone(),
        };
        let cookie = match dear.filter(|_| !has_login) {
            Some(scheme) => {
                Cookie::Set(self.0.logins.begin(&caller, scheme).await.map_err(|e| away(Scheme::Cookie, &e))?)
            }
            None if owed.clear => Cookie::Clear,
            None => Cookie::Keep,
        };
        Ok(Known { principal, reply: None, cookie })
    }

    fn by_certificate(&self, attempt: &Attempt) -> Result<Option<Shown>, Refusal> {
        let Some(der) = attempt.certificate.as_ref().filter(|_| self.has(Scheme::Certificate)) else {
            return Ok(None);
        };
        let wrong = || self.slowed(Refusal::Wrong(Scheme::Certificate), None, &attempt.origin);
        let person = certificate::person(der, self.0.certificate).ok_or_else(wrong)?;
        Ok(Some(Shown::new(person, Scheme::Certificate)))
    }

    /// What becomes of a refusal: who shows many wrong credentials has to wait. Passwords have been counted before they were looked at.
    fn slowed(&self, why: Refusal, shown: Option<&Authorization>, origin: &Origin) -> Refusal {
        let Some(scheme) = why.wrong().filter(|scheme| *scheme != Scheme::Basic) else { return why };
        let claimed = match (shown, &self.0.oidc) {
            (Some(Authorization::Bearer(token)), Some(oidc)) if scheme == Scheme::Bearer => oidc.claimed_name(token),
            _ => None,
        };
        let tried = claimed.map_or(Tried::Anybody(scheme), |name| Tried::user(&name, scheme));
        self.0.brake.wrong(&tried, scheme, origin.address)
    }

    async fn by_authorization(&self, shown: &Authorization, attempt: &Attempt) -> Result<Shown, Refusal> {
        let address = attempt.origin.address;
        match shown {
            Authorization::Negotiate(token) => {
                let negotiate = self.0.negotiate.as_ref().ok_or(Refusal::NotOffered)?;
                let _place = self.0.brake.place(Scheme::Negotiate, address).await?;
                let negotiate::Shown { person, reply } = negotiate.accept(token, attempt.bindings.clone()).await?;
                Ok(Shown { reply, is_dear: true, ..Shown::new(person, Scheme::Negotiate) })
            }
            Authorization::Bearer(secret) if Tokens::is_token(secret) => self.by_token(secret, None, address).await,
            Authorization::Basic { user, password } if Tokens::is_token(password) => {
                self.by_token(password, Some(user), address).await
            }
            Authorization::Basic { user, password } => {
                let basic = self.0.basic.as_ref().ok_or(Refusal::NotOffered)?;
                let basic::Shown { person, is_fresh } = basic.check(user, password, address).await?;
                Ok(Shown { is_dear: is_fresh, ..Shown::new(person, Scheme::Basic) })
            }
            Authorization::Bearer(token) => {
                let oidc = self.0.oidc.as_ref().ok_or(Refusal::NotOffered)?;
                Ok(Shown::new(oidc.check(token).await?, Scheme::Bearer))
            }
        }
    }

    /// An API token, by itself or as the password of Basic, whose user is then its owner or the word `token`.
    async fn by_token(
        &self,
        token: &SecretString,
        user: Option<&str>,
        address: Option<IpAddr>,
    ) -> Result<Shown, Refusal> {
        if !self.has(Scheme::Token) {
            return Err(Refusal::NotOffered);
        }
        let _place = self.0.brake.place(Scheme::Token, address).await?;
        let found = self.0.tokens.find(token).await.map_err(|e| away(Scheme::Token, &e))?;
        let own = found.filter(|person| user.is_none_or(|user| user == "token" || user == person.user));
        Ok(Shown::new(own.ok_or(Refusal::Wrong(Scheme::Token))?, Scheme::Token))
    }

    fn has(&self, scheme: Scheme) -> bool {
        self.0.schemes.contains(&scheme)
    }
}

fn away(scheme: Scheme, e: &crate::store::Error) -> Refusal {
    warn!(scheme = scheme.as_str(), error = %e, "A credential cannot be checked");
    Refusal::Away(scheme)
}

/// Says in the log who was refused, and why: as much as is known without repeating a credential.
fn tell(nobody: &Nobody, origin: &Origin) {
    let address = origin.address.map(tracing::field::display);
    match &nobody.why {
        Refusal::Nothing => debug!(address, "Nobody showed who they are"),
        why => info!(address, %why, "A request was not let in"),
    }
}
