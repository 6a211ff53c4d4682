//! Settings of namespaces: what holds in which rooms, and what is refused.

#![allow(clippy::disallowed_methods, reason = "tests have their own clock")]

mod common;

use common::settings::{File, load, wrong};
use parlor::config::Settings;
use parlor_core::{Permissions, Policy, Who};
use std::process::Command;
use std::time::Duration;

const EXAMPLE: &str = r#"
publish = "token"
history_messages = 50
presence_list = false

[namespaces.chat]
publish = "members"
history_age = "1h"
name_pattern = "chat:?*"

[namespaces."two words"]
subscribe = "token"
history_bytes_per_room = 1000

[namespaces.""]
join_leave = false

[personal]
publication_bytes = 100
history_messages = 1
"#;

fn settings(name: &str, text: &str) -> Settings {
    let file = File::new(name, text);
    load(&["--config", file.path()], &[]).unwrap()
}

/// The policy of a room.
fn policy(settings: &Settings, room: &str) -> Policy {
    settings.core().unwrap().namespaces.of(room).unwrap().clone()
}

#[test]
fn a_namespace_inherits_what_it_does_not_say() {
    let settings = settings("inherits", EXAMPLE);
    let chat = policy(&settings, "chat:7");
    assert_eq!((chat.permissions.publish, chat.permissions.history), (Who::Members, Who::Members));
    assert_eq!((chat.history_messages, chat.history_age), (50, Duration::from_secs(3600)));
    assert!(!chat.presence_list && chat.join_leave);
    assert_eq!(chat.name_pattern.as_ref().unwrap().as_str(), "chat:?*");
    let words = policy(&settings, "two words:7");
    assert_eq!((words.permissions.subscribe, words.permissions.publish), (Who::Token, Who::Token));
    assert_eq!((words.history_bytes_per_room, words.history_age), (1000, settings.limits.history_age));
    let unprefixed = policy(&settings, "lobby");
    assert!(!unprefixed.join_leave && unprefixed.permissions.publish == Who::Token);
    let personal = policy(&settings, "#ada");
    assert_eq!((personal.publication_bytes, personal.history_messages, personal.join_leave), (100, 1, true));
}

#[test]
fn only_with_a_namespace_are_other_prefixes_unknown() {
    for (text, is_known) in [
        ("", true),
        ("publish = 'users'\n[personal]\npublish = 'nobody'", true),
        ("[namespaces.chat]", false),
        ("[namespaces.'']", false),
    ] {
        let config = settings("unknown-prefix", text).core().unwrap();
        assert_eq!(config.room("news:7").is_ok(), is_known, "{text}");
        assert!(config.room("lobby").is_ok() && config.room("#ada").is_ok(), "{text}");
    }
}

#[test]
fn the_top_level_is_set_in_three_ways() {
    let file = File::new(
        "three-ways",
        "subscribe = 'users'\npublish = 'nobody'\nhistory = 'anyone'\npresence = 'token'\njoin_leave = false\n\
         presence_list = false\npresence_grace = '3s'\nname_pattern = 'a*'",
    );
    let flags = [
        "--subscribe=users",
        "--publish=nobody",
        "--history=anyone",
        "--presence=token",
        "--join-leave=false",
        "--presence-list=false",
        "--presence-grace=3s",
        "--name-pattern=a*",
    ];
    let environment = [
        ("PARLOR_SUBSCRIBE", "users"),
        ("PARLOR_PUBLISH", "nobody"),
        ("PARLOR_HISTORY", "anyone"),
        ("PARLOR_PRESENCE", "token"),
        ("PARLOR_JOIN_LEAVE", "false"),
        ("PARLOR_PRESENCE_LIST", "false"),
        ("PARLOR_PRESENCE_GRACE", "3s"),
        ("PARLOR_NAME_PATTERN", "a*"),
    ];
    for settings in [load(&["--config", file.path()], &[]), load(&flags, &[]), load(&[], &environment)] {
        let room = policy(&settings.unwrap(), "a7");
        let permissions =
            Permissions { subscribe: Who::Users, publish: Who::Nobody, history: Who::Anyone, presence: Who::Token };
        assert_eq!(room.permissions, permissions);
        assert!(!room.join_leave && !room.presence_list && room.name_pattern.is_some());
        assert_eq!(room.presence_grace.as_secs(), 3);
    }
}

