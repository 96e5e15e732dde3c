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
    let found = locate(&path.value, context);
    let cannot = |why: &str| format!("cannot read {}: {why}; make it readable for this user", path.quoted());
    let mut bytes = Vec::new();
    File::open(found)
        .and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|error| cannot(&error.to_string()))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(format!(
            "{} is larger than 64 KiB; name a file that holds only the secret",
            path.quoted()
        ));
    }
    let text =
        String::from_utf8(bytes).map_err(|_| format!("{} is not UTF-8 text; name another file", path.quoted()))?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let secret = line.strip_suffix('\r').unwrap_or(line);
    if secret.is_empty() {
        return Err(format!("{} is empty; write the secret into it", path.quoted()));
    }
    Ok(Secret::new(secret))
}

fn locate(path: &str, context: &Context<'_>) -> PathBuf {
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
