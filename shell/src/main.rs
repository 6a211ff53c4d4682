//! The program `parlor`: does what its command line says.

use mimalloc::MiMalloc;
use parlor::cli;
use parlor::observe::log;
use std::env;
use std::io;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let result = cli::serve(env::args_os(), env::vars_os());
    log::finish();
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(wrong) => {
            log::print(io::stderr(), format!("parlor: {wrong}\n"));
            ExitCode::FAILURE
        }
    }
}
