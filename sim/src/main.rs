//! Runs the simulator.

mod cli;

use cli::{Flags, canary, exhaustive, fuzzed, hunt, random, replay, shorten};
use std::process::ExitCode;

const USAGE: &str = "\
parlor-sim                                     one run of a new seed
parlor-sim --seed N [--steps M]                one run
parlor-sim --seeds N [--seed FIRST] [--steps M]  a batch of runs, and the goals that it reached
           --driver                            the same with the server's own driver over invented sockets
parlor-sim exhaustive [--scope rooms|ends|users|pings|broker|presence] [--profile json|plain]
           [--conns N] [--rooms N] [--queue N] [--messages N] [--raw]
parlor-sim replay FILE [--subject parlor|driver|v0|v1|canary|seeded:NAME]
                                               a trace, step by step
parlor-sim shrink FILE [--subject parlor|v0|v1|canary|seeded:NAME]
                                               a trace that breaks something, made as short as it gets
parlor-sim fuzz TARGET FILE                    one input of a fuzz target
parlor-sim hunt v0|v1|parlor                   what is wrong with the historic connection manager, before and after its
                                               fix, by the shortest way to each defect; Parlor has none of them
parlor-sim hunt seeded                         every defect that was put in on purpose
parlor-sim hunt seeded:NAME                    one of them, by a trace that is made short
parlor-sim canary [--seeds N] [--seed FIRST]   a batch of runs of a subject that is wrong in one of a thousand

Exit codes: 0 clean, 1 a guarantee was broken, 2 liveness, 3 a batch of 10,000 seeds or more missed a goal,
4 nondeterminism, 64 bad usage. Of a hunt: 0 every defect was found, 1 one was not, which for parlor is as it should be.
Of the canary: 0 it was found, 1 it was not.";

const BAD_USAGE: u8 = 64;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["-h" | "--help"] => {
            println!("{USAGE}");
            Ok(ExitCode::SUCCESS)
        }
        ["replay", file, rest @ ..] => Flags::parse(rest).and_then(|flags| replay(file, &flags)),
        ["shrink", file, rest @ ..] => Flags::parse(rest).and_then(|flags| shorten(file, &flags)),
        ["fuzz", target, file] => fuzzed(target, file),
        ["hunt", subject] => hunt(subject),
        ["canary", rest @ ..] => Flags::parse(rest).and_then(|flags| canary(&flags)),
        ["exhaustive", rest @ ..] => Flags::parse(rest).and_then(|flags| exhaustive(&flags)),
        rest => Flags::parse(rest).and_then(|flags| random(&flags)),
    };
    result.unwrap_or_else(|wrong| {
        eprintln!("{wrong}\n\n{USAGE}");
        ExitCode::from(BAD_USAGE)
    })
}
