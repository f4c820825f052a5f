//! Files that a request names: paths of this machine, or URLs that Spark fetches itself.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use nix::fcntl::OFlag;
use tokio::sync::Semaphore;

use super::resources::{Invalid, Resources};

/// The longest name of a file, bytes.
const LONGEST: usize = 4096;
/// How long the file system may take to answer for the files of one request: a dead mount answers never.
const PATIENCE: Duration = Duration::from_secs(10);
/// Requests whose files are looked at, at once. One that hangs in a dead mount keeps its place, and its thread.
static LOOKS: Semaphore = Semaphore::const_new(32);

/// Looks at files away from the threads that serve requests, for a bounded time: `look` may call [`check`] and [`check_all`].
///
/// # Errors
/// Those of `look`, and when the file system does not answer.
pub async fn looked_at<T: Send + 'static>(
    look: impl FnOnce() -> Result<T, Invalid> + Send + 'static,
) -> Result<T, Invalid> {
    let looking = async {
        let place = LOOKS.acquire().await.ok();
        tokio::task::spawn_blocking(move || {
            let _place = place;
            look()
        })
        .await
    };
    match tokio::time::timeout(PATIENCE, looking).await {
        Ok(Ok(found)) => found,
        Ok(Err(_)) => Err(Invalid("the files could not be looked at".to_owned())),
        Err(_) => {
            Err(Invalid(format!("the files could not be looked at within {} s: is a mount dead?", PATIENCE.as_secs())))
        }
    }
}

/// What is asked of Spark, with everything checked that can be without it, and the names of local files plain.
///
/// # Errors
/// As [`Resources::check`], [`check_all`] and [`looked_at`].
pub async fn checked(mut resources: Resources) -> Result<Resources, Invalid> {
    looked_at(move || {
        resources.check()?;
        check_all(&mut resources)?;
        Ok(resources)
    })
    .await
}

/// Checks every file that a request names, and makes the names of local ones plain. Blocks: see [`looked_at`].
///
/// # Errors
/// As [`check`].
pub fn check_all(resources: &mut Resources) -> Result<(), Invalid> {
    let lists = [
        ("jars", &mut resources.jars),
        ("pyFiles", &mut resources.py_files),
        ("files", &mut resources.files),
        ("archives", &mut resources.archives),
    ];
    for (field, files) in lists {
        for file in files {
            *file = check(field, file)?;
        }
    }
    Ok(())
}

/// Checks a file of the request's `field` and gives it as Spark is to get it: a local file as its bare path, `file:` taken off.
/// Blocks: see [`looked_at`].
///
/// # Errors
/// When a local file is missing or cannot be read, or the text can be neither a path nor a URL.
pub fn check(field: &str, text: &str) -> Result<String, Invalid> {
    let shown: String = text.chars().take(300).collect();
    let invalid = |why: &str| Invalid(format!("{field}: {shown:?} {why}"));
    if text.len() > LONGEST || text.contains(|c: char| c.is_control() || c == ',') {
        return Err(invalid("cannot be a path or a URL: it is too long, or holds a comma or a control character"));
    }
    let path = match text.split_once(':') {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("file") => match rest.strip_prefix("//") {
            // file://host/path: only this machine's own files can be meant.
            Some(rest) => rest.strip_prefix("localhost").unwrap_or(rest),
            None => rest,
        },
        Some((scheme, rest)) if is_scheme(scheme) && rest.starts_with('/') => return Ok(text.to_owned()),
        _ => text,
    };
    if !path.starts_with('/') {
        return Err(invalid("is neither an absolute path nor a URL (scheme://…)"));
    }
    // The name that an archive is unpacked under stands behind a '#'.
    let on_disk = Path::new(path.split_once('#').map_or(path, |(before, _)| before));
    match is_readable_file(on_disk) {
        Ok(true) => Ok(path.to_owned()),
        Ok(false) => Err(invalid("is not a file")),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            Err(invalid("does not exist on the machine where Hearth runs"))
        }
        Err(e) => Err(invalid(&format!("cannot be read: {e}"))),
    }
}

/// Whether it is a regular file, opened to see that it can be read. To open anything else may do something, or wait: a FIFO without a
/// writer does for ever. `O_NONBLOCK` is for one that has taken the file's place meanwhile.
fn is_readable_file(path: &Path) -> io::Result<bool> {
    if !path.metadata()?.is_file() {
        return Ok(false);
    }
    let open = || -> io::Result<File> {
        OpenOptions::new().read(true).custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits()).open(path)
    };
    Ok(open()?.metadata()?.is_file())
}

/// A scheme as RFC 3986, section 3.1 writes it.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_files_must_be_there() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a b.py");
        std::fs::write(&file, "").unwrap();
        let path = file.to_str().unwrap();
        for text in
            [path.to_owned(), format!("file:{path}"), format!("file://{path}"), format!("FILE://localhost{path}")]
        {
            assert_eq!(check("file", &text).unwrap(), path, "{text}");
        }
        assert_eq!(check("archives", &format!("{path}#env")).unwrap(), format!("{path}#env"));
        let missing = check("file", &format!("{path}.x")).unwrap_err().to_string();
        assert!(missing.contains("does not exist") && missing.starts_with("file: "), "{missing}");
        assert!(check("file", folder.path().to_str().unwrap()).unwrap_err().to_string().contains("is not a file"));
    }

    #[tokio::test]
    async fn a_pipe_is_no_file_and_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe.py");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let path = pipe.to_str().unwrap().to_owned();
        let refused = looked_at(move || check("file", &path)).await.unwrap_err().to_string();
        assert!(refused.contains("is not a file"), "{refused}");
    }

    #[test]
    fn urls_are_left_to_spark() {
        for url in
            ["hdfs://nn:8020/a.jar", "s3a://bucket/a.py", "https://host/a.jar", "hdfs:/a.jar", "local:/opt/a.jar"]
        {
            assert_eq!(check("jars", url).unwrap(), url);
        }
        for text in ["", "a.py", "--class", "C:x", "/a,/b", "/a\0b", "file:a.py", "1:/x"] {
            assert!(check("file", text).is_err(), "{text:?}");
        }
    }
}
