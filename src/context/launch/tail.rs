//! Reads what a program has written to a log file since the last look: whole lines, bounded.
//!
//! The only state is the offset, which the caller keeps with the lines, in one transaction: so no line is lost or told twice
//! when a gateway dies. Every offset this module gives stands behind a line's end or inside a line that was cut; the byte
//! before it tells which.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// The longest line that is kept whole, in bytes.
pub const MAX_LINE: usize = 64 * 1024;
/// What stands at the end of a line that was cut.
pub const CUT: &str = " … [cut by Hearth: the line is longer than 64 KiB]";

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lines {
    /// The lines, without their ends. Bytes that are no UTF-8 are shown as U+FFFD.
    pub lines: Vec<String>,
    /// Where to read on.
    pub offset: u64,
    /// Whether the bound was reached and there is more to read now.
    pub more: bool,
}

/// Reads the lines from `offset` on, at most `limit` bytes. A line that is not finished is left for later, unless `flush` says
/// that the program has ended. A file that is not there (yet) has no lines.
///
/// # Errors
/// As the system says.
pub fn read(path: &Path, offset: u64, limit: usize, flush: bool) -> io::Result<Lines> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Lines { lines: Vec::new(), offset, more: false }),
        Err(e) => return Err(e),
    };
    let mut inside_cut = offset > 0 && {
        let mut before = [0];
        file.seek(SeekFrom::Start(offset - 1))?;
        file.read(&mut before)? == 1 && before != *b"\n"
    };
    // A cut needs one byte more than the longest line to be seen.
    let limit = limit.max(MAX_LINE + 1);
    let mut bytes = Vec::new();
    file.take(limit as u64).read_to_end(&mut bytes)?;
    let full = bytes.len() == limit;

    let mut lines = Vec::new();
    let mut rest = bytes.as_slice();
    while let Some(end) = rest.iter().position(|b| *b == b'\n') {
        let (line, after) = rest.split_at(end);
        if !inside_cut {
            lines.push(text(line));
        }
        inside_cut = false;
        rest = after.get(1..).unwrap_or_default();
    }
    let flush = flush && !full;
    let unfinished = if inside_cut {
        0
    } else if rest.len() > MAX_LINE || (flush && !rest.is_empty()) {
        lines.push(text(rest));
        0
    } else {
        rest.len()
    };
    Ok(Lines { lines, offset: offset + (bytes.len() - unfinished) as u64, more: full })
}

fn text(line: &[u8]) -> String {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    match line.get(..MAX_LINE).filter(|_| line.len() > MAX_LINE) {
        Some(head) => String::from_utf8_lossy(head).into_owned() + CUT,
        None => String::from_utf8_lossy(line).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::Write;

    use super::*;

    struct Log(tempfile::TempDir);

    impl Log {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }
        fn add(&self, bytes: &[u8]) {
            let path = self.0.path().join("log");
            OpenOptions::new().create(true).append(true).open(path).unwrap().write_all(bytes).unwrap();
        }
        fn read(&self, offset: u64, flush: bool) -> Lines {
            read(&self.0.path().join("log"), offset, MAX_LINE + 1, flush).unwrap()
        }
        /// Every line, by as many reads as it takes.
        fn all(&self) -> Vec<String> {
            let (mut lines, mut offset) = (Vec::new(), 0);
            loop {
                let read = self.read(offset, true);
                lines.extend(read.lines);
                offset = read.offset;
                if !read.more {
                    return lines;
                }
            }
        }
    }

    #[test]
    fn an_unfinished_line_waits_for_its_end() {
        let log = Log::new();
        assert_eq!(log.read(0, false), Lines { lines: vec![], offset: 0, more: false });
        log.add(b"one\r\ntw");
        let first = log.read(0, false);
        assert_eq!((first.lines, first.offset), (vec!["one".to_owned()], 5));
        log.add(b"o\nend");
        let second = log.read(first.offset, false);
        assert_eq!((second.lines, second.offset), (vec!["two".to_owned()], 9));
        let last = log.read(second.offset, true);
        assert_eq!((last.lines, last.offset), (vec!["end".to_owned()], 12));
        assert!(log.read(last.offset, true).lines.is_empty());
    }

    #[test]
    fn bytes_that_are_no_text_do_no_harm() {
        let log = Log::new();
        log.add(b"a\xff\xfeb\n\0\n");
        assert_eq!(log.read(0, false).lines, ["a\u{fffd}\u{fffd}b", "\0"]);
    }

    #[test]
    fn a_long_line_is_cut_and_the_next_is_whole() {
        for length in [MAX_LINE, MAX_LINE + 1, 3 * MAX_LINE + 7] {
            let log = Log::new();
            log.add(b"before\n");
            log.add(&vec![b'x'; length]);
            log.add(b"\nafter\n");
            let lines = log.all();
            assert_eq!(lines.len(), 3, "{length}");
            assert_eq!(lines[1].len() > MAX_LINE, length > MAX_LINE);
            assert_eq!(lines[1].ends_with(CUT), length > MAX_LINE);
            assert_eq!(lines[2], "after");
        }
    }

    #[test]
    fn many_lines_come_in_bounded_pieces() {
        let log = Log::new();
        for n in 0..20_000 {
            log.add(format!("line {n}\n").as_bytes());
        }
        let lines = log.all();
        assert_eq!(lines.len(), 20_000);
        assert_eq!(lines[19_999], "line 19999");
    }
}
