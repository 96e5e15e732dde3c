//! Arguments -> settings -> logger -> run -> exit code.

use std::process::ExitCode;

use aqueduct::cli::{self, args};

fn main() -> ExitCode {
    match args::parse(std::env::args_os()) {
        Ok(args) => cli::execute(args).into(),
        Err(usage) => {
            // Where the message cannot be printed, the code still says it.
            let _ = usage.print();
            ExitCode::from(args::exit_code(&usage))
        }
    }
}
