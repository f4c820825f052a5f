//! Java properties, the form of Spark's conf files (`java.util.Properties`, load and store).

use std::collections::BTreeMap;
use std::fmt::Write;
use std::iter::Peekable;
use std::str::Chars;

/// Writes properties so that Java reads back the same keys and values.
#[must_use]
pub fn write(properties: &BTreeMap<String, String>) -> String {
    let mut text = String::new();
    for (key, value) in properties {
        escape(key, &mut text, true);
        text.push('=');
        escape(value, &mut text, false);
        text.push('\n');
    }
    text
}

fn escape(part: &str, text: &mut String, key: bool) {
    for (at, unit) in part.encode_utf16().enumerate() {
        match u8::try_from(unit).map(char::from) {
            Ok('\n') => text.push_str("\\n"),
            Ok('\r') => text.push_str("\\r"),
            Ok('\t') => text.push_str("\\t"),
            Ok(c @ ('\\' | '=' | ':' | '#' | '!')) => text.extend(['\\', c]),
            Ok(' ') if key || at == 0 => text.push_str("\\ "),
            Ok(c @ ' '..='~') => text.push(c),
            _ => {
                let _ = write!(text, "\\u{unit:04x}");
            }
        }
    }
}

/// Reads properties. Values are trimmed, as Spark does with its conf files.
#[must_use]
pub fn read(text: &str) -> BTreeMap<String, String> {
    let mut properties = BTreeMap::new();
    let mut lines = text.lines();
    while let Some(first) = lines.next() {
        let mut line = first.trim_start().to_owned();
        if line.is_empty() || line.starts_with(['#', '!']) {
            continue;
        }
        // An odd number of backslashes at the end: the next line goes on.
        while line.chars().rev().take_while(|c| *c == '\\').count() % 2 == 1 {
            line.pop();
            match lines.next() {
                Some(next) => line.push_str(next.trim_start()),
                None => break,
            }
        }
        let mut rest = line.chars().peekable();
        let key = unescape(&mut rest, |c| c == '=' || c == ':' || c.is_ascii_whitespace());
        skip_blanks(&mut rest);
        if rest.next_if(|c| *c == '=' || *c == ':').is_some() {
            skip_blanks(&mut rest);
        }
        let value = unescape(&mut rest, |_| false);
        properties.insert(key, value.trim().to_owned());
    }
    properties
}

fn skip_blanks(rest: &mut Peekable<Chars<'_>>) {
    while rest.next_if(char::is_ascii_whitespace).is_some() {}
}

fn unescape(rest: &mut Peekable<Chars<'_>>, ends: impl Fn(char) -> bool) -> String {
    let mut units: Vec<u16> = Vec::new();
    while let Some(c) = rest.next_if(|c| !ends(*c)) {
        let meant = match (c, rest.peek()) {
            ('\\', Some('u')) => {
                rest.next();
                let digits: String = std::iter::from_fn(|| rest.next_if(char::is_ascii_hexdigit)).take(4).collect();
                units.push(u16::from_str_radix(&digits, 16).unwrap_or(0xfffd));
                continue;
            }
            ('\\', _) => match rest.next() {
                Some('n') => '\n',
                Some('r') => '\r',
                Some('t') => '\t',
                Some('f') => '\u{c}',
                Some(other) => other,
                None => break,
            },
            _ => c,
        };
        units.extend_from_slice(meant.encode_utf16(&mut [0; 2]));
    }
    String::from_utf16_lossy(&units)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn map<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
        pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).into()
    }

    #[test]
    fn what_java_would_misread_is_escaped() {
        let text = write(&map([("a b=c", " x\\y\nz:#!é😀")]));
        assert_eq!(text, "a\\ b\\=c=\\ x\\\\y\\nz\\:\\#\\!\\u00e9\\ud83d\\ude00\n");
    }

    #[test]
    fn a_conf_file_is_read_as_java_reads_it() {
        let text = "# comment\n! too\n\nspark.a   1g\nspark.b=x y \n spark.c : \\u0041\\\n    B\\\\\nspark.d\n";
        assert_eq!(read(text), map([("spark.a", "1g"), ("spark.b", "x y"), ("spark.c", "AB\\"), ("spark.d", "")]));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(pairs in prop::collection::btree_map("\\PC{1,20}", "[\\PC\n\r\t=:#!\\\\]{0,40}", 0..8)) {
            let trimmed: BTreeMap<_, _> = pairs.iter().map(|(k, v)| (k.clone(), v.trim().to_owned())).collect();
            prop_assert_eq!(read(&write(&pairs)), trimmed);
        }
    }
}
