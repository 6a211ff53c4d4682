//! Alerts of the settings, raised and cleared by what happens.

#![allow(clippy::disallowed_methods, reason = "tests have their own clock")]

mod common;

use common::program::Program;
use common::settings::{File, load, wrong};
use common::{Client, wait_until};
use std::fs;
use std::time::Duration;

#[test]
fn alerts_are_read_from_the_file() {
    let text = "[[alerts]]\nfigure = 'connections'\nabove = 9000\n\
        [[alerts]]\nname = 'lost'\nfigure = 'send_success_15m'\nbelow = 0.999\nclear = 1\nfor = '2m'\n";
    let file = File::new("alerts", text);
    let settings = load(&["--config", file.path()], &[]).unwrap();
    let [first, second] = [0, 1].map(|at| settings.alerts[at].rule.clone());
    assert_eq!((&*first.name, first.threshold.to_string(), first.clear), ("connections", "above 9000".into(), 9000.0));
    assert_eq!((&*second.name, second.figure.name(), second.clear), ("lost", "send_success_15m", 1.0));
    assert_eq!((first.hold, second.hold), (Duration::ZERO, Duration::from_secs(120)));
}

#[test]
fn a_wrong_alert_says_what_is_wrong_and_what_is_allowed() {
    let entry = |lines: &str| format!("[[alerts]]\n{lines}\n");
    let above = "figure = 'users'\nabove = 5";
    for (text, why) in [
        (entry(""), ": line 1: [[alerts]]: figure is missing"),
        (entry("figure = 'conections'\nabove = 1"), "no figure \"conections\"; expected one of connections, users,"),
        (entry("figure = 'users'"), "expected one of above and below; found 0"),
        (entry(&format!("{above}\nbelow = 3")), "expected one of above and below; found 2"),
        (entry("figure = 'users'\nabove = 'many'"), "above must be a number"),
        (entry("figure = 'users'\nabove = nan"), "above must be a number"),
        (entry(&format!("{above}\nclear = 6")), "clear is 6; expected at most above, which is 5"),
        (entry("figure = 'users'\nbelow = 5\nclear = 4"), "clear is 4; expected at least below, which is 5"),
        (entry(&format!("{above}\nfor = 'soon'")), "for is \"soon\"; expected a duration such as 30s or 5m"),
        (entry(&format!("{above}\nfor = '2d'")), "of at most a day"),
        (entry(&format!("{above}\nname = ''")), "name must have from 1 to 64 bytes"),
        (entry(&format!("{above}\nwhen = '1m'")), "unknown key \"when\"; expected figure; above or below"),
        (entry(above).repeat(2), "line 4: [[alerts]]: another alert has the name \"users\""),
        (
            (0..65).map(|at| entry(&format!("{above}\nname = '{at}'"))).collect(),
            "there are 65 alerts; expected at most 64",
        ),
        ("alerts = 'a'".into(), "alerts are written as [[alerts]], once for each"),
    ] {
        let error = wrong("alerts_wrong", &text);
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn an_alert_is_raised_and_cleared_in_the_log() {
    let text = "[[alerts]]\nname = 'crowded'\nfigure = 'connections'\nabove = 1\nclear = 0\n";
    let file = File::new("alerts_log", text);
    let log = std::env::temp_dir().join(format!("parlor-alerts-{}.log", std::process::id()));
    let mut program = Program::start_with(&["--config", file.path()], fs::File::create(&log).unwrap());
    let lines = |words: &str| {
        let text = fs::read_to_string(&log).unwrap();
        text.lines().filter(|line| line.contains(words)).map(String::from).collect::<Vec<_>>()
    };
    let [one, two] = [(); 2].map(|()| Client::connect(program.address, "/ws/a?greeting=off"));
    wait_until("the alert", || !lines("alert raised").is_empty());
    let raised = &lines("alert raised")[0];
    for part in ["WARN", "crowded", "connections", "value=2", "above 1"] {
        assert!(raised.contains(part), "{part} in {raised}");
    }
    drop((one, two));
    wait_until("its end", || !lines("alert cleared").is_empty());
    assert!(lines("alert cleared")[0].contains("INFO"), "{:?}", lines("alert cleared"));
    assert_eq!((lines("alert raised").len(), lines("alert cleared").len()), (1, 1));
    program.signal("TERM");
    assert!(program.end().success());
    fs::remove_file(&log).unwrap();
}