#[test]
fn a_setting_and_its_older_name_exclude_each_other() {
    for name in ["subscribe", "publish", "history", "presence"] {
        let flags = [format!("--allow-{name}=true"), format!("--{name}=token")];
        let error = load(&[&flags[0], &flags[1]], &[]).unwrap_err();
        assert!(error.starts_with(&format!("allow_{name} and {name} are both set")), "{error}");
        assert!(error.contains(&format!("--allow-{name}; --{name}")), "{error}");
        load(&[&flags[0]], &[]).unwrap();
        load(&[&flags[1]], &[]).unwrap();
    }
}

#[test]
fn a_personal_room_is_not_opened_by_a_wide_top_level() {
    let wide = "publish = 'anyone'\nhistory = 'users'\npresence = 'anyone'\nname_pattern = 'a*'\n";
    let personal = policy(&settings("wide", wide), "#ada");
    let Permissions { publish, history, presence, .. } = personal.permissions;
    assert_eq!((publish, history, presence), (Who::Members, Who::Members, Who::Members));
    assert!(personal.name_pattern.is_none());
    let narrow = policy(&settings("narrow", "history = 'token'"), "#ada");
    assert_eq!(narrow.permissions.history, Who::Token);
    let said = policy(&settings("said", &format!("{wide}[personal]\nhistory = 'users'")), "#ada");
    assert_eq!((said.permissions.history, said.permissions.presence), (Who::Users, Who::Members));
}

#[test]
fn what_cannot_hold_is_refused_with_its_line() {
    for (text, line, said) in [
        ("\npublish = 'everyone'", 2, "publish: expected nobody, token, members, users or anyone"),
        ("\nsubscribe = 'members'", 2, "subscribe: expected nobody, token, users or anyone, not \"members\""),
        ("name_pattern = '#*'", 1, "name_pattern: \"#*\" matches only names that begin with '#'"),
        ("[namespaces.chat]\npublish = 'x'", 2, "[namespaces.chat] publish: expected nobody, token, members"),
        ("[namespaces.chat]\njoin_leave = 1", 2, "[namespaces.chat] join_leave: expected true or false"),
        ("presence_grace = '16s'", 1, "presence_grace: expected 0s to 15s"),
        ("[namespaces.chat]\npresence_grace = '1m'", 2, "[namespaces.chat] presence_grace: expected 0s to 15s"),
        (
            "[personal]\npresence_grace = '2s'\n[namespaces.chat]\npresence_grace = '3s'",
            2,
            "[personal] presence_grace: expected at least 3s, the longest of all rooms",
        ),
        ("[namespaces.chat]\nname_pattern = 1", 2, "[namespaces.chat] name_pattern must be text in quotes"),
        ("[namespaces.chat]\nsubscribe = 'members'", 2, "[namespaces.chat] subscribe: expected nobody, token, users"),
        (
            "[namespaces.chat]\n\npublishes = 'x'",
            3,
            "[namespaces.chat] unknown key \"publishes\"; did you mean \"publish\"?",
        ),
        ("[personal]\nsubscribe = 'anyone'", 2, "[personal] subscribe: only the server puts users"),
        ("[personal]\nname_pattern = '#*'", 2, "[personal] name_pattern: the names of personal rooms follow"),
        ("[personal]\nhistry = 'token'", 2, "[personal] unknown key \"histry\"; did you mean \"history\"?"),
        ("[personal]\npublication_bytes = 65537", 2, "[personal] publication_bytes: expected at most 65536"),
        ("[namespaces.a]\npublication_bytes = 65537", 2, "[namespaces.a] publication_bytes: expected at most 65536"),
        (
            "[namespaces.a]\nhistory_bytes_per_room = 268435457",
            2,
            "[namespaces.a] history_bytes_per_room: expected at most 268435456",
        ),
        ("[namespaces.a]\nname_pattern = 'b:*'", 2, "[namespaces.a] name_pattern: \"b:*\" matches no name that begins"),
        ("name_pattern = 'b*'\n[namespaces.a]", 2, "[namespaces.a] inherits name_pattern, and \"b*\" matches no name"),
        ("[namespaces.'']\nname_pattern = 'b:*'", 2, "[namespaces.\"\"] name_pattern: \"b:*\" matches no name without"),
        ("[namespaces.'a:b']", 1, "[namespaces.\"a:b\"]: the name of a namespace has no ':'"),
        ("[namespaces.'#a']", 1, "[namespaces.\"#a\"]: the name of a namespace does not begin with '#'"),
        ("[namespaces]\na = 1", 2, "[namespaces.a] is a table of keys"),
        ("namespaces = 1", 1, "namespaces: namespaces are written as [namespaces.chat]"),
        ("[namespace.chat]", 1, "unknown key \"namespace\"; did you mean \"namespaces\"?"),
    ] {
        let error = wrong("refused", text);
        assert!(error.contains(&format!(".toml: line {line}: {said}")), "{text}: {error}");
    }
    let long = "a".repeat(200);
    assert!(wrong("long", &format!("[namespaces.{long}]")).contains("a room's name has at most 200 bytes"));
    let many: String = (0..1001).map(|number| format!("[namespaces.n{number}]\n")).collect();
    assert!(wrong("many", &many).contains("there are 1001 namespaces; expected at most 1000"));
}

