//! Names in SQL text: always quoted, so that no name is a keyword, a fold or an injection.

/// `name` as a quoted identifier.
pub(super) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// `prefix."name", …`; without a prefix just the names.
pub(super) fn list<'a>(prefix: &str, names: impl Iterator<Item = &'a str>) -> String {
    let dot = if prefix.is_empty() { "" } else { "." };
    names
        .map(|name| format!("{prefix}{dot}{}", quote(name)))
        .collect::<Vec<_>>()
        .join(", ")
}

/// `table` or `schema.table` from the configuration, quoted; a sentence when it is neither.
pub(super) fn quote_table(name: &str) -> Result<String, String> {
    let parts: Vec<&str> = name.split('.').collect();
    match *parts.as_slice() {
        [table] if !table.is_empty() => Ok(quote(table)),
        [schema, table] if !schema.is_empty() && !table.is_empty() => Ok(format!("{}.{}", quote(schema), quote(table))),
        _ => Err(format!("\"{name}\" is no table's name; write table or schema.table")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_its_quotes() {
        assert_eq!(quote(r#"a"; DROP TABLE b; --"#), r#""a""; DROP TABLE b; --""#);
        assert_eq!(list("s", ["a", "B"].into_iter()), r#"s."a", s."B""#);
    }

    #[test]
    fn a_table_has_one_name_or_two() {
        assert_eq!(quote_table("users"), Ok(r#""users""#.into()));
        assert_eq!(quote_table("crm.Users"), Ok(r#""crm"."Users""#.into()));
        for wrong in ["", ".", "a.", ".b", "a.b.c"] {
            assert!(quote_table(wrong).is_err(), "{wrong}");
        }
    }
}
