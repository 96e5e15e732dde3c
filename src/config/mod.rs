//! `config.toml`: as written -> checked -> settings.
//!
//! The file is read into a tree that knows its lines, variables are put in, the tree is compared with the declared keys
//! ([`keys`]), and each table is read into [`settings`]. All problems are collected on the way, none stops the reading:
//! `docs/decisions/0002-config-loading.md` says why no general loader does that.

mod build;
mod context;
mod demo;
mod environment;
mod find;
mod interpolate;
pub mod keys;
mod maps;
mod names;
mod overrides;
mod own_properties;
mod places;
mod problem;
mod secrets;
mod section;
pub mod settings;
mod suggest;
mod syntax;
mod tree;
mod values;
mod walk;

use std::path::Path;

use context::Context;
pub use demo::demo;
pub use environment::{Environment, host_name, process_name};
pub use find::find;
pub use own_properties::OWN_PROPERTIES;
pub use places::Places;
pub use problem::Problem;
pub use secrets::read_secret;
use settings::Settings;
pub(crate) use suggest::nearest;

/// The configuration that the repository ships: the main job, and the manual of every key.
pub const SHIPPED: &str = include_str!("../../config.toml");

/// A configuration that can be run.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What it means.
    pub settings: Settings,
    /// What works, but perhaps not as it was meant; in the file's order.
    pub notes: Vec<Problem>,
    /// Where the schemas and queries stand.
    pub places: Places,
}

/// Reads a configuration file. `Err` has every problem, in the file's order, and never a secret.
pub fn load(path: &Path, environment: &Environment) -> Result<Loaded, Vec<Problem>> {
    let file = path.display().to_string();
    let unreadable = |line, message: String| {
        vec![Problem {
            file: file.clone(),
            line,
            key: String::new(),
            message,
        }]
    };
    let bytes = std::fs::read(path).map_err(|error| {
        unreadable(
            None,
            format!("cannot be read: {error}; name the config file with -c FILE"),
        )
    })?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..good].iter().filter(|byte| **byte == b'\n').count() + 1;
        unreadable(Some(line), "is not UTF-8 text; save it as UTF-8".to_owned())
    })?;
    parse(path, &text, environment)
}

/// Reads a configuration from its text. `path` names it in problems, and relative paths are relative to its directory.
pub fn parse(path: &Path, text: &str, environment: &Environment) -> Result<Loaded, Vec<Problem>> {
    let file = path.display().to_string();
    let dir = path.parent().unwrap_or(Path::new(""));
    let mut context = Context::new(&file, dir, environment);
    let (mut root, errors) = syntax::parse(text);
    for error in errors {
        context.syntax_error(error);
    }
    overrides::apply(&mut root, &context);
    walk::walk(&mut root, "", "", &context);
    let settings = build::settings(&root, &context);
    let places = settings
        .as_ref()
        .map(|settings| Places::of(settings, &root, text, &context));
    let (problems, notes) = context.finish();
    match (settings, places) {
        (Some(settings), Some(places)) if problems.is_empty() => Ok(Loaded {
            settings,
            notes,
            places,
        }),
        _ => Err(problems),
    }
}
