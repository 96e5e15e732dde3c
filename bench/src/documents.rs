//! Documents and their keys, cut out of a text of one document a line.

const BEFORE_KEY: &str = "\"uuid\":\"";

/// Key and document of each line.
pub(crate) fn documents(text: &str) -> Result<Vec<(&str, &str)>, String> {
    text.lines()
        .enumerate()
        .map(|(index, document)| match key_of(document) {
            Some(key) => Ok((key, document)),
            None => Err(format!("line {} has no uuid", index + 1)),
        })
        .collect()
}

fn key_of(document: &str) -> Option<&str> {
    let (_, after) = document.split_once(BEFORE_KEY)?;
    after.split_once('"').map(|(key, _)| key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_a_document_and_its_uuid_the_key() {
        let text = "{\"login\":{\"uuid\":\"a-1\"}}\n{\"login\":{\"uuid\":\"b-2\",\"x\":1}}\n";
        let found = documents(text).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!(found[0], ("a-1", "{\"login\":{\"uuid\":\"a-1\"}}"));
        assert_eq!(found[1].0, "b-2");
    }

    #[test]
    fn a_line_without_a_key_is_named() {
        assert_eq!(documents("{\"uuid\":\"a\"}\n{}").unwrap_err(), "line 2 has no uuid");
    }
}
