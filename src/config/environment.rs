//! What surrounds the configuration: the process's variables, and whether it runs as root.

use std::{collections::BTreeMap, path::PathBuf};

use nix::unistd::geteuid;

/// The variables that `${VAR}`, `AQUEDUCT__…` and the defaults look at. It has no `Debug`: values may be secrets.
#[derive(Clone, Default)]
pub struct Environment {
    /// `None` = set, but not to UTF-8 text.
    variables: BTreeMap<String, Option<String>>,
    is_root: bool,
}

/// This machine's name.
pub fn host_name() -> String {
    let name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    name.unwrap_or_else(|| "unknown-host".into())
}

/// How this process is called wherever several daemons are told apart: `host:pid`.
pub fn process_name() -> String {
    format!("{}:{}", host_name(), std::process::id())
}

impl Environment {
    /// Takes over the environment of this process.
    pub fn of_process() -> Self {
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok())))
            .collect();
        Self {
            variables,
            is_root: geteuid().is_root(),
        }
    }

    /// Makes an environment of just these variables, for an ordinary user.
    pub fn of<N: Into<String>, V: Into<String>>(variables: impl IntoIterator<Item = (N, V)>) -> Self {
        let variables = variables
            .into_iter()
            .map(|(name, value)| (name.into(), Some(value.into())))
            .collect();
        Self {
            variables,
            is_root: false,
        }
    }

    /// The same environment, for root.
    pub fn as_root(self) -> Self {
        Self { is_root: true, ..self }
    }

    /// The text of a variable; `None` where it is not set or not UTF-8.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name)?.as_deref()
    }

    /// The variables whose names begin with `prefix`, in the order of their names; the value is `None` where it is not UTF-8.
    pub(super) fn starting_with(&self, prefix: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
        let prefix = prefix.to_owned();
        self.variables
            .range(prefix.clone()..)
            .take_while(move |(name, _)| name.starts_with(&prefix))
            .map(|(name, value)| (name.as_str(), value.as_deref()))
    }

    /// Where the state goes unless the file says so: systemd's place, root's, or the user's; `None` for a user without home.
    pub(super) fn state_dir(&self) -> Option<PathBuf> {
        let absolute = |name: &str| self.get(name).map(PathBuf::from).filter(|path| path.is_absolute());
        // systemd separates several directories by colons; ours declares one, and the first is the main one.
        let from_systemd = self
            .get("STATE_DIRECTORY")
            .and_then(|list| list.split(':').next())
            .map(PathBuf::from);
        if let Some(path) = from_systemd.filter(|path| path.is_absolute()) {
            return Some(path);
        }
        // Not below root's home: the embedded PostgreSQL runs as another user, who may not enter it.
        if self.is_root {
            return Some(PathBuf::from("/var/lib/aqueduct"));
        }
        absolute("XDG_STATE_HOME")
            .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))
            .map(|state| state.join("aqueduct"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state_dir(environment: &Environment) -> Option<String> {
        environment.state_dir().map(|path| path.display().to_string())
    }

    #[test]
    fn the_state_goes_where_this_user_may_write() {
        let home = [("HOME", "/home/ada")];
        let xdg = [("HOME", "/home/ada"), ("XDG_STATE_HOME", "/data/ada")];
        let systemd = [
            ("HOME", "/home/ada"),
            ("STATE_DIRECTORY", "/var/lib/private/aqueduct:/var/lib/other"),
        ];
        assert_eq!(
            state_dir(&Environment::of(home)).as_deref(),
            Some("/home/ada/.local/state/aqueduct")
        );
        assert_eq!(state_dir(&Environment::of(xdg)).as_deref(), Some("/data/ada/aqueduct"));
        assert_eq!(
            state_dir(&Environment::of(systemd)).as_deref(),
            Some("/var/lib/private/aqueduct")
        );
        assert_eq!(
            state_dir(&Environment::of(home).as_root()).as_deref(),
            Some("/var/lib/aqueduct")
        );
        assert_eq!(
            state_dir(&Environment::of(systemd).as_root()).as_deref(),
            Some("/var/lib/private/aqueduct")
        );
        assert_eq!(state_dir(&Environment::default()), None);
    }

    #[test]
    fn only_variables_with_the_prefix_are_listed() {
        let environment = Environment::of([
            ("AQUEDUCT__A", "1"),
            ("AQUEDUCT_B", "2"),
            ("AQUEDUCT__C", "3"),
            ("B", "4"),
        ]);
        let names: Vec<_> = environment.starting_with("AQUEDUCT__").map(|(name, _)| name).collect();
        assert_eq!(names, ["AQUEDUCT__A", "AQUEDUCT__C"]);
    }
}
