//! A log as this door shows it: Livy's markers, notices, what the process printed, and last why it waits or has ended.
//!
//! Only what the process printed is stored. The lines before and after it follow from the row, so every gateway shows
//! the same, and the number of a line does not change as more come.

use std::borrow::Cow;

use crate::batch;
use crate::context::log::{LogPage, Wanted};
use crate::session::{View, is_over};

/// Livy parts a log by these lines. Clients join lines by a line feed, which sets the second apart.
const MARKERS: [&str; 2] = ["stdout: ", "\nstderr: "];
/// Lines shown with a session or a batch.
const SHOWN: usize = 10;

/// The lines around what a process printed.
#[derive(Debug)]
pub struct Frame<'a> {
    head: Vec<Cow<'a, str>>,
    tail: Vec<Cow<'a, str>>,
}

/// Where lines stand in a log: `from` and `total` as the answer says them, and which stored lines are needed for it.
#[derive(Debug, PartialEq, Eq)]
pub struct Cut {
    /// The first line given.
    pub from: i64,
    /// How many lines there are.
    pub total: i64,
    /// The line after the last one given.
    until: i64,
}

impl<'a> Frame<'a> {
    /// Of a session.
    #[must_use]
    pub fn of(view: &'a View) -> Self {
        let cause = view.session.cause.as_deref().filter(|_| is_over(view.state));
        Self::new(&view.session.request.notices, view.facts.waits.as_deref(), cause)
    }

    /// Of a batch.
    #[must_use]
    pub fn of_batch(view: &'a batch::View) -> Self {
        let cause = view.batch.cause.as_deref().filter(|_| view.batch.state.is_over());
        Self::new(&view.batch.request.notices, view.waits.as_deref(), cause)
    }

    /// Around the log of anything.
    #[must_use]
    pub fn new(notices: &'a [String], waits: Option<&'a str>, cause: Option<&'a str>) -> Self {
        let head = MARKERS.into_iter().map(Cow::Borrowed).chain(notices.iter().map(|n| Cow::Borrowed(n.as_str())));
        let waits = waits.filter(|_| cause.is_none());
        let tail = waits.map(|w| format!("Hearth: {w}")).into_iter().chain(cause.map(|c| format!("Hearth: {c}")));
        Self { head: head.collect(), tail: tail.map(Cow::Owned).collect() }
    }

    /// The last lines, when `printed` ends what was printed (all of it, or at least ten lines).
    #[must_use]
    pub fn last<'s, L: AsRef<str>>(&'s self, printed: &'s [L]) -> Vec<&'s str> {
        let all = self.head.len() + printed.len() + self.tail.len();
        let head = self.head.iter().map(AsRef::as_ref);
        let tail = self.tail.iter().map(AsRef::as_ref);
        head.chain(printed.iter().map(AsRef::as_ref)).chain(tail).skip(all.saturating_sub(SHOWN)).collect()
    }

    /// Which of the stored lines are needed for the wanted ones.
    #[must_use]
    pub fn stored(&self, wanted: Wanted) -> Wanted {
        match wanted.from {
            Some(from) => Wanted { from: Some((from - self.head()).max(0)), size: wanted.size },
            None => wanted,
        }
    }

    /// Where the wanted lines stand, when these of the stored ones are there. Of a log too large for one answer those stored last are
    /// not there, or, of a tail, those stored first.
    #[must_use]
    pub fn cut(&self, wanted: Wanted, printed: &LogPage) -> Cut {
        let total = self.head() + printed.total + i64::try_from(self.tail.len()).unwrap_or(0);
        let size = wanted.size.unwrap_or(total).clamp(0, total);
        let count = i64::try_from(printed.lines.len()).unwrap_or(0);
        match wanted.from {
            Some(from) => {
                let until = from.saturating_add(size).min(total);
                let asked = self.stored(wanted).from.unwrap_or(0);
                let stored = wanted.size.unwrap_or(printed.total).min(printed.total - asked);
                let is_short = count < stored;
                Cut { from, total, until: if is_short { until.min(self.head() + printed.from + count) } else { until } }
            }
            None => {
                let is_short = count < size.min(printed.total);
                let first = if is_short { self.head() + printed.from } else { 0 };
                Cut { from: (total - size).max(first), total, until: total }
            }
        }
    }

