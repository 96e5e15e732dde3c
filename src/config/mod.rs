//! `config.toml`: as written -> checked -> settings.

pub mod settings;
