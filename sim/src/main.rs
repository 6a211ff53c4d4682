//! Runs the simulator.

mod cli;

use cli::{Flags, PREY, canary, complain, exhaustive, fuzzed, hunt, print, random, replay, shorten, targets};
use std::process::ExitCode;

const USAGE: &str = "\
parlor-sim                                     one random run of a new seed
parlor-sim --seed N [--steps M]                the random run of seed N, with M steps
parlor-sim --seeds N [--seed FIRST] [--steps M]  a batch of runs, and the goals that it reached
           --driver                            the same with the server's own driver over simulated sockets
           --judge checkers|NAME               the same, checked only by the property checkers, or only by one of them
           --unforeseen                        the same without the reference model, which is not even asked what makes sense
           --shards N                          the same on a node of N shards; without it each seed draws how many
           --links prompt|slow|drawn           with messages between shards that come at once, or when an action delivers them,
                                               or as each seed draws, which it does without it
parlor-sim exhaustive [--scope rooms] [--protocol json|plain] [--conns N] [--rooms N] [--queue N] [--messages N]
           --scope ends|users|pings            [--protocol json|plain] [--conns N] [--queue N]
           --scope home                      [--protocol json|plain] [--conns N] [--history N] [--messages N]
           --scope presence                    [--conns N] [--queue N]
           --scope engine                      [--messages N] [--cuts N] [--moves N] [--losses N] [--refusals N]
                                               [--unlogged N] [--history N] [--copy N] [--answer N] [--spent N]
                                               [--unattended] [--defect NAME]
                                               (two sites that share a store, over which the follower of a room is searched,
                                               with links that end, a client that moves, logs that are lost)
                                               every state of a small world. --states N: give up after N states.
                                               --raw: treat two states as different if they only differ in which of
                                               several equal clients is which (always so in presence)
parlor-sim replay FILE [--subject parlor|driver|v0|v1|canary|seeded:NAME]
                                               run a trace and print it step by step; FILE - is standard input.
                                               FILE may be an input log of a server (parlor input-log) as well
parlor-sim shrink FILE [--subject parlor|v0|v1|canary|seeded:NAME]
                                               shorten a trace that breaks a guarantee
parlor-sim fuzz TARGET FILE                    print the meaning of one input of a fuzz target, and its result
parlor-sim hunt v0|v1|parlor                   look for the shortest trace of each known defect of the historic
                                               connection manager: before its fix (v0), after it (v1), or in Parlor,
                                               which must have none of them
parlor-sim hunt seeded                         look for every defect that was put in on purpose
parlor-sim hunt seeded:NAME                    look for one of them, and shorten its trace
           --keep FOLDER                       store the short trace of this defect in FOLDER, or, with hunt seeded,
                                               the traces that FOLDER does not have
           --judge checkers|each|NAME          look with the property checkers only; each: print which of them notice it
           --unforeseen                        look in worlds without the reference model
parlor-sim redis-compare --server URL [--sequences N] [--seed FIRST] [--mistake NAME]
                                               put the same random commands to the model of a Redis server and to the
                                               server at redis:// or unix://, [user:password@] and host:port or a path.
                                               --mistake: put a mistake into the model, which is to be found
parlor-sim canary [--seeds N] [--seed FIRST] [--steps M]
                                               a batch of a subject that misbehaves in one run of a thousand

Exit codes: 0 clean, 1 a safety guarantee is broken, 2 a liveness guarantee is broken, 3 a batch of 10,000 seeds or more
missed a goal, 4 two runs of one seed differ, 5 a scope was not searched to its end, 64 bad usage, 74 standard output
cannot be written. Of an input log: 0 it was run and compared, 1 it went another way or broke a guarantee, 6 it has
neither its beginning nor a state and was only listed, 7 it is damaged or cut off. Of a hunt: 0 every defect was found, 1 one
was not found, which is expected of hunt parlor. Of redis-compare: 0 both did the same, 1 they did not, 3 a script never
succeeded. Of the canary: 0 it was found, 1 it was not found.";

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
        ["hunt", subject, rest @ ..] => hunt(subject, &Flags::of("hunt", rest, &["judge", "keep", "unforeseen"])?),
        ["hunt"] => Err(format!("hunt wants to know in what: {PREY}")),
        ["canary", rest @ ..] => canary(&Flags::of("canary", rest, &["seeds", "seed", "steps"])?),
        #[cfg(feature = "redis")]
        ["redis-compare", rest @ ..] => {
            cli::redis_compare(&Flags::of("redis-compare", rest, &["server", "sequences", "seed", "mistake"])?)
        }
        ["exhaustive", rest @ ..] => exhaustive(rest),
        [command, ..] if !command.starts_with("--") => Err(format!("{command:?} is no command")),
        rest => random(&Flags::of(
            "a random run",
            rest,
            &["seed", "seeds", "steps", "driver", "judge", "unforeseen", "shards", "links"],
        )?),
    }
}
