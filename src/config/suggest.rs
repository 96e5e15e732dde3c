//! "Did you mean".

/// The candidate that a typing error away from `word` would be; `None` where nothing is near.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_lowercase().replace('-', "_");
    candidates
        .into_iter()
        .map(|candidate| {
            (
                strsim::damerau_levenshtein(&lower, &candidate.to_lowercase()),
                candidate,
            )
        })
        // A third of the letters may be wrong; of very short words one.
        .filter(|(distance, candidate)| *distance <= (candidate.chars().count().max(lower.chars().count()) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `"a", "b" or "c"`
pub(super) fn listed<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    joined(words.into_iter().map(|word| format!("\"{word}\"")), "or")
}

/// `a, b <conjunction> c`
pub(super) fn joined(words: impl IntoIterator<Item = String>, conjunction: &str) -> String {
    let mut words: Vec<String> = words.into_iter().collect();
    match words.pop() {
        None => String::new(),
        Some(last) if words.is_empty() => last,
        Some(last) => format!("{} {conjunction} {last}", words.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_error_is_near_and_another_word_is_not() {
        let keys = ["brokers", "properties", "url"];
        assert_eq!(nearest("broker", keys), Some("brokers"));
        assert_eq!(nearest("BROKERS", keys), Some("brokers"));
        assert_eq!(nearest("porperties", keys), Some("properties"));
        assert_eq!(nearest("ulr", keys), Some("url"));
        assert_eq!(nearest("password", keys), None);
    }

    #[test]
    fn lists_read_like_a_sentence() {
        assert_eq!(listed(["a"]), "\"a\"");
        assert_eq!(listed(["a", "b", "c"]), "\"a\", \"b\" or \"c\"");
        assert_eq!(joined([], "and"), "");
    }
}
