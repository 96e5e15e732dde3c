//! One person, by chance.

use std::fmt::Write as _;

use chrono::{DateTime, Datelike, NaiveDate, Timelike, Utc};
use uuid::Uuid;

use super::{
    ascii::ascii,
    nations::{NATIONS, Nation, Postcode},
    query::Gender,
    rng::Rng,
};

const COLORS: [&str; 16] = [
    "amber", "azure", "black", "blue", "bronze", "coral", "crimson", "golden", "green", "ivory", "orange", "purple",
    "red", "silver", "white", "yellow",
];
const ANIMALS: [&str; 24] = [
    "badger",
    "bear",
    "bird",
    "butterfly",
    "cat",
    "dog",
    "duck",
    "elephant",
    "falcon",
    "fish",
    "frog",
    "goose",
    "gorilla",
    "koala",
    "ladybug",
    "leopard",
    "lion",
    "mouse",
    "otter",
    "panda",
    "rabbit",
    "snake",
    "swan",
    "wolf",
];
const PASSWORDS: [&str; 24] = [
    "anchor",
    "baseball1",
    "bluebird",
    "cheese",
    "cocacola",
    "daylight",
    "dragonfly",
    "eagle7",
    "firebird",
    "goldfish",
    "hello12",
    "iceman9",
    "jasmine",
    "kingfish",
    "lemons",
    "mustang3",
    "nirvana",
    "oranges",
    "pepper",
    "quiet1",
    "rainbow",
    "sunshine",
    "tigger2",
    "whiskers",
];
const SALT: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const TIMEZONES: [(&str, &str); 20] = [
    ("-11:00", "Midway Island, Samoa"),
    ("-10:00", "Hawaii"),
    ("-8:00", "Pacific Time (US & Canada)"),
    ("-7:00", "Mountain Time (US & Canada)"),
    ("-6:00", "Central Time (US & Canada), Mexico City"),
    ("-5:00", "Eastern Time (US & Canada), Bogota, Lima"),
    ("-4:00", "Atlantic Time (Canada), Caracas, La Paz"),
    ("-3:30", "Newfoundland"),
    ("-3:00", "Brazil, Buenos Aires, Georgetown"),
    ("-1:00", "Azores, Cape Verde Islands"),
    ("0:00", "Western Europe Time, London, Lisbon, Casablanca"),
    ("+1:00", "Brussels, Copenhagen, Madrid, Paris"),
    ("+2:00", "Kaliningrad, South Africa"),
    ("+3:30", "Tehran"),
    ("+4:30", "Kabul"),
    ("+5:30", "Bombay, Calcutta, Madras, New Delhi"),
    ("+5:45", "Kathmandu"),
    ("+9:00", "Tokyo, Seoul, Osaka, Sapporo, Yakutsk"),
    ("+9:30", "Adelaide, Darwin"),
    ("+12:00", "Auckland, Wellington, Fiji, Kamchatka"),
];

/// A moment, and how many years ago it was.
pub(super) struct Moment {
    /// Like `1994-12-31T20:12:33.123Z`.
    pub date: String,
    pub age: i64,
}

