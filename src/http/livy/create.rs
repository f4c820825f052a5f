//! What a create request asks for.

use super::fault::Fault;
use super::fields::Fields;
use super::query::{Asked, is_user};
use crate::batch::{self, NewBatch};
use crate::context::launch::resources::Resources;
use crate::identity::{Principal, Scheme};
use crate::session::kind::UnknownKind;
use crate::session::{Kind, NewSession, Request};
use axum::http::StatusCode;

/// Conf keys by which clients that can send no new field (Hue, Airflow) choose a profile or a context.
const PROFILE_KEY: &str = "hearth.profile";
const CONTEXT_KEY: &str = "hearth.context";
/// Conf keys that are for Livy and its client, not for Spark.
const LIVY_KEYS: &str = "livy.";
const OWN_KEYS: &str = "hearth.";

/// Fields of a session's create request: Livy's, and Hearth's own two.
const SESSION_FIELDS: &[&str] = &[
    "kind",
    "proxyUser",
    "jars",
    "pyFiles",
    "files",
    "archives",
    "driverMemory",
    "driverCores",
    "executorMemory",
    "executorCores",
    "numExecutors",
    "queue",
    "name",
    "conf",
    "heartbeatTimeoutInSecond",
    "ttl",
    "idleTimeout",
    "profile",
    "context",
];

/// Fields of a batch's create request: Livy's, and Hearth's own one.
const BATCH_FIELDS: &[&str] = &[
    "file",
    "proxyUser",
    "className",
    "args",
    "jars",
    "pyFiles",
    "files",
    "archives",
    "driverMemory",
    "driverCores",
    "executorMemory",
    "executorCores",
    "numExecutors",
    "queue",
    "name",
    "conf",
    "profile",
];

/// Where a conf or a body says that Spark work is to happen.
#[derive(Debug, Default, PartialEq, Eq)]
struct Place {
    profile: Option<String>,
    context: Option<String>,
}

/// Reads the body of `POST /sessions`.
///
/// # Errors
/// What cannot be read, in the shape that Livy gives it.
pub fn session(body: &[u8], asked: &Asked, who: &Principal) -> Result<NewSession, Fault> {
    let mut fields = Fields::parse(body, SESSION_FIELDS)?;
    let kind = fields.text("kind")?.map_or(Ok(Kind::Shared), |text| kind(&text))?;
    let mut notices = Vec::new();
    let mut resources = resources(&mut fields)?;
    let mut place = Place { profile: fields.text("profile")?, context: fields.text("context")? };
    take_own_keys(&mut resources, &mut place, &mut notices)?;
    let proxy_user = proxy_user(&mut fields, asked, who, &mut notices)?;
    let heartbeat_seconds = heartbeat(&mut fields)?;
    Ok(NewSession {
        kind,
        name: fields.text("name")?,
        context: place.context,
        profile: place.profile,
        heartbeat_seconds,
        request: Request {
            resources,
            ttl: fields.text("ttl")?,
            idle_timeout: fields.text("idleTimeout")?,
            proxy_user,
            notices,
        },
    })
}

/// Reads the body of `POST /batches`.
///
/// # Errors
/// What cannot be read, in the shape that Livy gives it.
pub fn batch(body: &[u8], asked: &Asked, who: &Principal) -> Result<NewBatch, Fault> {
    let mut fields = Fields::parse(body, BATCH_FIELDS)?;
    let file = fields.text("file")?.filter(|file| !file.is_empty());
    let file = file.ok_or_else(|| Fault::rejected("requirement failed: File is required."))?;
    let mut notices = Vec::new();
    let mut resources = resources(&mut fields)?;
    let mut place = Place { profile: fields.text("profile")?, context: None };
    take_own_keys(&mut resources, &mut place, &mut notices)?;
    if place.context.is_some() {
        return Err(Fault::invalid(format!(
            "a batch runs as an application of its own: {CONTEXT_KEY:?} is for sessions"
        )));
    }
    Ok(NewBatch {
        name: fields.text("name")?,
        profile: place.profile,
        request: batch::Request {
            file,
            args: fields.texts("args")?,
            class_name: fields.text("className")?.filter(|class| !class.is_empty()),
            resources,
            proxy_user: proxy_user(&mut fields, asked, who, &mut notices)?,
            notices,
        },
    })
}

/// A kind, or Livy's words for a text that is none.
///
/// # Errors
/// The text names no kind.
pub fn kind(text: &str) -> Result<Kind, Fault> {
    text.parse().map_err(|e: UnknownKind| {
        Fault::bare(StatusCode::BAD_REQUEST, format!("{e} (through reference chain: [\"kind\"])"))
    })
}

/// Memory, cores, files and conf, which sessions and batches have alike.
fn resources(fields: &mut Fields) -> Result<Resources, Fault> {
    // Hue says 0 or nothing for what it leaves to the server, and answers say 0 for it.
    let some = |number: Option<u32>| number.filter(|n| *n > 0);
    Ok(Resources {
        driver_memory: fields.text("driverMemory")?,
        driver_cores: some(fields.number("driverCores")?),
        executor_memory: fields.text("executorMemory")?,
        executor_cores: some(fields.number("executorCores")?),
        num_executors: some(fields.number("numExecutors")?),
        queue: fields.text("queue")?,
        jars: fields.texts("jars")?,
        py_files: fields.texts("pyFiles")?,
        files: fields.texts("files")?,
        archives: fields.texts("archives")?,
        conf: fields.pairs("conf")?,
    })
}

