//! Which tenant a principal belongs to.

use serde::Deserialize;

use super::{DEFAULT_TENANT, Person};

/// One rule: whom it fits belongs to `tenant`. A rule fits when any of its lists has something of the person.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rule {
    /// The tenant.
    pub tenant: String,
    /// Kerberos realms.
    pub realms: Vec<String>,
    /// Branches of the directory: the end of a person's distinguished name.
    pub branches: Vec<String>,
    /// Groups.
    pub groups: Vec<String>,
    /// Users.
    pub users: Vec<String>,
}

/// The rules, in order.
#[derive(Debug, Clone, Default)]
pub struct Tenants(Vec<Rule>);

impl Tenants {
    /// Checks the rules.
    ///
    /// # Errors
    /// Names the rule that has no usable tenant, or that fits nobody.
    pub fn new(rules: Vec<Rule>) -> Result<Self, String> {
        for rule in &rules {
            if !super::is_user_name(&rule.tenant) {
                return Err(format!("auth.tenants: {:?} is not a tenant's name", rule.tenant));
            }
            if [&rule.realms, &rule.branches, &rule.groups, &rule.users].iter().all(|list| list.is_empty()) {
                return Err(format!(
                    "auth.tenants: the rule of {:?} fits nobody; give it realms, branches, groups or users",
                    rule.tenant
                ));
            }
        }
        Ok(Self(rules))
    }

    /// What the scheme itself says, else the first rule that fits, else `default`.
    #[must_use]
    pub fn of<'a>(&'a self, person: &'a Person) -> &'a str {
        if let Some(tenant) = &person.tenant {
            return tenant;
        }
        self.fitting(person).unwrap_or(DEFAULT_TENANT)
    }

    /// The first rule that fits.
    #[must_use]
    pub fn fitting(&self, person: &Person) -> Option<&str> {
        self.0.iter().find(|rule| fits(rule, person)).map(|rule| rule.tenant.as_str())
    }
}

fn fits(rule: &Rule, person: &Person) -> bool {
    person.realm.as_ref().is_some_and(|realm| rule.realms.contains(realm))
        || person.branch.as_ref().is_some_and(|name| rule.branches.iter().any(|branch| is_below(name, branch)))
        || person.groups.iter().any(|group| rule.groups.contains(group))
        || rule.users.contains(&person.user)
}

/// Whether a distinguished name ends with a branch, at a comma: `uid=x,ou=acme` is below `ou=acme`, not below `me`.
fn is_below(name: &str, branch: &str) -> bool {
    let (name, branch) = (plain(name), plain(branch));
    // A comma after a backslash is part of a value (RFC 4514).
    name.strip_suffix(&branch).is_some_and(|rest| rest.is_empty() || rest.ends_with(',') && !rest.ends_with("\\,"))
}

fn plain(name: &str) -> String {
    name.split(',').map(str::trim).collect::<Vec<_>>().join(",").to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Tenants {
        let rule = |tenant: &str| Rule { tenant: tenant.into(), ..Rule::default() };
        Tenants::new(vec![
            Rule { realms: vec!["ACME.COM".into()], ..rule("acme") },
            Rule { branches: vec!["ou=Globex, dc=x".into()], ..rule("globex") },
            Rule { groups: vec!["initech".into()], users: vec!["bill".into()], ..rule("initech") },
        ])
        .unwrap()
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        let rules = rules();
        let of = |person: Person| rules.of(&person).to_owned();
        assert_eq!(of(Person { realm: Some("ACME.COM".into()), ..Person::named("a") }), "acme");
        assert_eq!(of(Person { branch: Some("uid=a,ou=globex,dc=x".into()), ..Person::named("a") }), "globex");
        assert_eq!(of(Person { branch: Some("uid=a,ou=notglobex,dc=x".into()), ..Person::named("a") }), "default");
        assert_eq!(of(Person { branch: Some(r"cn=a\,ou=globex,dc=x".into()), ..Person::named("a") }), "default");
        assert_eq!(of(Person { groups: vec!["initech".into()], ..Person::named("a") }), "initech");
        assert_eq!(of(Person::named("bill")), "initech");
        assert_eq!(of(Person { tenant: Some("told".into()), ..Person::named("bill") }), "told");
    }

    #[test]
    fn a_rule_that_fits_nobody_is_refused() {
        assert!(Tenants::new(vec![Rule { tenant: "acme".into(), ..Rule::default() }]).is_err());
        assert!(Tenants::new(vec![Rule { users: vec!["a".into()], ..Rule::default() }]).is_err());
    }
}