/// One person. The password's hashes are left to whoever writes them: they cost more than all the rest.
pub(super) struct User {
    pub nation: &'static Nation,
    pub gender: Gender,
    pub title: &'static str,
    pub first: &'static str,
    pub last: &'static str,
    pub street_number: i64,
    pub street: &'static str,
    pub city: &'static str,
    pub state: &'static str,
    pub postcode: PostcodeValue,
    pub latitude: String,
    pub longitude: String,
    pub timezone: (&'static str, &'static str),
    pub email: String,
    pub uuid: Uuid,
    pub username: String,
    pub password: &'static str,
    pub salt: String,
    pub dob: Moment,
    pub registered: Moment,
    pub phone: String,
    pub cell: String,
    pub id: Option<(&'static str, String)>,
    pub portrait: u64,
}

/// A postcode is a text in some countries, a number in others.
pub(super) enum PostcodeValue {
    Text(String),
    Number(i64),
}

impl User {
    /// Draws the next person from the stream. No nations = all of them.
    pub(super) fn draw(rng: &mut Rng, nations: &[&'static Nation], gender: Option<Gender>, today: NaiveDate) -> Self {
        let nation = match nations {
            [] => &NATIONS[rng.below(NATIONS.len() as u64) as usize],
            wanted => rng.pick(wanted),
        };
        let drawn = if rng.below(2) == 0 {
            Gender::Female
        } else {
            Gender::Male
        };
        let gender = gender.unwrap_or(drawn);
        let (titles, firsts) = match gender {
            Gender::Female => (&nation.titles[1..], &nation.women),
            Gender::Male => (&nation.titles[..1], &nation.men),
        };
        let (first, last) = (rng.pick(firsts), rng.pick(&nation.last));
        Self {
            nation,
            gender,
            title: rng.pick(titles),
            first,
            last,
            street_number: rng.between(1, 9_999),
            street: rng.pick(&nation.streets),
            city: rng.pick(&nation.cities),
            state: rng.pick(&nation.states),
            postcode: match &nation.postcode {
                Postcode::Text(pattern) => PostcodeValue::Text(rng.fill(pattern)),
                Postcode::Number(first, last) => PostcodeValue::Number(rng.between(*first, *last)),
            },
            latitude: degrees(rng.between(-899_999, 899_999)),
            longitude: degrees(rng.between(-1_799_999, 1_799_999)),
            timezone: rng.pick(&TIMEZONES),
            email: email(first, last),
            uuid: uuid::Builder::from_random_bytes(
                ((u128::from(rng.next()) << 64) | u128::from(rng.next())).to_be_bytes(),
            )
            .into_uuid(),
            username: format!("{}{}{}", rng.pick(&COLORS), rng.pick(&ANIMALS), rng.between(100, 999)),
            password: rng.pick(&PASSWORDS),
            salt: (0..8).map(|_| char::from(rng.pick(SALT))).collect(),
            dob: moment(rng.between(-820_000_000_000, 1_009_000_000_000), today),
            registered: moment(rng.between(1_010_000_000_000, 1_670_000_000_000), today),
            phone: rng.fill(nation.phone),
            cell: rng.fill(nation.cell),
            id: nation.id.map(|(name, pattern)| (name, rng.fill(pattern))),
            portrait: rng.below(100),
        }
    }
}

fn degrees(ten_thousandths: i64) -> String {
    let sign = if ten_thousandths < 0 { "-" } else { "" };
    let absolute = ten_thousandths.unsigned_abs();
    format!("{sign}{}.{:04}", absolute / 10_000, absolute % 10_000)
}

fn email(first: &str, last: &str) -> String {
    let mut email = String::with_capacity(40);
    ascii(first, &mut email);
    email.push('.');
    ascii(last, &mut email);
    email.push_str("@example.com");
    email
}

fn moment(unix_ms: i64, today: NaiveDate) -> Moment {
    let at: DateTime<Utc> = DateTime::from_timestamp_millis(unix_ms).unwrap_or_default();
    let mut date = String::with_capacity(24);
    // Writing to a String does not fail.
    let _ = write!(
        date,
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        at.year(),
        at.month(),
        at.day(),
        at.hour(),
        at.minute(),
        at.second(),
        at.timestamp_subsec_millis()
    );
    let before_birthday = (today.month(), today.day()) < (at.month(), at.day());
    Moment {
        date,
        age: i64::from(today.year() - at.year()) - i64::from(before_birthday),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_grows_on_the_birthday() {
        let age = |y, m, d| moment(788_904_753_123, NaiveDate::from_ymd_opt(y, m, d).expect("a date")).age;
        assert_eq!(
            moment(788_904_753_123, NaiveDate::default()).date,
            "1994-12-31T20:12:33.123Z"
        );
        assert_eq!((age(2024, 12, 30), age(2024, 12, 31), age(2025, 1, 1)), (29, 30, 30));
    }

    #[test]
    fn degrees_have_four_places() {
        assert_eq!(
            [degrees(-5), degrees(0), degrees(899_999), degrees(-1_234_567)],
            ["-0.0005", "0.0000", "89.9999", "-123.4567"]
        );
    }
}
