//! One input of a fuzz target.

use parlor_sim::fuzz::{FuzzTarget, TARGETS};
use parlor_sim::guarantees::Guarantee;
use std::any::Any;
use std::panic::{catch_unwind, set_hook};
use std::process::ExitCode;

/// Tells what an input stands for, and then what comes of it.
pub fn fuzzed(target: &str, file: &str) -> Result<ExitCode, String> {
    let known = TARGETS.iter().find(|known| known.name == target);
    let known = known.ok_or_else(|| format!("{target:?} is no fuzz target: there are {}", targets()))?;
    let bytes = std::fs::read(file).map_err(|error| format!("{file}: {error}"))?;
    Ok(report_input(known, &bytes))
}

/// The names of all targets.
pub fn targets() -> String {
    TARGETS.iter().map(|target| target.name).collect::<Vec<_>>().join(", ")
}

fn report_input(target: &FuzzTarget, bytes: &[u8]) -> ExitCode {
    // What a panic says is told below, as what it is.
    set_hook(Box::new(|_| {}));
    let outcome = catch_unwind(|| {
        (target.tell)(bytes, &mut |line| say!("{line}"));
        (target.run)(bytes);
    });
    match outcome {
        Ok(()) => {
            say!("clean");
            ExitCode::SUCCESS
        }
        Err(panic) => {
            let words = words_of(&*panic);
            say!("\n{words}");
            ExitCode::from(Guarantee::named_in(&words).unwrap_or(Guarantee::G10).exit_code())
        }
    }
}

fn words_of(panic: &(dyn Any + Send)) -> String {
    let literal = panic.downcast_ref::<&str>().map(ToString::to_string);
    literal.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code_of(run: fn(&[u8])) -> ExitCode {
        report_input(&FuzzTarget { name: "invented", run, tell: |bytes, tell| tell(format_args!("{bytes:?}")) }, &[1])
    }

    #[test]
    fn a_panic_exits_with_the_code_of_its_guarantee() {
        assert_eq!(code_of(|_| {}), ExitCode::SUCCESS);
        assert_eq!(code_of(|_| panic!("G9: a clone does the same")), ExitCode::from(4));
        assert_eq!(code_of(|bytes| assert!(bytes.is_empty(), "L2: {bytes:?} stay")), ExitCode::from(2));
        assert_eq!(code_of(|_| panic!("out of bounds")), ExitCode::from(1));
    }
}
