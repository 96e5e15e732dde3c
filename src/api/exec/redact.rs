//! What may be repeated of a program's words.

use crate::config::settings::Secret;

const HIDDEN: &str = "***";

/// Takes secrets out of what the program says.
#[derive(Clone, Debug)]
pub(super) struct Redactor {
    secrets: Vec<Secret>,
}

impl Redactor {
    pub(super) fn new(hidden: &[Secret]) -> Self {
        // Shorter ones would tear holes into ordinary words.
        let mut secrets: Vec<Secret> = hidden
            .iter()
            .filter(|secret| secret.expose().len() >= 6)
            .cloned()
            .collect();
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.expose().len()));
        Self { secrets }
    }

    /// The text without secrets and control characters, at most `max_chars` of it.
    pub(super) fn show(&self, bytes: &[u8], max_chars: usize) -> String {
        let mut text = String::from_utf8_lossy(bytes).into_owned();
        for secret in &self.secrets {
            text = text.replace(secret.expose(), HIDDEN);
        }
        let clean: String = text
            .trim()
            .chars()
            .map(|letter| if letter.is_control() { ' ' } else { letter })
            .take(max_chars + 1)
            .collect();
        match clean.char_indices().nth(max_chars) {
            Some((at, _)) => format!("{}…", &clean[..at]),
            None => clean,
        }
    }

    /// The same after `: `, or nothing.
    pub(super) fn excerpt(&self, bytes: &[u8], max_chars: usize) -> String {
        let shown = self.show(bytes, max_chars);
        if shown.is_empty() { shown } else { format!(": {shown}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_never_show_and_long_texts_are_cut() {
        let redactor = Redactor::new(&[Secret::new("hunter2"), Secret::new("hunter2-long"), Secret::new("ab")]);
        assert_eq!(
            redactor.show(b"abc hunter2-long, hunter2\x1b[1m\n", 80),
            "abc ***, *** [1m"
        );
        assert_eq!(redactor.excerpt(b"hunter2 hunter2", 5), ": *** *…");
        assert_eq!(redactor.excerpt(b" \n", 5), "");
    }
}
