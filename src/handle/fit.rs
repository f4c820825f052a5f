//! Whether JSON can go to an agent as it is written.
//!
//! Keys and values are passed on as people wrote them, so that no number loses a digit; an agent's columns come back to the agents after it.
//! The JSON reader of an agent has limits of its own (1000 levels, numbers of 1000 digits, names of 50,000 characters), and whoever sent it a
//! frame beyond them would lose it the connection, for everybody, as often as the frame is sent again. So what comes near them goes no further.

use serde_json::value::RawValue;

use super::Error;

/// Levels of lists and objects.
pub(super) const DEEPEST: usize = 64;
/// Characters of a number: its digits with sign, point and exponent.
pub(super) const LONGEST_NUMBER: usize = 1000;
/// Bytes of the name of a field, as it is written.
pub(super) const LONGEST_NAME: usize = 10_000;

/// What is too much for an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unfit {
    /// Lists in lists.
    #[error("it is nested more than {DEEPEST} levels deep")]
    Deep,
    /// A number.
    #[error("a number of more than {LONGEST_NUMBER} digits stands in it: send it as a text")]
    Number,
    /// A name.
    #[error("the name of a field in it has more than {LONGEST_NAME} bytes")]
    Name,
}

/// Looks at JSON, which it must be already, once from its beginning to its end.
///
/// # Errors
/// What an agent could not read.
pub(super) fn check(json: &RawValue) -> Result<(), Unfit> {
    let (mut depth, mut number, mut text) = (0_usize, 0_usize, 0_usize);
    let mut rest = json.get().bytes();
    while let Some(byte) = rest.next() {
        // A letter of `true`, `false` or `null` may stand in a number, too; there are never many of them in a row.
        number = if matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E') { number + 1 } else { 0 };
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'"' => text = text_of(&mut rest),
            // The text before it was a name.
            b':' if text > LONGEST_NAME => return Err(Unfit::Name),
            _ => {}
        }
        if depth > DEEPEST {
            return Err(Unfit::Deep);
        }
        if number > LONGEST_NUMBER {
            return Err(Unfit::Number);
        }
    }
    Ok(())
}

/// Passes over a text that has begun; its length.
fn text_of(rest: &mut std::str::Bytes<'_>) -> usize {
    let before = rest.len();
    while let Some(byte) = rest.next() {
        match byte {
            b'\\' => _ = rest.next(),
            b'"' => break,
            _ => {}
        }
    }
    before - rest.len() - 1
}

/// Checks keys, or keys and values; an error names the one that is wrong by its place in the list.
///
/// # Errors
/// [`Error::Invalid`].
pub(super) fn check_each<'a>(
    list: &str,
    each: impl IntoIterator<Item = (&'static str, usize, &'a RawValue)>,
) -> Result<(), Error> {
    for (part, at, json) in each {
        check(json).map_err(|why| Error::Invalid(format!("{part}{list}[{at}]: {why}")))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(json: String) -> Result<(), Unfit> {
        check(&RawValue::from_string(json).unwrap())
    }

    #[test]
    fn what_an_agent_cannot_read_goes_no_further() {
        let nested = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
        let objects = |levels: usize| format!("{}1{}", "{\"a\": ".repeat(levels), "}".repeat(levels));
        assert_eq!((verdict(nested(DEEPEST)), verdict(objects(DEEPEST))), (Ok(()), Ok(())));
        assert_eq!(verdict(nested(DEEPEST + 1)), Err(Unfit::Deep));
        assert_eq!(verdict(objects(DEEPEST + 1)), Err(Unfit::Deep));
        assert_eq!(verdict(nested(100_000)), Err(Unfit::Deep));
        let wide = format!("[{}]", vec!["[[1]]"; 10_000].join(","));
        assert_eq!(verdict(wide), Ok(()), "side by side is not deep");

        assert_eq!(verdict("9".repeat(LONGEST_NUMBER)), Ok(()));
        for number in ["9".repeat(LONGEST_NUMBER + 1), format!("-0.{}e+1", "0".repeat(LONGEST_NUMBER))] {
            assert_eq!(verdict(number.clone()), Err(Unfit::Number));
            assert_eq!(verdict(format!("[1, {{\"a\": [{number}]}}]")), Err(Unfit::Number));
            assert_eq!(verdict(format!("[\"\\\"{number}\"]")), Ok(()), "digits of a text are no number");
        }
        assert_eq!(verdict(format!("[{}]", vec!["1"; 10_000].join(","))), Ok(()));

        let named = |length: usize| format!("{{\"{}\" : 1}}", "n".repeat(length));
        assert_eq!(verdict(named(LONGEST_NAME)), Ok(()));
        assert_eq!(verdict(named(LONGEST_NAME + 1)), Err(Unfit::Name));
        assert_eq!(verdict(format!("{{\"a\": \"{}\"}}", "v".repeat(LONGEST_NAME + 1))), Ok(()), "a value, not a name");
    }

    #[test]
    fn texts_are_not_taken_for_structure() {
        let brackets = "[".repeat(DEEPEST + 1);
        for text in [brackets.clone(), format!("\\\"{brackets}"), format!("\\\\\\\"{brackets}\\\\")] {
            assert_eq!(verdict(format!("[\"{text}\", {{\"{text}\": \"\\u005b\"}}]")), Ok(()), "{text}");
        }
    }

    #[test]
    fn an_error_names_the_one_that_is_wrong() {
        let (fine, deep) = (
            RawValue::from_string("1".into()).unwrap(),
            RawValue::from_string("[".repeat(65) + &"]".repeat(65)).unwrap(),
        );
        let keys = [&*fine, &*deep];
        let e = check_each("keys", keys.iter().enumerate().map(|(at, key)| ("", at, *key))).unwrap_err();
        assert_eq!(e.to_string(), "keys[1]: it is nested more than 64 levels deep");
    }
}
