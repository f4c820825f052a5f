//! Why a program ended, for people.

use std::collections::VecDeque;

use super::process::Status;

/// Says why a driver ended: how its process did, what it said of its own end, what its last lines of `log` complain of.
#[must_use]
pub fn of(status: &Status, last_words: Option<&str>, log: &VecDeque<String>) -> String {
    let mut cause = match status {
        Status::Ended(exit) => match (exit.code, exit.signal, &exit.error) {
            (_, _, Some(error)) => format!("the driver could not be started: {error}"),
            (Some(137), ..) | (_, Some(9), _) => {
                "the driver was killed (SIGKILL), by hand or for want of memory".to_owned()
            }
            (Some(143), ..) | (_, Some(15), _) => "the driver was terminated (SIGTERM)".to_owned(),
            (Some(0), ..) => "the driver ended by itself (exit code 0)".to_owned(),
            (Some(code), ..) => format!("the driver failed (exit code {code})"),
            (None, Some(signal), _) => format!("the driver was ended by signal {signal}"),
            (None, None, None) => "the driver ended".to_owned(),
        },
        _ => "the driver is gone, and nobody saw how it ended".to_owned(),
    };
    if log.iter().rev().any(|l| l.contains("java.lang.OutOfMemoryError")) {
        cause.push_str("; it ran out of Java heap: ask for more driverMemory");
    }
    let failed = !matches!(status, Status::Ended(e) if matches!(e.code, Some(0 | 143)));
    let last_error =
        || log.iter().rev().find(|l| l.contains(" ERROR ") || l.contains("Exception") || l.contains("Error:"));
    if let Some(words) = last_words {
        cause.push_str("; it said: ");
        cause.push_str(words);
    } else if failed && let Some(line) = last_error() {
        cause.push_str("; last error in its log: ");
        cause.extend(line.trim().chars().take(300));
    }
    // A driver may print and say what it likes; the database takes no NUL in a text.
    cause.retain(|c| c != '\0');
    cause
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::launch::folder::Exit;

    #[test]
    fn what_a_driver_says_can_be_stored() {
        let exit = Exit { code: Some(1), signal: None, error: None, at: crate::time::now() };
        let log = VecDeque::from(["26/11/23 ERROR it\0 broke".to_owned()]);
        let cause = of(&Status::Ended(exit.clone()), None, &log);
        assert_eq!(cause, "the driver failed (exit code 1); last error in its log: 26/11/23 ERROR it broke");
        assert!(of(&Status::Ended(exit), Some("a\0b"), &log).ends_with("; it said: ab"));
    }
}
