//! The policies: Hearth's own, built in, and the site's, from a folder. Checked as a whole before any is used.
//!
//! Cedar passes over a policy that fails while it is evaluated, and so would forget a `forbid`. So every set is validated strictly against
//! the schema, and one that is not valid is never used. A site policy may forbid anything. It may permit nothing that only looks
//! ([`Verb::READS`]): lists would not know of it, and grants and roles say who sees what.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use cedar_policy::{
    ActionConstraint, Effect, EntityUid, ParseErrors, Policy, PolicyId, PolicySet, Schema, ValidationMode, Validator,
};

use miette::Diagnostic as _;

use super::action::Verb;

/// What policies may speak of.
pub const SCHEMA: &str = include_str!("../../policies/schema.cedarschema");
/// Hearth's own policies.
pub const BASE: &str = include_str!("../../policies/base.cedar");

/// The longest policy file, bytes.
const LONGEST_FILE: u64 = 1 << 20;
/// Policy files of a site at most.
pub const MOST_FILES: usize = 200;

/// A checked set of policies.
#[derive(Debug)]
pub struct Policies {
    /// The policies; their ids are `base:…` and `site:…`.
    pub(super) set: PolicySet,
    /// What they speak of.
    pub(super) schema: Schema,
    /// Whether a site policy can hide what grants and roles let somebody see.
    pub(super) can_hide: bool,
    /// What is odd in them, though valid: a policy that never applies.
    warnings: Vec<String>,
}

/// Why a set of policies is not used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or the folder cannot be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Too large, or too many.
    #[error("{}: {limit}", path.display())]
    TooMuch {
        /// The file or folder.
        path: PathBuf,
        /// What there may be at most.
        limit: String,
    },
    /// A file is no policy text.
    #[error("{name}: {why}")]
    Syntax {
        /// The file.
        name: String,
        /// Why, and where.
        why: String,
    },
    /// Two policies of one id.
    #[error("{name}: there is another policy with @id({id:?}); give each its own")]
    SameId {
        /// The file of the second.
        name: String,
        /// Their id.
        id: String,
    },
    /// A template, which nothing would fill in.
    #[error("{name}: policy {id} is a template (?principal, ?resource), which nothing fills in: name whom it is about")]
    Template {
        /// The file.
        name: String,
        /// Its id.
        id: String,
    },
    /// A permit of an action that only looks.
    #[error(
        "{name}: policy {id} permits {what}, which grants and the roles of [access] give: a site policy may forbid it, and may permit \
         actions that only look to nobody. Name the actions that it is to permit"
    )]
    PermitsReading {
        /// The file.
        name: String,
        /// Its id.
        id: String,
        /// What it would permit.
        what: String,
    },
    /// It does not fit the schema.
    #[error("the policies are not valid: {}", .0.join("; "))]
    Invalid(Vec<String>),
}

impl Policies {
    /// Hearth's own policies, and those of the folder where one is named.
    ///
    /// # Errors
    /// Says which file and policy is wrong, and how.
    pub fn load(folder: Option<&Path>) -> Result<Self, Error> {
        let mut texts = Vec::new();
        for path in folder.map(files).transpose()?.unwrap_or_default() {
            let text = read(&path)?;
            texts.push((path.file_name().unwrap_or_default().to_string_lossy().into_owned(), text));
        }
        Self::from_texts(&texts)
    }

    /// Hearth's own policies and those of the texts, each with the name of its file.
    ///
    /// # Errors
    /// As [`Policies::load`].
    pub fn from_texts(site: &[(String, String)]) -> Result<Self, Error> {
        let schema = match Schema::from_cedarschema_str(SCHEMA) {
            Ok((schema, _)) => schema,
            Err(e) => return Err(Error::Syntax { name: "schema.cedarschema".to_owned(), why: e.to_string() }),
        };
        let mut set = PolicySet::new();
        let mut can_hide = false;
        add(&mut set, "base", "base.cedar", BASE, |_, _| Ok(()))?;
        for (name, text) in site {
            add(&mut set, "site", name, text, |id, policy| {
                let looks = looking(policy);
                match (policy.effect(), looks) {
                    (Effect::Permit, Some(what)) => {
                        Err(Error::PermitsReading { name: name.clone(), id: id.to_owned(), what })
                    }
                    (Effect::Forbid, Some(_)) => {
                        can_hide = true;
                        Ok(())
                    }
                    // Whoever may not attach to a context does not see its handles by it.
                    (Effect::Forbid, None) => {
                        can_hide |= attaching(policy);
                        Ok(())
                    }
                    (Effect::Permit, None) => Ok(()),
                }
            })?;
        }
        let validated = Validator::new(schema.clone()).validate(&set, ValidationMode::Strict);
        if !validated.validation_passed() {
            let wrong = validated.validation_errors().map(|e| format!("{}: {e}", e.policy_id()));
            return Err(Error::Invalid(wrong.collect()));
        }
        let warnings = validated.validation_warnings().map(|e| format!("{}: {e}", e.policy_id())).collect();
        Ok(Self { set, schema, can_hide, warnings })
    }

