//! `[pipeline.source.auth]`

use super::{Fallback::*, Key, Kind};

const TABLE: &str = "pipeline[].source.auth";

pub(super) const KEYS: &[Key] = &[
    Key {
        table: TABLE,
        name: "kind",
        kind: Kind::Choice {
            built: &["none", "bearer", "basic", "api_key", "oauth2"],
            planned: &[],
        },
        default: Is("\"none\""),
        sentence: "How requests are authorised: \"none\", \"bearer\" (a token), \"basic\" (user and password), \"api_key\" (a key in a \
                   header or in the query) or \"oauth2\" (tokens by client credentials).",
    },
    Key {
        table: TABLE,
        name: "token",
        kind: Kind::Text,
        default: Unset,
        sentence: "With \"bearer\": the token.",
    },
    Key {
        table: TABLE,
        name: "token_file",
        kind: Kind::SecretFile,
        default: Unset,
        sentence: "A file with the token instead; it is read again when the API answers 401.",
    },
    Key {
        table: TABLE,
        name: "user",
        kind: Kind::Text,
        default: Unset,
        sentence: "With \"basic\": the user.",
    },
    Key {
        table: TABLE,
        name: "password",
        kind: Kind::Text,
        default: Unset,
        sentence: "With \"basic\": the password.",
    },
    Key {
        table: TABLE,
        name: "password_file",
        kind: Kind::SecretFile,
        default: Unset,
        sentence: "A file with the password instead; it is read again when the API answers 401.",
    },
    Key {
        table: TABLE,
        name: "key",
        kind: Kind::Text,
        default: Unset,
        sentence: "With \"api_key\": the key.",
    },
    Key {
        table: TABLE,
        name: "key_file",
        kind: Kind::SecretFile,
        default: Unset,
        sentence: "A file with the key instead; it is read again when the API answers 401.",
    },
    Key {
        table: TABLE,
        name: "name",
        kind: Kind::Text,
        default: Is("\"X-Api-Key\""),
        sentence: "With \"api_key\": the name of the header, or of the query parameter.",
    },
    Key {
        table: TABLE,
        name: "place",
        kind: Kind::Choice {
            built: &["header", "query"],
            planned: &[],
        },
        default: Is("\"header\""),
        sentence: "With \"api_key\": whether the key goes into a \"header\" or into the \"query\".",
    },
    Key {
        table: TABLE,
        name: "token_url",
        kind: Kind::HttpUrl,
        default: Unset,
        sentence: "With \"oauth2\": the address that gives out tokens.",
    },
    Key {
        table: TABLE,
        name: "client_id",
        kind: Kind::Text,
        default: Unset,
        sentence: "With \"oauth2\": the name of this client.",
    },
    Key {
        table: TABLE,
        name: "client_secret",
        kind: Kind::Text,
        default: Unset,
        sentence: "With \"oauth2\": the secret of this client.",
    },
    Key {
        table: TABLE,
        name: "client_secret_file",
        kind: Kind::SecretFile,
        default: Unset,
        sentence: "A file with the secret of this client instead.",
    },
    Key {
        table: TABLE,
        name: "scope",
        kind: Kind::Text,
        default: Unset,
        sentence: "With \"oauth2\": what the token shall be good for, as the API names it.",
    },
];
