//! Runs the simulator.

mod cli;

use cli::{Flags, PREY, canary, complain, exhaustive, fuzzed, hunt, print, random, replay, shorten, targets};
use std::process::ExitCode;

const USAGE: &str = "\
parlor-sim                                     one run of a new seed
parlor-sim --seed N [--steps M]                one run
parlor-sim --seeds N [--seed FIRST] [--steps M]  a batch of runs, and the goals that it reached
           --driver                            the same with the server's own driver over invented sockets
           --judge checkers|NAME               the same judged by the checkers of properties alone, or by one of them
parlor-sim exhaustive [--scope rooms] [--protocol json|plain] [--conns N] [--rooms N] [--queue N] [--messages N]
           --scope ends|users|pings            [--protocol json|plain] [--conns N] [--queue N]
           --scope home                      [--protocol json|plain] [--conns N] [--history N] [--messages N]
           --scope presence                    [--conns N] [--queue N]
                                               every possibility; --states N: give up after so many, --raw: clients that
                                               could change places tell states apart (they always do in presence)
parlor-sim replay FILE [--subject parlor|driver|v0|v1|canary|seeded:NAME]
                                               a trace, step by step; - is standard input
parlor-sim shrink FILE [--subject parlor|v0|v1|canary|seeded:NAME]
                                               a trace that breaks something, made as short as it gets
parlor-sim fuzz TARGET FILE                    what one input of a fuzz target stands for, and what comes of it
parlor-sim hunt v0|v1|parlor                   what is wrong with the historic connection manager, before and after its
                                               fix, by the shortest way to each defect; Parlor has none of them
parlor-sim hunt seeded                         every defect that was put in on purpose
parlor-sim hunt seeded:NAME                    one of them, by a trace that is made short
           --keep FOLDER                       the short trace of one stored there, or of each that has none there
parlor-sim canary [--seeds N] [--seed FIRST] [--steps M]
                                               a batch of runs of a subject that is wrong in one of a thousand

Exit codes: 0 clean, 1 safety is broken, 2 liveness, 3 a batch of 10,000 seeds or more missed a goal, 4 nondeterminism,
5 a scope did not end, 64 bad usage, 74 nobody takes what is printed. Of a hunt: 0 every defect was found, 1 one was not,
which for parlor is as it should be. Of the canary: 0 it was found, 1 it was not.";

const BAD_USAGE: u8 = 64;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    obey(&words).unwrap_or_else(|wrong| {
        complain(format_args!("{wrong}\n\n{USAGE}"));
        ExitCode::from(BAD_USAGE)
    })
}

fn obey(words: &[&str]) -> Result<ExitCode, String> {
    match words {
        ["-h" | "--help"] => {
            print(format_args!("{USAGE}\n"));
            Ok(ExitCode::SUCCESS)
        }
        ["replay", file, rest @ ..] if !file.starts_with("--") => {
            replay(file, &Flags::of("replay", rest, &["subject"])?)
        }
        ["shrink", file, rest @ ..] if !file.starts_with("--") => {
            shorten(file, &Flags::of("shrink", rest, &["subject"])?)
        }
        [command @ ("replay" | "shrink"), ..] => {
            Err(format!("{command} wants the file of a trace first, or - for standard input"))
        }
        ["fuzz", target, file, rest @ ..] => Flags::of("fuzz", rest, &[]).and_then(|_| fuzzed(target, file)),
        ["fuzz", ..] => Err(format!("fuzz wants a target and a file. Targets are {}", targets())),
        ["hunt", subject @ ("v0" | "v1" | "parlor"), rest @ ..] => {
            hunt(subject, &Flags::of(&format!("hunt {subject}"), rest, &[])?)
        }
        ["hunt", subject, rest @ ..] => hunt(subject, &Flags::of("hunt", rest, &["judge", "keep"])?),
        ["hunt"] => Err(format!("hunt wants to know in what: {PREY}")),
        ["canary", rest @ ..] => canary(&Flags::of("canary", rest, &["seeds", "seed", "steps"])?),
        ["exhaustive", rest @ ..] => exhaustive(rest),
        [command, ..] if !command.starts_with("--") => Err(format!("{command:?} is no command")),
        rest => random(&Flags::of("a random run", rest, &["seed", "seeds", "steps", "driver", "judge"])?),
    }
}
