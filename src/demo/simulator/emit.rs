//! A person's fields in the real server's order, for any format.

use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::{
    query::Gender,
    user::{Moment, PostcodeValue, User},
};

/// Takes fields one by one.
pub(super) trait Sink {
    /// Begins a group of fields.
    fn open(&mut self, name: &str);
    /// Ends it.
    fn close(&mut self);
    /// A field with a text.
    fn text(&mut self, name: &str, value: &str);
    /// A field with a whole number.
    fn number(&mut self, name: &str, value: i64);
    /// A field without a value.
    fn null(&mut self, name: &str);
}

const NAMES: [&str; 12] = [
    "gender",
    "name",
    "location",
    "email",
    "login",
    "dob",
    "registered",
    "phone",
    "cell",
    "id",
    "picture",
    "nat",
];
const PORTRAITS: &str = "https://randomuser.me/api/portraits";

/// Which of a record's fields are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fields([bool; NAMES.len()]);

impl Fields {
    pub(super) fn all() -> Self {
        Self([true; NAMES.len()])
    }

    /// `inc`: only these.
    pub(super) fn include<'a>(&mut self, names: impl Iterator<Item = &'a str>) {
        let mut wanted = [false; NAMES.len()];
        mark(&mut wanted, names, true);
        for (field, wanted) in self.0.iter_mut().zip(wanted) {
            *field &= wanted;
        }
    }

    /// `exc`: not these.
    pub(super) fn exclude<'a>(&mut self, names: impl Iterator<Item = &'a str>) {
        mark(&mut self.0, names, false);
    }

    fn has(&self, name: &str) -> bool {
        NAMES.iter().zip(self.0).any(|(known, wanted)| wanted && *known == name)
    }
}

fn mark<'a>(fields: &mut [bool; NAMES.len()], names: impl Iterator<Item = &'a str>, value: bool) {
    for name in names {
        if let Some(at) = NAMES.iter().position(|known| known.eq_ignore_ascii_case(name.trim())) {
            fields[at] = value;
        }
    }
}

/// Writes a person's wanted fields.
pub(super) fn emit(user: &User, fields: &Fields, sink: &mut impl Sink) {
    let is_female = user.gender == Gender::Female;
    if fields.has("gender") {
        sink.text("gender", if is_female { "female" } else { "male" });
    }
    if fields.has("name") {
        sink.open("name");
        sink.text("title", user.title);
        sink.text("first", user.first);
        sink.text("last", user.last);
        sink.close();
    }
    if fields.has("location") {
        location(user, sink);
    }
    if fields.has("email") {
        sink.text("email", &user.email);
    }
    if fields.has("login") {
        login(user, sink);
    }
    if fields.has("dob") {
        moment("dob", &user.dob, sink);
    }
    if fields.has("registered") {
        moment("registered", &user.registered, sink);
    }
    if fields.has("phone") {
        sink.text("phone", &user.phone);
    }
    if fields.has("cell") {
        sink.text("cell", &user.cell);
    }
    if fields.has("id") {
        sink.open("id");
        match &user.id {
            Some((name, value)) => {
                sink.text("name", name);
                sink.text("value", value);
            }
            None => {
                sink.text("name", "");
                sink.null("value");
            }
        }
        sink.close();
    }
    if fields.has("picture") {
        let place = format!("{}/{}.jpg", if is_female { "women" } else { "men" }, user.portrait);
        sink.open("picture");
        sink.text("large", &format!("{PORTRAITS}/{place}"));
        sink.text("medium", &format!("{PORTRAITS}/med/{place}"));
        sink.text("thumbnail", &format!("{PORTRAITS}/thumb/{place}"));
        sink.close();
    }
    if fields.has("nat") {
        sink.text("nat", user.nation.code);
    }
}

fn location(user: &User, sink: &mut impl Sink) {
    sink.open("location");
    sink.open("street");
    sink.number("number", user.street_number);
    sink.text("name", user.street);
    sink.close();
    sink.text("city", user.city);
    sink.text("state", user.state);
    sink.text("country", user.nation.country);
    match &user.postcode {
        PostcodeValue::Text(postcode) => sink.text("postcode", postcode),
        PostcodeValue::Number(postcode) => sink.number("postcode", *postcode),
    }
    sink.open("coordinates");
    sink.text("latitude", &user.latitude);
    sink.text("longitude", &user.longitude);
    sink.close();
    sink.open("timezone");
    sink.text("offset", user.timezone.0);
    sink.text("description", user.timezone.1);
    sink.close();
    sink.close();
}

fn login(user: &User, sink: &mut impl Sink) {
    let salted = format!("{}{}", user.password, user.salt);
    sink.open("login");
    sink.text(
        "uuid",
        user.uuid.hyphenated().encode_lower(&mut uuid::Uuid::encode_buffer()),
    );
    sink.text("username", &user.username);
    sink.text("password", user.password);
    sink.text("salt", &user.salt);
    sink.text("md5", &hex(&Md5::digest(&salted)));
    sink.text("sha1", &hex(&Sha1::digest(&salted)));
    sink.text("sha256", &hex(&Sha256::digest(&salted)));
    sink.close();
}

fn moment(name: &str, moment: &Moment, sink: &mut impl Sink) {
    sink.open(name);
    sink.text("date", &moment.date);
    sink.number("age", moment.age);
    sink.close();
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}