/// Takes out of the conf what is not Spark's.
fn take_own_keys(resources: &mut Resources, place: &mut Place, notices: &mut Vec<String>) -> Result<(), Fault> {
    let conf = &mut resources.conf;
    place.profile = place.profile.take().or(conf.remove(PROFILE_KEY));
    place.context = place.context.take().or(conf.remove(CONTEXT_KEY));
    if let Some(key) = conf.keys().find(|key| key.starts_with(OWN_KEYS)) {
        return Err(Fault::invalid(format!(
            "there is no conf key {key:?}; Hearth's own are {PROFILE_KEY:?} and {CONTEXT_KEY:?}"
        )));
    }
    let ignored: Vec<String> = conf.keys().filter(|key| key.starts_with(LIVY_KEYS)).cloned().collect();
    for key in &ignored {
        conf.remove(key);
    }
    if !ignored.is_empty() {
        notices.push(format!("Hearth: these conf keys are Livy's own and change nothing here: {}", ignored.join(", ")));
    }
    Ok(())
}

/// On whose behalf it is asked for. Without a scheme nobody can be told from anybody, so the name changes nothing.
fn proxy_user(
    fields: &mut Fields,
    asked: &Asked,
    who: &Principal,
    notices: &mut Vec<String>,
) -> Result<Option<String>, Fault> {
    let in_body = fields.text("proxyUser")?.filter(|user| !user.is_empty());
    let user = asked.do_as()?.map(str::to_owned).or(in_body);
    match &user {
        Some(user) if !is_user(user) => Err(Fault::invalid("proxyUser is not a user's name")),
        Some(named) if who.scheme == Scheme::Local => {
            notices.push(format!(
                "Hearth: proxyUser {named:?} changes nothing, because no authentication is configured: code runs as the \
                 user of this gateway"
            ));
            Ok(user)
        }
        _ => Ok(user),
    }
}

/// Seconds of a client's silence; Livy takes a negative number for none.
fn heartbeat(fields: &mut Fields) -> Result<u32, Fault> {
    const FIELD: &str = "heartbeatTimeoutInSecond";
    match fields.peek(FIELD) {
        Some(negative) if negative.starts_with('-') => {
            fields.raw(FIELD);
            Ok(0)
        }
        _ => Ok(fields.number(FIELD)?.unwrap_or(0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> NewSession {
        session(body.as_bytes(), &Asked::default(), &Principal::local()).unwrap()
    }

    #[test]
    fn an_empty_request_is_a_shared_session() {
        let new = read("{}");
        assert_eq!((new.kind, new.name, new.context, new.profile), (Kind::Shared, None, None, None));
        assert_eq!(new.request, Request::default());
        assert_eq!(new.heartbeat_seconds, 0);
    }

    #[test]
    fn hues_request_is_read() {
        let new = read(
            r#"{"kind":"scala","proxyUser":"ann","driverMemory":"1g","driverCores":1,"executorMemory":"1g","executorCores":1,
                "numExecutors":1,"queue":"default","archives":[],"jars":[],"files":[],"pyFiles":[],
                "conf":{"hearth.profile":"big","livy.rsc.sql.num-rows":10,"spark.x":1}}"#,
        );
        assert_eq!(new.kind, Kind::Spark);
        assert_eq!(new.profile.as_deref(), Some("big"));
        assert_eq!(new.request.proxy_user.as_deref(), Some("ann"));
        assert_eq!(new.request.resources.conf.into_iter().collect::<Vec<_>>(), [("spark.x".into(), "1".into())]);
        assert_eq!(new.request.notices.len(), 2);
    }

    #[test]
    fn own_keys_are_checked_and_livys_are_not_sparks() {
        assert!(session(br#"{"conf":{"hearth.profil":"x"}}"#, &Asked::default(), &Principal::local()).is_err());
        let new = read(r#"{"profile":"a","conf":{"hearth.profile":"b"}}"#);
        assert_eq!(new.profile.as_deref(), Some("a"));
        assert!(new.request.resources.conf.is_empty());
        assert_eq!(read(r#"{"heartbeatTimeoutInSecond":-1}"#).heartbeat_seconds, 0);
    }

    #[test]
    fn airflows_batch_is_read() {
        let new = batch(
            br#"{"file":"/a.py","args":["x",1],"driverCores":"1","numExecutors":"2","pyFiles":"b.py","files":null,"conf":{}}"#,
            &Asked::default(),
            &Principal::local(),
        );
        let request = new.unwrap().request;
        assert_eq!(request.args, ["x", "1"]);
        assert_eq!((request.resources.driver_cores, request.resources.num_executors), (Some(1), Some(2)));
        assert_eq!(request.resources.py_files, ["b.py"]);
        assert!(
            format!("{:?}", batch(b"{}", &Asked::default(), &Principal::local()).unwrap_err())
                .contains("File is required.")
        );
        assert!(
            batch(br#"{"file":"/a.py","conf":{"hearth.context":"x"}}"#, &Asked::default(), &Principal::local())
                .is_err()
        );
    }

    #[test]
    fn unknown_kinds_are_in_livys_words() {
        assert!(kind("pyspark3").is_ok());
        assert!(format!("{:?}", kind("cobol").unwrap_err()).contains("Invalid kind: cobol"));
    }
}