#[test]
fn a_route_leads_into_a_namespace_that_there_is() {
    let route = |room: &str| format!("[[routes]]\npath = '/ws/{{id}}'\nroom = '{room}'\n");
    let chat = "[namespaces.chat]\nname_pattern = 'chat:??'\n";
    assert!(wrong("route", &(route("news:{id}") + chat)).contains("there is no namespace \"news\" on this server"));
    assert!(wrong("route", &(route("chat:7") + chat)).contains("must match \"chat:??\" (name_pattern)"));
    settings("route", &(route("chat:{id}") + chat));
}

#[test]
fn a_route_whose_path_names_the_namespace_can_lead_to_one() {
    let route = |room: &str| format!("[[routes]]\npath = '/ws/{{id}}'\nroom = '{room}'\n");
    let named =
        "[namespaces.'']\n[namespaces.chat]\n[namespaces.'two words']\n[namespaces.a-a]\nname_pattern = '*:?'\n";
    for room in ["{id}:main", "c{id}t:main", "{id}:{id}", "{id}-{id}:m"] {
        let config = settings("prefix", &(route(room) + named)).core().unwrap();
        let refused = config.resolve("/ws/unknown").unwrap_err();
        assert!(format!("{refused:?}").contains("there is no namespace"), "{room}: {refused:?}");
    }
    let config = settings("prefix", &(route("{id}:main") + named)).core().unwrap();
    assert!(config.resolve("/ws/chat").is_ok());
    for (room, why) in [
        ("{id}s:main", "no segment of a path makes \"{id}s\" one of the namespaces"),
        ("two{id}words:main", "no segment of a path makes \"two{id}words\" one of the namespaces"),
        ("a-{id}:main", "must match \"*:?\" (name_pattern)"),
    ] {
        let error = wrong("prefix", &(route(room) + named));
        assert!(error.contains(&format!("line 1: [[routes]]: the room {room:?}")) && error.contains(why), "{error}");
    }
    settings("prefix", &route("{id}s:main"));
}

#[test]
fn a_log_is_remembered_for_as_long_as_any_namespace_retains() {
    let memory = |text: &str| settings("memory", text).limits.log_memory.as_secs();
    assert_eq!(memory("[namespaces.chat]\nhistory_age = '1h'\n[namespaces.news]\nhistory_age = '2s'"), 3600);
    assert_eq!(memory("history_age = '90s'\n[personal]\nhistory_age = '2h'"), 7200);
    assert_eq!(memory("history_age = '90s'\n[namespaces.news]\nhistory_age = '2s'"), 90);
    assert_eq!(memory("log_memory = '5s'\n[namespaces.chat]\nhistory_age = '1h'"), 5);
}

#[test]
fn a_namespace_is_refused_only_for_what_it_says_itself() {
    let inherited = "history_bytes = 1000\n[namespaces.a]\npublish = 'token'";
    assert_eq!(policy(&settings("inherited", inherited), "a:1").history_bytes_per_room, 4 << 20);
}

/// Runs the program. Returns what it prints, and its exit code.
fn run(arguments: &[&str]) -> (String, Option<i32>) {
    let output = Command::new(env!("CARGO_BIN_EXE_parlor")).args(arguments).output().unwrap();
    (String::from_utf8([output.stdout, output.stderr].concat()).unwrap(), output.status.code())
}

