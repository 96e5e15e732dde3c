//! Whether a text is UTF-8. Most of a record is ASCII, which is recognised many bytes at a time; the standard library's check
//! falls back to single bytes at every other character.

/// How many bytes are looked at together.
const BLOCK: usize = 64;

/// Where the first broken character begins; `None` = the text is UTF-8.
pub(crate) fn broken_character(text: &[u8]) -> Option<usize> {
    let mut start = 0;
    while start < text.len() {
        if block(text, start).is_ascii() {
            start += BLOCK;
            continue;
        }
        // A whole run of such blocks, because a character may go over from one to the next. It cannot into ASCII.
        let mut end = start + BLOCK;
        while end < text.len() && !block(text, end).is_ascii() {
            end += BLOCK;
        }
        let end = end.min(text.len());
        if let Err(error) = str::from_utf8(&text[start..end]) {
            return Some(start + error.valid_up_to());
        }
        start = end;
    }
    None
}

fn block(text: &[u8], start: usize) -> &[u8] {
    &text[start..text.len().min(start + BLOCK)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_finds_what_the_standard_library_finds_wherever_it_stands() {
        let characters = ["a", "é", "東", "😀"];
        let breaks: [&[u8]; 5] = [b"\xff", b"\xc3", b"\xe6\x9d", b"\x80", b"\xed\xa0\x80"];
        for len in 0..200 {
            for character in characters {
                let mut text = "x".repeat(len).into_bytes();
                text.extend(character.repeat(len % 7 + 1).bytes());
                text.extend(b"y".repeat(200 - len));
                assert_eq!(broken_character(&text), None, "{character} at {len}");
                for broken in breaks {
                    for tail in ["", "z", "é"] {
                        let mut text = text[..len.min(text.len())].to_vec();
                        text.extend(character.bytes().chain(broken.iter().copied()).chain(tail.bytes()));
                        text.extend(b"w".repeat(len % 70));
                        let expected = str::from_utf8(&text).expect_err("it is broken").valid_up_to();
                        assert_eq!(broken_character(&text), Some(expected), "{text:?}");
                    }
                }
            }
        }
    }
}
