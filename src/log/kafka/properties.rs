//! The user's `[kafka.properties]`: what they may set, and what of it must never be printed.

use crate::{
    config::{OWN_PROPERTIES, settings::Secret},
    log::LogError,
};

/// Refuses the first property that is aqueduct's own.
pub(super) fn check(properties: &[(String, Secret)]) -> Result<(), LogError> {
    for (key, _) in properties {
        if let Some((_, reason)) = OWN_PROPERTIES.iter().find(|(own, _)| own == key) {
            return Err(LogError::Mismatch {
                place: "kafka.properties".to_owned(),
                problem: format!("`{key}` is set by aqueduct itself: {reason}; remove it"),
            });
        }
    }
    Ok(())
}

/// Other names of the same property. librdkafka applies properties in no certain order, so that a default of ours under
/// one name could win over the user's value under another.
pub(super) fn aliases(key: &str) -> &'static [&'static str] {
    match key {
        "compression.codec" => &["compression.type"],
        "linger.ms" => &["queue.buffering.max.ms"],
        _ => &[],
    }
}

/// Takes secret values out of texts that come from librdkafka.
pub(super) struct Redactor {
    secrets: Vec<Secret>,
}

impl Redactor {
    pub(super) fn new(properties: &[(String, Secret)]) -> Self {
        let is_secret = |key: &str| {
            ["password", "secret", ".pem", "ssl_", "oauthbearer.config", "jaas"]
                .iter()
                .any(|part| key.contains(part))
        };
        let secrets = properties
            .iter()
            .filter(|(key, value)| is_secret(key) && !value.expose().is_empty())
            .map(|(_, value)| value.clone())
            .collect();
        Self { secrets }
    }

    /// The text without any secret value in it.
    pub(super) fn clean(&self, text: &str) -> String {
        self.secrets.iter().fold(text.to_owned(), |text, secret| {
            if text.contains(secret.expose()) {
                text.replace(secret.expose(), "***")
            } else {
                text
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn properties(pairs: &[(&str, &str)]) -> Vec<(String, Secret)> {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), Secret::new(*value)))
            .collect()
    }

    #[test]
    fn a_property_that_a_guarantee_stands_on_is_refused_with_the_reason() {
        for (key, reason) in OWN_PROPERTIES {
            let error = check(&properties(&[("client.id", "x"), (key, "y")])).unwrap_err();
            assert!(matches!(error, LogError::Mismatch { .. }));
            assert!(
                error.to_string().contains(key) && error.to_string().contains(reason),
                "{error}"
            );
        }
        check(&properties(&[("session.timeout.ms", "6000"), ("linger.ms", "20")])).unwrap();
    }

    #[test]
    fn secret_values_are_taken_out_of_texts() {
        let redactor = Redactor::new(&properties(&[("sasl.password", "hunter2"), ("sasl.username", "ada")]));
        assert_eq!(
            redactor.clean("user ada, password hunter2, again hunter2"),
            "user ada, password ***, again ***"
        );
    }
}
