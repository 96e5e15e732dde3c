//! Secrets from files: `url_file = "postgres-url"`.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use super::{context::Context, settings::Secret, tree::Text};

/// A secret is a line or a key, not a disk image.
const MAX_BYTES: u64 = 64 * 1024;

/// Reads a secret. A relative path is looked up in systemd's credentials, then beside the config file.
pub(super) fn read(path: &Text, context: &Context<'_>) -> Result<Secret, String> {
    read_as(&locate(&path.value, context), &path.quoted())
}

/// Reads a secret once more, from where it was found.
pub fn read_secret(path: &Path) -> Result<Secret, String> {
    read_as(path, &format!("{}", path.display()))
}

fn read_as(path: &Path, shown: &str) -> Result<Secret, String> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|error| format!("cannot read {shown}: {error}; make it readable for this user"))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(format!(
            "{shown} is larger than 64 KiB; name a file that holds only the secret"
        ));
    }
    let text = String::from_utf8(bytes).map_err(|_| format!("{shown} is not UTF-8 text; name another file"))?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let secret = line.strip_suffix('\r').unwrap_or(line);
    if secret.is_empty() {
        return Err(format!("{shown} is empty; write the secret into it"));
    }
    Ok(Secret::new(secret))
}

/// Where a secret is.
pub(super) fn locate(path: &str, context: &Context<'_>) -> PathBuf {
    let path = Path::new(path);
    // `join` of an absolute path is that path.
    let beside = context.dir.join(path);
    match context.environment.get("CREDENTIALS_DIRECTORY") {
        Some(directory) if path.is_relative() && !directory.is_empty() => {
            let credential = Path::new(directory).join(path);
            if credential.exists() { credential } else { beside }
        }
        _ => beside,
    }
}
