//! Which file is the configuration.

use std::path::{Path, PathBuf};

use super::Problem;

/// Where a configuration is looked for when none is named.
const CANDIDATES: [&str; 2] = ["config.toml", "/etc/aqueduct/config.toml"];

/// The file that was named, else `./config.toml`, else `/etc/aqueduct/config.toml`.
pub fn find(named: Option<&Path>) -> Result<PathBuf, Problem> {
    if let Some(path) = named {
        return Ok(path.to_owned());
    }
    CANDIDATES.iter().map(PathBuf::from).find(|path| path.is_file()).ok_or_else(|| Problem {
        file: CANDIDATES[0].to_owned(),
        line: None,
        key: String::new(),
        message: "there is no ./config.toml and no /etc/aqueduct/config.toml; name one with -c FILE, or try `aqueduct demo`, \
                  which needs none"
            .to_owned(),
    })
}
