//! Which principals a keytab has keys of (the file format of MIT Kerberos, version 2). The keys themselves are passed over.

use std::io;
use std::path::Path;

/// Larger is no keytab.
const LARGEST: u64 = 1 << 20;

/// The principals of a keytab, as `HTTP/host@REALM`, each once.
///
/// # Errors
/// The file cannot be read, or is no keytab.
pub fn principals(path: &Path) -> io::Result<Vec<String>> {
    if std::fs::metadata(path)?.len() > LARGEST {
        return Err(odd());
    }
    let mut found = parse(&std::fs::read(path)?).ok_or_else(odd)?;
    found.sort();
    found.dedup();
    Ok(found)
}

fn odd() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it is no keytab")
}

fn parse(bytes: &[u8]) -> Option<Vec<String>> {
    let mut rest = bytes.strip_prefix(&[5, 2])?;
    let mut found = Vec::new();
    while let Some((size, behind)) = rest.split_first_chunk::<4>() {
        // What was removed left a hole of a negative size.
        let size = i32::from_be_bytes(*size);
        let (entry, behind) = behind.split_at_checked(usize::try_from(size.unsigned_abs()).ok()?)?;
        rest = behind;
        if size == 0 {
            break;
        }
        if size > 0 {
            found.push(principal(entry)?);
        }
    }
    Some(found)
}

fn principal(entry: &[u8]) -> Option<String> {
    let (components, mut rest) = entry.split_first_chunk::<2>()?;
    let realm = text(&mut rest)?;
    let names: Option<Vec<String>> = (0..u16::from_be_bytes(*components)).map(|_| text(&mut rest)).collect();
    Some(format!("{}@{realm}", names?.join("/")))
}

fn text(rest: &mut &[u8]) -> Option<String> {
    let (length, behind) = rest.split_first_chunk::<2>()?;
    let (text, behind) = behind.split_at_checked(u16::from_be_bytes(*length).into())?;
    *rest = behind;
    String::from_utf8(text.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(realm: &str, names: &[&str]) -> Vec<u8> {
        let mut body = u16::try_from(names.len()).unwrap().to_be_bytes().to_vec();
        for text in [realm].iter().chain(names) {
            body.extend(u16::try_from(text.len()).unwrap().to_be_bytes());
            body.extend(text.as_bytes());
        }
        body.extend([0; 20]);
        [i32::try_from(body.len()).unwrap().to_be_bytes().to_vec(), body].concat()
    }

    #[test]
    fn principals_are_read_and_holes_passed_over() {
        let hole = [(-6_i32).to_be_bytes().to_vec(), vec![0; 6]].concat();
        let file = [vec![5, 2], entry("R", &["HTTP", "a"]), hole, entry("R", &["host", "a"])].concat();
        assert_eq!(parse(&file).unwrap(), ["HTTP/a@R", "host/a@R"]);
        assert_eq!(parse(&[5, 2]).unwrap(), [""; 0]);
        for odd in [&b""[..], b"\x05\x01", b"text", &file[..file.len() - 1]] {
            assert_eq!(parse(odd), None, "{odd:?}");
        }
    }
}