#[test]
fn config_check_tells_everything_that_is_wrong() {
    let file = File::new(
        "check",
        "listen = 'everywhere'\npong_timeout = '40s'\nframe_bytes = 600000\nlisen = 1\n\
         [[routes]]\npath = '/ws/a'\nroom = 'news:1'\n[[routes]]\npath = '/ws/a?b'\nroom = 'a'\n\
         [namespaces.chat]\npublish = 'x'\nsubscribe = 'members'\n[personal]\nname_pattern = 'a'",
    );
    let (said, code) = run(&["config", "check", "--config", file.path(), "--log-level=loud"]);
    assert_eq!(code, Some(1), "{said}");
    let place = |line: u32| format!("{}: line {line}: ", file.path());
    for words in [
        place(1) + "listen: expected an IP address",
        "pong_timeout = 40s must be less than ping_interval".into(),
        format!("({}pong_timeout)", place(2)),
        format!("({}frame_bytes)", place(3)),
        place(4) + "unknown key \"lisen\"; did you mean \"listen\"?",
        place(5)
            + "[[routes]]: the room \"news:1\" of the route \"/ws/a\" is not valid: there is no namespace \"news\"",
        place(8) + "[[routes]]: the route \"/ws/a?b\" never matches",
        place(12) + "[namespaces.chat] publish: expected nobody, token, members, users or anyone",
        place(13) + "[namespaces.chat] subscribe: expected nobody, token, users or anyone",
        place(15) + "[personal] name_pattern: the names of personal rooms follow",
        "--log-level: expected error, warn, info".into(),
    ] {
        assert_eq!(said.matches(&words).count(), 1, "{words}: {said}");
    }
    let unknown = Command::new(env!("CARGO_BIN_EXE_parlor"))
        .args(["config", "check", "--log-level=loud"])
        .envs([("PARLOR_LISTN", "1"), ("PARLOR_LOGZ", "1")])
        .output()
        .unwrap();
    let said = String::from_utf8(unknown.stdout).unwrap();
    assert!(["PARLOR_LISTN", "PARLOR_LOGZ", "--log-level"].iter().all(|name| said.contains(name)), "{said}");
    let right = File::new("right", EXAMPLE);
    assert_eq!(run(&["--config", right.path(), "config", "check"]), ("the settings are right\n".into(), Some(0)));
    let (said, code) = run(&["config", "check", "--dev=false"]);
    assert!(said.contains("warning: no client can connect") && code == Some(0), "{said}");
}

#[test]
fn config_show_prints_settings_that_mean_the_same() {
    let file = File::new(
        "show",
        &format!(
            "allow_history = false\nallowed_origins = ['https://a', 'https://b']\nnode_name = 'a\"\\b'\n{EXAMPLE}"
        ),
    );
    let flags = [
        "--config",
        file.path(),
        "--api-key=s3cret-s3cret-s3cret",
        "--client-joins=off",
        "--history-age=90s",
        "--presence=users",
    ];
    let (said, code) = run(&[&["config", "show"][..], &flags].concat());
    assert!(code == Some(0) && !said.contains("s3cret"), "{said}");
    assert!(said.contains("# api_key is set, and not shown # --api-key\n"), "{said}");
    assert!(said.contains("presence = \"users\" # --presence\n"), "{said}");
    assert!(said.contains(&format!("history = \"token\" # {}: line 1: allow_history\n", file.path())), "{said}");
    assert!(said.contains("publication_bytes = 65536 # default\n"), "{said}");
    let (first, shown) = (load(&flags, &[]).unwrap(), File::new("shown", &said));
    let second = load(&["--config", shown.path(), "--api-key=s3cret-s3cret-s3cret"], &[]).unwrap();
    assert_eq!(first.limits.rows(), second.limits.rows());
    assert_eq!(
        (first.mode(), &first.node_name),
        (second.mode().replace("dev = false", "api_key and allowed_origins are set"), &second.node_name)
    );
    assert_eq!(first.allowed_origins, second.allowed_origins);
    for room in ["lobby", "chat:7", "two words:7", "#ada"] {
        assert_eq!(policy(&first, room), policy(&second, room), "{room}");
    }
}

