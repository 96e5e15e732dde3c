//! Names as they stand in e-mail addresses: small Latin letters.

/// Appends a name's letters, transliterated. Blanks, apostrophes and hyphens are left out.
pub(super) fn ascii(name: &str, into: &mut String) {
    for c in name.chars().flat_map(char::to_lowercase) {
        if c.is_ascii_alphanumeric() {
            into.push(c);
        } else if !c.is_ascii() {
            into.push_str(latin(c));
        }
    }
}

fn latin(c: char) -> &'static str {
    match c {
        'á' | 'à' | 'â' | 'ä' | 'ã' | 'а' | 'ا' | 'آ' | 'ع' => "a",
        'å' => "aa",
        'æ' => "ae",
        'б' | 'ب' => "b",
        'ç' | 'ц' | 'ћ' => "c",
        'č' | 'ч' | 'چ' => "ch",
        'д' | 'د' => "d",
        'ђ' => "dj",
        'џ' => "dz",
        'é' | 'è' | 'ê' | 'ë' | 'э' | 'е' => "e",
        'ф' | 'ف' => "f",
        'г' | 'ґ' | 'گ' => "g",
        'ğ' | 'غ' | 'ق' => "gh",
        'х' | 'ه' | 'ح' => "h",
        'í' | 'î' | 'ï' | 'ı' | 'и' | 'і' => "i",
        'ї' => "yi",
        'ј' | 'й' => "j",
        'ж' => "zh",
        'к' | 'ک' => "k",
        'خ' => "kh",
        'л' | 'ل' => "l",
        'љ' => "lj",
        'м' | 'م' => "m",
        'ñ' | 'н' | 'ن' => "n",
        'њ' => "nj",
        'ó' | 'ô' | 'ö' | 'õ' | 'ø' | 'о' => "o",
        'œ' => "oe",
        'п' | 'پ' => "p",
        'р' | 'ر' => "r",
        'с' | 'س' | 'ص' => "s",
        'ş' | 'š' | 'ш' | 'ش' => "sh",
        'щ' => "shch",
        'ß' => "ss",
        'т' | 'ت' | 'ط' => "t",
        'ú' | 'ù' | 'û' | 'ü' | 'у' => "u",
        'в' | 'و' => "v",
        'ý' | 'ی' => "y",
        'є' => "ye",
        'ю' => "yu",
        'я' => "ya",
        'з' | 'ز' | 'ض' => "z",
        'ژ' => "zh",
        'ج' => "j",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::simulator::nations::NATIONS;

    #[test]
    fn every_name_of_the_tables_leaves_something() {
        for nation in NATIONS.iter() {
            for name in nation.men.iter().chain(&nation.women).chain(&nation.last) {
                let mut written = String::new();
                ascii(name, &mut written);
                let is_fine = written.len() >= 2 && written.bytes().all(|b| b.is_ascii_lowercase());
                assert!(is_fine, "{} {name}: {written}", nation.code);
            }
        }
    }
}
