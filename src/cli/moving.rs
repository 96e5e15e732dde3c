//! `aqueduct move`: the sources' cursors go to another log.

use slog::Logger;

use crate::{
    config::settings::Settings,
    daemon::{self, ChangeError, Moved},
    service::Exit,
    supervision::chain,
};

/// Does it, and says what came of it.
pub async fn move_cursors(from: &Settings, to: &Settings, log: &Logger) -> Exit {
    match daemon::move_cursors(from, to, log).await {
        Ok(moved) => {
            moved.iter().for_each(|moved| println!("{}", said(moved)));
            Exit::Done
        }
        Err(error) => {
            eprintln!("nothing was moved: {}", chain(error.as_ref()));
            match error.downcast_ref() {
                Some(ChangeError::Refused(_)) => Exit::BadConfig,
                _ => Exit::Unavailable,
            }
        }
    }
}

fn said(moved: &Moved) -> String {
    let Moved {
        pipeline,
        from,
        to,
        num_carried,
        num_present,
    } = moved;
    let present = match num_present {
        0 => String::new(),
        num => format!(", {num} were there already"),
    };
    format!(
        "pipeline {pipeline}: topic {from} is loaded to its end; {num_carried} cursors carried over{present}; it goes on with \
         topic {to}"
    )
}
