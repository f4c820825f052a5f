//! Files that a request names: paths of this machine, or URLs that Spark fetches itself.

use std::fs::File;
use std::path::Path;

use super::resources::{Invalid, Resources};

/// The longest name of a file, bytes.
const LONGEST: usize = 4096;

/// Checks every file that a request names, and makes the names of local ones plain.
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
    match File::open(on_disk).and_then(|f| f.metadata()) {
        Ok(found) if found.is_file() => Ok(path.to_owned()),
        Ok(_) => Err(invalid("is not a file")),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            Err(invalid("does not exist on the machine where Hearth runs"))
        }
        Err(e) => Err(invalid(&format!("cannot be read: {e}"))),
    }
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
