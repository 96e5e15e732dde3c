//! Tokens and links that lead from page to page, and the circles that they may lead in.

use super::{Circle, PageCursor};

/// So many tokens before the current one are remembered: a shorter circle is noticed before it repeats a record.
const REMEMBERED: usize = 32;

/// Takes the token that a page names for the one after it.
///
/// A circle that is longer than what is remembered is found by one older token that is kept while the number of pages
/// doubles (Brent's way): late, but with a cursor of bounded size.
pub(super) fn turn(cursor: &mut PageCursor, token: String) -> Result<(), Circle> {
    if cursor.token.as_ref() == Some(&token) {
        return Err(Circle::SameToken);
    }
    let hash = format!("{:016x}", hash(&token));
    if cursor.seen.contains(&hash) || cursor.landmark.as_ref() == Some(&hash) {
        return Err(Circle::OldToken);
    }
    if cursor.pages.is_power_of_two() {
        cursor.landmark = Some(hash.clone());
    }
    if cursor.seen.len() >= REMEMBERED {
        cursor.seen.remove(0);
    }
    cursor.seen.push(hash);
    cursor.token = Some(token);
    Ok(())
}

/// FNV-1a. Stable over builds and machines, because it lies in committed cursors.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::pagination::CursorKind;

    /// Follows tokens until a circle is found; the number of pages that it took.
    fn pages_until_a_circle(token: impl Fn(u64) -> u64) -> Option<u64> {
        let mut cursor = PageCursor::start(CursorKind::Cursor, 1, 1, 0);
        for page in 1..10_000 {
            cursor.pages = page;
            if turn(&mut cursor, token(page).to_string()).is_err() {
                return Some(page);
            }
        }
        None
    }

    #[test]
    fn a_circle_is_found_and_a_straight_line_is_none() {
        assert_eq!(pages_until_a_circle(|page| page), None);
        assert_eq!(pages_until_a_circle(|_| 7), Some(2));
        // Before the first token of the circle is used again.
        assert_eq!(pages_until_a_circle(|page| page % 5), Some(6));
        assert_eq!(
            pages_until_a_circle(|page| if page < 100 { page } else { page % 32 }),
            Some(132)
        );
        let long = pages_until_a_circle(|page| page % 1_000).expect("a circle");
        assert!(long <= 2_100, "{long}");
    }

    #[test]
    fn the_cursor_stays_small() {
        let mut cursor = PageCursor::start(CursorKind::Cursor, 1, 1, 0);
        for page in 1..1_000 {
            cursor.pages = page;
            turn(&mut cursor, format!("token {page}")).expect("no circle");
        }
        assert!(cursor.to_value().to_string().len() < 1_000);
    }
}
