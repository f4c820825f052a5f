//! Files that a request names: paths of this machine, or URLs that Spark fetches itself.
//!
//! Reading the request's words is one thing ([`name`]), looking at a file another ([`look`]): that is done by a process of the user
//! whose driver will read it.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::OFlag;

use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use super::conf_policy::{self, Class};
use super::resources::{Invalid, Resources};

/// The longest name of a file, bytes.
const LONGEST: usize = 4096;
/// How long the file system may take to answer for the files of one request: a dead mount answers never.
const PATIENCE: Duration = Duration::from_secs(10);
/// Requests whose files are looked at, at once. One that hangs in a dead mount keeps its place, and its thread.
static LOOKS: Semaphore = Semaphore::const_new(32);

/// A file of this machine that a request names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Local {
    /// Where in the request.
    field: String,
    /// As the request has it, not too long.
    shown: String,
    /// Its path.
    pub path: PathBuf,
}

/// What was found of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Found {
    /// A file, readable, where files may lie.
    Readable,
    /// Nothing.
    Missing,
    /// Something that is no file.
    NotAFile,
    /// It may not be read.
    Closed,
    /// It, or what it is a link to, lies where files may not.
    Outside,
}

/// Looks at a file, as this process's user. With `roots`, its real path must lie below one of them, whatever links lead there.
#[must_use]
pub fn look(path: &Path, roots: Option<&[PathBuf]>) -> Found {
    let refused = |e: std::io::Error| match e.kind() {
        std::io::ErrorKind::NotFound => Found::Missing,
        std::io::ErrorKind::NotADirectory => Found::Missing,
        _ => Found::Closed,
    };
    let real = match fs::canonicalize(path) {
        Ok(real) => real,
        Err(e) => return refused(e),
    };
    let below = |root: &PathBuf| fs::canonicalize(root).is_ok_and(|root| real.starts_with(root));
    if roots.is_some_and(|roots| !roots.iter().any(below)) {
        return Found::Outside;
    }
    // To open anything but a file may do something, or wait: a FIFO without a writer does for ever. `O_NONBLOCK` is for one that has
    // taken the file's place meanwhile.
    match fs::metadata(&real) {
        Ok(found) if !found.is_file() => Found::NotAFile,
        Ok(_) => {
            let flags = (OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits();
            let opened = OpenOptions::new().read(true).custom_flags(flags).open(&real).and_then(|file| file.metadata());
            opened.map_or_else(refused, |found| if found.is_file() { Found::Readable } else { Found::NotAFile })
        }
        Err(e) => refused(e),
    }
}

/// Looks at files as this process's user, away from the threads that serve requests, for a bounded time.
///
/// # Errors
/// When the file system does not answer.
pub async fn look_all(paths: Vec<PathBuf>, roots: Option<Vec<PathBuf>>) -> Result<Vec<Found>, Invalid> {
    let looking = async {
        let place = LOOKS.acquire().await.ok();
        tokio::task::spawn_blocking(move || {
            let _place = place;
            paths.iter().map(|path| look(path, roots.as_deref())).collect()
        })
        .await
    };
    match tokio::time::timeout(PATIENCE, looking).await {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(_)) => Err(Invalid("the files could not be looked at".to_owned())),
        Err(_) => {
            Err(Invalid(format!("the files could not be looked at within {} s: is a mount dead?", PATIENCE.as_secs())))
        }
    }
}

/// Makes every name of a file in a request plain, and gives those of this machine.
///
/// # Errors
/// As [`name`].
pub fn name_all(resources: &mut Resources) -> Result<Vec<Local>, Invalid> {
    let mut local = Vec::new();
    let lists = [
        ("jars", &mut resources.jars),
        ("pyFiles", &mut resources.py_files),
        ("files", &mut resources.files),
        ("archives", &mut resources.archives),
    ];
    for (field, files) in lists {
        for file in files {
            *file = name(field, file, &mut local)?;
        }
    }
    for (key, value) in resources.conf.iter_mut().filter(|(key, _)| conf_policy::class(key) == Some(Class::Files)) {
        let field = format!("conf {key}");
        let named = value.split(',').map(str::trim).filter(|file| !file.is_empty());
        let named: Result<Vec<String>, Invalid> = named.map(|file| name(&field, file, &mut local)).collect();
        *value = named?.join(",");
    }
    Ok(local)
}

/// Reads the name of a file in the request's `field` and gives it as Spark is to get it: a local file as its bare path, `file:` taken
/// off. A file of this machine is added to `local`.
///
/// # Errors
/// When the text can be neither a path nor a URL.
pub fn name(field: &str, text: &str, local: &mut Vec<Local>) -> Result<String, Invalid> {
    let shown: String = text.chars().take(300).collect();
    let invalid = |why: &str| Invalid(format!("{field}: {shown:?} {why}"));
    if text.len() > LONGEST || text.contains(|c: char| c.is_control() || c == ',') {
        return Err(invalid("cannot be a path or a URL: it is too long, or holds a comma or a control character"));
    }
    let (path, plain) = match text.split_once(':') {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("file") => {
            let path = match rest.strip_prefix("//") {
                // file://host/path: only this machine's own files can be meant.
                Some(rest) => rest.strip_prefix("localhost").unwrap_or(rest),
                None => rest,
            };
            (path, path)
        }
        // A file that every machine has at the same place, this one too.
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("local") => (rest.strip_prefix("//").unwrap_or(rest), text),
        Some((scheme, rest)) if is_scheme(scheme) && rest.starts_with('/') => return Ok(text.to_owned()),
        _ => (text, text),
    };
    if !path.starts_with('/') {
        return Err(invalid("is neither an absolute path nor a URL (scheme://…)"));
    }
    // The name that an archive is unpacked under stands behind a '#'.
    let on_disk = path.split_once('#').map_or(path, |(before, _)| before);
    local.push(Local { field: field.to_owned(), path: on_disk.into(), shown });
    Ok(plain.to_owned())
}

