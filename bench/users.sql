-- The 20-column table, with the types that a person would choose. A primary key in all modes, so that all pay for the index.
CREATE TABLE users (
    uuid uuid PRIMARY KEY,
    username text,
    gender text,
    title text,
    first_name text,
    last_name text,
    email text,
    phone text,
    cell text,
    nationality text,
    born_at timestamptz,
    registered_at timestamptz,
    street text,
    city text,
    state text,
    country text,
    postcode text,
    latitude numeric(9, 6),
    longitude numeric(9, 6),
    utc_offset text
);
