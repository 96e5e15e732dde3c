//! The 21 nations of the real API, each with a handful of names, streets and places in its own script.
//!
//! Lists are written in one line each, split at `|`; blanks at an entry's end and apostrophes are meant: the real data has
//! them, and they have broken programs.

mod anglophone;
mod eastern;
mod nordic;
mod romance;
mod western;

use std::sync::LazyLock;

/// How a country's postcodes look.
pub(super) enum Postcode {
    /// A pattern: `#` is a digit, `@` a letter.
    Text(&'static str),
    /// A number within these bounds.
    Number(i64, i64),
}

/// One nation's tables.
pub(super) struct Nation {
    /// Two capital letters.
    pub code: &'static str,
    pub country: &'static str,
    /// The men's title, then the women's.
    pub titles: Vec<&'static str>,
    pub men: Vec<&'static str>,
    pub women: Vec<&'static str>,
    pub last: Vec<&'static str>,
    pub streets: Vec<&'static str>,
    pub cities: Vec<&'static str>,
    pub states: Vec<&'static str>,
    pub postcode: Postcode,
    /// Pattern of phone numbers.
    pub phone: &'static str,
    /// Pattern of mobile numbers.
    pub cell: &'static str,
    /// Name and pattern of the number that a state gives its people.
    pub id: Option<(&'static str, &'static str)>,
}

/// All nations, by code.
pub(super) static NATIONS: LazyLock<Vec<Nation>> = LazyLock::new(|| {
    let mut nations: Vec<Nation> = [
        anglophone::nations(),
        eastern::nations(),
        nordic::nations(),
        romance::nations(),
        western::nations(),
    ]
    .into_iter()
    .flatten()
    .collect();
    nations.sort_by_key(|nation| nation.code);
    nations
});

const TITLES: &str = "Mr|Ms|Mrs|Miss";
const FRENCH_TITLES: &str = "Monsieur|Madame|Mademoiselle";

fn list(text: &'static str) -> Vec<&'static str> {
    text.split('|').collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_21_nations_of_which_four_have_no_ids_and_three_have_postcodes_of_letters() {
        let codes: Vec<&str> = NATIONS.iter().map(|nation| nation.code).collect();
        assert_eq!(
            codes.join(" "),
            "AU BR CA CH DE DK ES FI FR GB IE IN IR MX NL NO NZ RS TR UA US"
        );
        let filtered = |keep: fn(&&Nation) -> bool| NATIONS.iter().filter(keep).map(|n| n.code).collect::<Vec<_>>();
        assert_eq!(filtered(|nation| nation.id.is_none()), ["IR", "NZ", "TR", "UA"]);
        assert_eq!(
            filtered(|nation| matches!(nation.postcode, Postcode::Text(_))),
            ["CA", "GB", "NO"]
        );
    }

    #[test]
    fn the_tables_have_no_empty_entries_and_hold_what_breaks_programs() {
        let all: Vec<&str> = NATIONS
            .iter()
            .flat_map(|n| [&n.titles, &n.men, &n.women, &n.last, &n.streets, &n.cities, &n.states])
            .flatten()
            .copied()
            .collect();
        assert!(all.iter().all(|entry| !entry.trim().is_empty()));
        assert!(all.iter().any(|entry| entry.ends_with(' ')) && all.iter().any(|entry| entry.contains('\'')));
    }
}
