//! The program `parlor`: does what its command line says.

use mimalloc::MiMalloc;
use parlor::cli;
use std::env;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    cli::run(env::args_os(), env::vars_os()).into()
}