    /// What is odd in them, though valid.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Id, effect and text of each, by id.
    #[must_use]
    pub fn listed(&self) -> Vec<Listed> {
        let mut listed: Vec<_> = self
            .set
            .policies()
            .map(|p| Listed {
                id: p.id().to_string(),
                permits: p.effect() == Effect::Permit,
                text: p.to_cedar().unwrap_or_default(),
            })
            .collect();
        listed.sort_by(|a, b| a.id.cmp(&b.id));
        listed
    }
}

/// A policy, to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its id, such as `base:owner`.
    pub id: String,
    /// Whether it permits; else it forbids.
    pub permits: bool,
    /// Its text.
    pub text: String,
}

/// Adds the policies of a text; ids are their `@id`, else their number in the file.
fn add(
    set: &mut PolicySet,
    origin: &str,
    name: &str,
    text: &str,
    mut check: impl FnMut(&str, &Policy) -> Result<(), Error>,
) -> Result<(), Error> {
    let parsed =
        PolicySet::from_str(text).map_err(|e| Error::Syntax { name: name.to_owned(), why: described(&e, text) })?;
    if let Some(template) = parsed.templates().next() {
        let id = template.annotation("id").map_or_else(|| template.id().to_string(), str::to_owned);
        return Err(Error::Template { name: name.to_owned(), id });
    }
    let stem = name.strip_suffix(".cedar").unwrap_or(name);
    for policy in parsed.policies() {
        let id = match policy.annotation("id") {
            Some(id) => format!("{origin}:{id}"),
            None => format!("{origin}:{stem}/{}", policy.id()),
        };
        check(&id, policy)?;
        set.add(policy.new_id(PolicyId::new(&id))).map_err(|_| Error::SameId { name: name.to_owned(), id })?;
    }
    Ok(())
}

/// What is wrong with a text, and in which line.
fn described(e: &ParseErrors, text: &str) -> String {
    let at = e.labels().and_then(|mut labels| labels.next()).map(|label| label.offset());
    let line = at.and_then(|at| text.get(..at)).map(|before| before.matches('\n').count() + 1);
    match line {
        Some(line) => format!("line {line}: {e}"),
        None => e.to_string(),
    }
}

/// What of the policy's actions only looks; none: nothing of it does.
fn looking(policy: &Policy) -> Option<String> {
    let word = |uid: &EntityUid| {
        let word = uid.id().unescaped();
        (word == Verb::READS || Verb::parse(word).is_some_and(Verb::only_reads)).then(|| word.to_owned())
    };
    match policy.action_constraint() {
        ActionConstraint::Any => Some("every action".to_owned()),
        ActionConstraint::Eq(uid) => word(&uid),
        ActionConstraint::In(uids) => uids.iter().find_map(word),
    }
}

/// Whether attaching is among the policy's actions; where it is every action, it looks as well.
fn attaching(policy: &Policy) -> bool {
    let is = |uid: &EntityUid| [Verb::Attach.as_str(), Verb::RUNS].contains(&uid.id().unescaped());
    match policy.action_constraint() {
        ActionConstraint::Any => true,
        ActionConstraint::Eq(uid) => is(&uid),
        ActionConstraint::In(uids) => uids.iter().any(is),
    }
}

/// The policy files of a folder, by name.
fn files(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let unreadable = |source| Error::Unreadable { path: folder.to_path_buf(), source };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|e| e == "cedar") {
            files.push(path);
        }
        if files.len() > MOST_FILES {
            return Err(Error::TooMuch {
                path: folder.to_path_buf(),
                limit: format!("more than {MOST_FILES} policy files"),
            });
        }
    }
    files.sort();
    Ok(files)
}

fn read(path: &Path) -> Result<String, Error> {
    let unreadable = |source| Error::Unreadable { path: path.to_path_buf(), source };
    let length = fs::metadata(path).map_err(unreadable)?.len();
    if length > LONGEST_FILE {
        let limit = format!("longer than {LONGEST_FILE} bytes");
        return Err(Error::TooMuch { path: path.to_path_buf(), limit });
    }
    fs::read_to_string(path).map_err(unreadable)
}
