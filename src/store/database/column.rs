//! How keys and owners are kept in columns, and how identifiers are quoted.

use std::borrow::Cow;
use std::fmt::Write as _;

use sha2::{Digest, Sha256};

/// How many characters the columns hold.
const WIDTH: usize = 255;

/// The text that stands for a key or an owner in its column: itself, or where the column can't hold it as it is,
/// `sha256:` and the 64 hexadecimal digits of its digest. Databases end a text at a NUL or refuse it; MySQL's older
/// collations ignore blanks at the end.
pub(super) fn stored(text: &str, ignores_trailing_blanks: bool) -> Cow<'_, str> {
    // A character has at least one byte.
    let is_long = text.len() > WIDTH && text.chars().count() > WIDTH;
    if is_long || text.contains('\0') || (ignores_trailing_blanks && text.ends_with(' ')) {
        Cow::Owned(format!("sha256:{}", hex(&Sha256::digest(text.as_bytes()))))
    } else {
        Cow::Borrowed(text)
    }
}

/// An identifier, quoted: in double quotes as the standard has it, or in MySQL's backticks.
pub(super) fn quoted(name: &str, quote: char) -> String {
    let doubled: String = [quote, quote].iter().collect();
    format!("{quote}{}{quote}", name.replace(quote, &doubled))
}

/// See [`Settings::token_table`](super::settings::Settings::token_table).
pub(super) fn token_table(table: &str) -> String {
    const LONGEST: usize = 63;
    const ENDING: &str = "_fencing";
    if table.len() + ENDING.len() <= LONGEST {
        return format!("{table}{ENDING}");
    }
    let print = hex(&Sha256::digest(table.as_bytes())[..4]);
    let room = LONGEST - ENDING.len() - print.len() - 1;
    let end = (0..=room).rev().find(|end| table.is_char_boundary(*end)).unwrap_or(0);
    format!("{}_{print}{ENDING}", &table[..end])
}

/// A name that two tables, or two keys, don't share: 32 hexadecimal digits.
pub(super) fn fingerprint(parts: &[&str]) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part.as_bytes());
    }
    hex(&digest.finalize()[..16])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // a String takes everything
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_column_cannot_hold_is_kept_by_digest() {
        let longest = "ä".repeat(255);
        assert_eq!(stored(&longest, true), longest);
        assert_eq!(stored("a ", false), "a ");
        for (text, ignores) in [(format!("{longest}b"), false), ("a\0b".into(), false), ("a ".into(), true)] {
            let kept = stored(&text, ignores);
            assert!(kept.starts_with("sha256:") && kept.len() == 71, "{kept}");
        }
        // NIST's example.
        assert!(hex(&Sha256::digest(b"abc")).starts_with("ba7816bf8f01cfea"));
    }

    #[test]
    fn the_table_of_tokens_has_a_name_of_its_own_that_no_database_cuts() {
        assert_eq!(token_table("locks"), "locks_fencing");
        assert_eq!(token_table(&"t".repeat(55)), format!("{}_fencing", "t".repeat(55)));
        let long = [&"t".repeat(56), &"t".repeat(63), &"t".repeat(64), &"ä".repeat(31), &"ä".repeat(60)];
        let mut names = long.map(|table| token_table(table));
        assert!(names.iter().all(|name| name.len() <= 63 && name.ends_with("_fencing")), "{names:?}");
        names.sort();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
    }

    #[test]
    fn identifiers_cannot_end_their_quotes() {
        assert_eq!(quoted("a\"b", '"'), "\"a\"\"b\"");
        assert_eq!(quoted("a`b", '`'), "`a``b`");
    }
}