    /// The lines of a cut; `stored` are lines of the process, the first of which has the number `first`.
    #[must_use]
    pub fn lines<'s>(&'s self, cut: &Cut, first: i64, stored: &'s [String]) -> Vec<&'s str> {
        let printed = cut.total - self.head() - i64::try_from(self.tail.len()).unwrap_or(0);
        let line = |number: i64| {
            let at = |n: i64| usize::try_from(n).ok();
            if number < self.head() {
                self.head.get(at(number)?).map(AsRef::as_ref)
            } else if number < self.head() + printed {
                stored.get(at(number - self.head() - first)?).map(String::as_str)
            } else {
                self.tail.get(at(number - self.head() - printed)?).map(AsRef::as_ref)
            }
        };
        (cut.from..cut.until).filter_map(line).collect()
    }

    fn head(&self) -> i64 {
        i64::try_from(self.head.len()).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn page(frame: &Frame<'_>, printed: &[&str], from: Option<i64>, size: Option<i64>) -> (i64, i64, Vec<String>) {
        let wanted = Wanted { from, size };
        let count = i64::try_from(printed.len()).unwrap();
        // As the store reads it.
        let stored = frame.stored(wanted);
        let size = stored.size.unwrap_or(count).clamp(0, count);
        let first = stored.from.unwrap_or(count - size).clamp(0, count);
        let lines: Vec<String> =
            printed.iter().skip(first as usize).take(size as usize).map(ToString::to_string).collect();
        let stored = LogPage { dropped: 0, from: first, total: count, lines };
        let cut = frame.cut(wanted, &stored);
        let shown = frame.lines(&cut, first, &stored.lines).into_iter().map(str::to_owned).collect();
        (cut.from, cut.total, shown)
    }

    #[test]
    fn a_log_begins_with_livys_markers() {
        let frame = Frame::new(&[], None, None);
        assert_eq!(frame.last::<&str>(&[]), ["stdout: ", "\nstderr: "]);
        assert_eq!(page(&frame, &[], None, Some(100)), (0, 2, vec!["stdout: ".into(), "\nstderr: ".into()]));
    }

    #[test]
    fn pages_count_every_line() {
        let notices = ["note".to_owned()];
        let frame = Frame::new(&notices, None, Some("it ended"));
        let printed = ["a", "b", "c"];
        let all = ["stdout: ", "\nstderr: ", "note", "a", "b", "c", "Hearth: it ended"];
        for from in 0..9 {
            for size in 0..9 {
                let expected: Vec<String> = all.iter().skip(from).take(size).map(ToString::to_string).collect();
                let page = page(&frame, &printed, Some(from as i64), Some(size as i64));
                assert_eq!(page, (from as i64, 7, expected), "from {from} size {size}");
            }
        }
        for size in 0..9_usize {
            let expected: Vec<String> =
                all.iter().skip(7_usize.saturating_sub(size)).map(ToString::to_string).collect();
            let from = 7_usize.saturating_sub(size) as i64;
            assert_eq!(page(&frame, &printed, None, Some(size as i64)), (from, 7, expected), "the last {size}");
        }
        assert_eq!(page(&frame, &printed, None, None).2.len(), 7);
    }

    #[test]
    fn a_log_too_large_for_one_answer_says_which_lines_it_gives() {
        let frame = Frame::new(&[], None, Some("it ended"));
        let given = |first: i64, lines: &[&str], from: Option<i64>| {
            let wanted = Wanted { from, size: None };
            let stored =
                LogPage { dropped: 0, from: first, total: 9, lines: lines.iter().map(ToString::to_string).collect() };
            let cut = frame.cut(wanted, &stored);
            let shown: Vec<String> = frame.lines(&cut, first, &stored.lines).into_iter().map(str::to_owned).collect();
            (cut.from, cut.total, shown)
        };
        let text = |lines: &[&str]| lines.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(given(7, &["h", "i"], None), (9, 12, text(&["h", "i", "Hearth: it ended"])), "the last");
        assert_eq!(given(0, &["a", "b"], Some(0)), (0, 12, text(&["stdout: ", "\nstderr: ", "a", "b"])), "the first");
        assert_eq!(given(2, &["c"], Some(4)), (4, 12, text(&["c"])), "goes on where the one before ended");
    }

    #[test]
    fn the_last_ten_lines_end_with_the_reason() {
        let frame = Frame::new(&[], Some("waits in line, position 3"), None);
        assert_eq!(frame.last::<&str>(&[]), ["stdout: ", "\nstderr: ", "Hearth: waits in line, position 3"]);
        let printed: Vec<Arc<str>> = (0..10).map(|n| Arc::from(n.to_string())).collect();
        let ended = Frame::new(&[], None, Some("killed"));
        let last = ended.last(&printed);
        assert_eq!((last.len(), last[0], last[9]), (10, "1", "Hearth: killed"));
    }
}