#[test]
fn config_explain_says_what_holds_and_why() {
    let file = File::new("explain", &format!("allow_presence = false\n{EXAMPLE}"));
    let explain = |room: &str| {
        let arguments = ["config", "explain", room, "--config", file.path(), "--history=anyone", "--dev=true"];
        let output =
            Command::new(env!("CARGO_BIN_EXE_parlor")).args(arguments).env("PARLOR_JOIN_LEAVE", "true").output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    let line = |line: u32| format!("{}: line {line}: ", file.path());
    let chat = explain("chat:7");
    for words in [
        "\"chat:7\": [namespaces.chat] holds here, in development mode\n".into(),
        "may join by name: all connections".into(),
        "may publish: members of the room, connections whose token grants it, and backends\n".into(),
        "members are not listed".into(),
        "subscribe = \"anyone\" # the top level: default of development mode\n".into(),
        format!("publish = \"members\" # {}[namespaces.chat] publish\n", line(8)),
        "history = \"anyone\" # the top level: --history\n".into(),
        format!("presence = \"token\" # the top level: {}allow_presence\n", line(1)),
        format!("history_messages = 50 # the top level: {}history_messages\n", line(4)),
        "join_leave = true # the top level: PARLOR_JOIN_LEAVE\n".into(),
        "publication_bytes = 65536 # the top level: default\n".into(),
    ] {
        assert!(chat.contains(&words), "{words}: {chat}");
    }
    let personal = explain("#ada");
    assert!(personal.starts_with("\"#ada\": [personal] holds here"), "{personal}");
    assert!(personal.contains("history = \"members\" # as in all personal rooms\n"), "{personal}");
    assert!(explain("lobby").starts_with("\"lobby\": [namespaces.\"\"] holds here"));
    let (said, code) = run(&["config", "explain", "news:7", "--config", file.path()]);
    assert!(code == Some(1) && said.contains("there is no namespace \"news\" on this server (102)"), "{said}");
    let (said, _) = run(&["config", "explain", "news:7"]);
    assert!(said.starts_with("\"news:7\": the top level holds here"), "{said}");
}

/// The rows of a table of the README, without its head: the cells of each.
fn table(name: &str) -> Vec<Vec<String>> {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).unwrap();
    let (_, table) = readme.split_once(&format!("<!-- {name}: checked by shell/tests/namespaces.rs -->")).unwrap();
    let table = table.split_once(&format!("<!-- {name} end -->")).unwrap().0.trim();
    let cells = |row: &str| row.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect();
    table.lines().filter(|row| !row.starts_with("|---")).map(cells).collect()
}

#[test]
fn the_readme_says_what_older_settings_and_modes_mean() {
    let rows = table("permissions");
    let (head, rows) = rows.split_first().unwrap();
    assert_eq!((rows.len(), &head[1..]), (4, &["subscribe", "publish", "history", "presence"].map(String::from)[..]));
    for row in rows {
        for (key, expected) in head.iter().zip(row).skip(1) {
            let (modes, allow) = match &*row[0] {
                "nothing, in development mode" => (&["--dev=true"][..], None),
                "nothing, in production mode" => (&["--dev=false"][..], None),
                allow => (&["--dev=true", "--dev=false"][..], allow.strip_prefix("allow_… = ")),
            };
            assert!(allow.is_some() || row[0].starts_with("nothing"), "{row:?}");
            for mode in modes {
                let allow = allow.map(|value| format!("--allow-{key}={value}"));
                let flags: Vec<&str> = [*mode].into_iter().chain(allow.as_deref()).collect();
                let Permissions { subscribe, publish, history, presence } =
                    policy(&load(&flags, &[]).unwrap(), "room").permissions;
                let who = match &**key {
                    "subscribe" => subscribe,
                    "publish" => publish,
                    "history" => history,
                    _ => presence,
                };
                assert_eq!(who.word(), expected, "{key} with {flags:?}");
            }
        }
    }
}

#[test]
fn the_readme_names_every_key_of_a_namespace() {
    let named: Vec<String> = table("keys").into_iter().skip(1).map(|row| row[0].clone()).collect();
    let (explained, _) = run(&["config", "explain", "lobby", "--name-pattern=*"]);
    let known = explained.lines().filter_map(|line| line.split_once(" = ")).map(|(key, _)| key);
    assert_eq!(named, known.collect::<Vec<_>>());
}

#[test]
fn the_readme_has_settings_that_can_be_used() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).unwrap();
    let (_, section) = readme.split_once("## Namespaces and permissions").unwrap();
    let example = section.split_once("```toml\n").unwrap().1.split_once("```").unwrap().0;
    let settings = settings("readme", example);
    assert_eq!(policy(&settings, "status:1").history_messages, 1);
    assert_eq!(policy(&settings, "private:1").permissions.subscribe, Who::Token);
    assert_eq!(policy(&settings, "chat:1").permissions.subscribe, Who::Users);
}