/// Says whether a request may have its files, by what was found of each.
///
/// # Errors
/// Names the first file that it may not have.
pub fn judge(files: &[Local], found: &[Found]) -> Result<(), Invalid> {
    files.iter().zip(found).try_for_each(|(Local { field, shown, .. }, found)| {
        let why = match found {
            Found::Readable => return Ok(()),
            Found::Missing => "does not exist on the machine where Hearth runs",
            Found::NotAFile => "is not a file",
            Found::Closed => "cannot be read: permission denied",
            Found::Outside => "does not lie, links resolved, below a folder that the profile allows (file_roots)",
        };
        Err(Invalid(format!("{field}: {shown:?} {why}")))
    })
}

/// A scheme as RFC 3986, section 3.1 writes it.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// Reads and judges one name.
    fn check(field: &str, text: &str, roots: Option<&[PathBuf]>) -> Result<String, Invalid> {
        let mut local = Vec::new();
        let plain = name(field, text, &mut local)?;
        let found: Vec<Found> = local.iter().map(|file| look(&file.path, roots)).collect();
        judge(&local, &found).map(|()| plain)
    }

    #[test]
    fn local_files_must_be_there() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a b.py");
        fs::write(&file, "").unwrap();
        let path = file.to_str().unwrap();
        for text in
            [path.to_owned(), format!("file:{path}"), format!("file://{path}"), format!("FILE://localhost{path}")]
        {
            assert_eq!(check("file", &text, None).unwrap(), path, "{text}");
        }
        assert_eq!(check("archives", &format!("{path}#env"), None).unwrap(), format!("{path}#env"));
        assert_eq!(check("jars", &format!("local:{path}"), None).unwrap(), format!("local:{path}"));
        let missing = check("file", &format!("{path}.x"), None).unwrap_err().to_string();
        assert!(missing.contains("does not exist") && missing.starts_with("file: "), "{missing}");
        let folder = check("file", folder.path().to_str().unwrap(), None).unwrap_err().to_string();
        assert!(folder.contains("is not a file"), "{folder}");
    }

    #[test]
    fn no_link_leads_out_of_the_roots() {
        let (inside, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let secret = outside.path().join("secret");
        fs::write(&secret, "").unwrap();
        fs::write(inside.path().join("mine"), "").unwrap();
        symlink(&secret, inside.path().join("link")).unwrap();
        symlink(outside.path(), inside.path().join("folder")).unwrap();
        let up = format!("..//{}/secret", outside.path().file_name().unwrap().to_str().unwrap());
        let roots = [inside.path().to_path_buf()];
        let path = |name: &str| inside.path().join(name).display().to_string();
        check("files", &path("mine"), Some(&roots)).unwrap();
        check("files", &format!("local:{}", path("mine")), Some(&roots)).unwrap();
        for name in ["link", "folder/secret", up.as_str()] {
            for text in [path(name), format!("file://{}", path(name)), format!("local://{}#x", path(name))] {
                let why = check("files", &text, Some(&roots)).unwrap_err().to_string();
                assert!(why.contains("file_roots"), "{text}: {why}");
            }
            check("files", &path(name), None).unwrap();
        }
        check("files", &path("mine"), Some(&[])).unwrap_err();
        // A folder whose name only begins like a root's.
        let near = PathBuf::from(format!("{}-near", inside.path().display()));
        fs::create_dir(&near).unwrap();
        fs::write(near.join("mine"), "").unwrap();
        let refused = check("files", near.join("mine").to_str().unwrap(), Some(&roots));
        fs::remove_dir_all(&near).unwrap();
        refused.unwrap_err();
    }

    #[test]
    fn conf_that_names_files_is_looked_at_too() {
        let conf = [("spark.jars", "/no/such.jar,hdfs:/a.jar"), ("spark.app.name", "/x,y")];
        let conf = conf.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let mut resources = Resources { conf, files: vec!["file:/no/such".into()], ..Resources::default() };
        let local = name_all(&mut resources).unwrap();
        let named: Vec<(&str, &str)> = local.iter().map(|l| (l.field.as_str(), l.path.to_str().unwrap())).collect();
        assert_eq!(named, [("files", "/no/such"), ("conf spark.jars", "/no/such.jar")]);
        assert_eq!(resources.conf["spark.jars"], "/no/such.jar,hdfs:/a.jar");
    }

    #[tokio::test]
    async fn a_pipe_is_no_file_and_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe.py");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(look_all(vec![pipe], None).await.unwrap(), [Found::NotAFile]);
    }

    #[test]
    fn urls_are_left_to_spark() {
        for url in ["hdfs://nn:8020/a.jar", "s3a://bucket/a.py", "https://host/a.jar", "hdfs:/a.jar"] {
            assert_eq!(check("jars", url, Some(&[])).unwrap(), url);
        }
        for text in ["", "a.py", "--class", "C:x", "/a,/b", "/a\0b", "file:a.py", "local:a.jar", "1:/x"] {
            assert!(check("file", text, None).is_err(), "{text:?}");
        }
    }
}
