//! Settings: three ways to say the same, and what is refused.

#![allow(clippy::disallowed_methods, reason = "tests have their own clock")]

mod common;

use common::settings::{File, load, wrong};
use parlor::config::{ApiErrorMode, LogFormat, Settings};
use parlor_core::limits::Rate;
use parlor_core::{Permissions, Who};
use std::num::NonZeroUsize;
use std::time::Duration;

/// As long as they have to be in production.
const KEY: &str = "--api-key=0123456789abcdef";
const SECRET: &str = "--token-secret=0123456789abcdef0123456789abcdef";

/// Who may do what in a room without a namespace.
fn permissions(settings: &Settings) -> Permissions {
    settings.core().unwrap().namespaces.of("room").unwrap().permissions
}

#[test]
fn nothing_has_to_be_set() {
    let settings = load(&[], &[("PATH", "/bin")]).unwrap();
    assert_eq!(settings.listen.to_string(), "127.0.0.1:8000");
    assert!(settings.is_dev());
    assert!(settings.core().unwrap().allow_anonymous);
}

#[test]
fn flags_override_the_environment_which_overrides_the_file() {
    let file = File::new(
        "precedence",
        "node_name = 'file'\nping_interval = '21s'\noutbox_frames = 101\nidempotency_keys = 11",
    );
    let environment =
        [("PARLOR_CONFIG", file.path()), ("PARLOR_NODE_NAME", "environment"), ("PARLOR_PING_INTERVAL", "22s")];
    let settings = load(&["--node-name", "flag"], &environment).unwrap();
    assert_eq!(settings.node_name, "flag");
    assert_eq!(settings.limits.ping_interval, Duration::from_secs(22));
    assert_eq!(settings.limits.outbox_frames, 101);

    let other = File::new("other", "idempotency_keys = 12");
    let settings = load(&["--config", other.path()], &environment).unwrap();
    assert_eq!(
        (settings.limits.idempotency_keys, settings.limits.outbox_frames),
        (12, 1024),
        "the flag's file, not both"
    );
}

#[test]
fn flags_environment_and_file_set_the_same_settings() {
    let file = File::new(
        "same",
        "listen = '127.0.0.1:9'\ndev = false\nlog_format = 'json'\napi_error_mode = 'body'\nconnections = 5\n\
         allowed_origins = ['https://a', 'https://b']\nhistory_age = '1m 30s'\nallow_anonymous = true",
    );
    let flags = [
        "--listen=127.0.0.1:9",
        "--dev=false",
        "--log-format=json",
        "--api-error-mode=body",
        "--connections=5",
        "--allowed-origins=https://a, https://b",
        "--history-age=1m 30s",
        "--allow-anonymous=true",
    ];
    let environment = [
        ("PARLOR_LISTEN", "127.0.0.1:9"),
        ("PARLOR_DEV", "false"),
        ("PARLOR_LOG_FORMAT", "json"),
        ("PARLOR_API_ERROR_MODE", "body"),
        ("PARLOR_CONNECTIONS", "5"),
        ("PARLOR_ALLOWED_ORIGINS", "https://a,https://b"),
        ("PARLOR_HISTORY_AGE", "1m 30s"),
        ("PARLOR_ALLOW_ANONYMOUS", "true"),
    ];
    let ways = [load(&["--config", file.path()], &[]), load(&flags, &[]), load(&[], &environment)];
    for settings in ways.map(Result::unwrap) {
        assert_eq!(settings.listen.port(), 9);
        assert!(!settings.is_dev());
        assert_eq!(settings.log_format, LogFormat::Json);
        assert_eq!(settings.api_error_mode, ApiErrorMode::Body);
        assert_eq!(settings.limits.connections, 5);
        assert_eq!(settings.allowed_origins, "https://a,https://b".parse().unwrap());
        assert_eq!(settings.limits.history_age, Duration::from_secs(90));
        assert!(settings.core().unwrap().allow_anonymous);
        assert_eq!(permissions(&settings).publish, Who::Token);
    }
}

#[test]
fn unknown_keys_name_the_nearest_known_one() {
    let error = wrong("unknown", "lisen = '127.0.0.1:9'");
    assert!(error.ends_with(r#"unknown key "lisen"; did you mean "listen"?"#), "{error}");
    let error = wrong("table", "[route]\npath = '/ws/a'");
    assert!(error.contains(r#"did you mean "routes"?"#), "{error}");
    let error = wrong("route", "[[routes]]\npath = '/ws/a'\nroom = 'a'\nsubscribe = 'b'");
    assert!(error.contains("unknown field `subscribe`") && error.contains("`subscribed`"), "{error}");
    let error = load(&[], &[("PARLOR_PING_INTERVALL", "1s")]).unwrap_err();
    assert_eq!(error, "unknown environment variable PARLOR_PING_INTERVALL; did you mean PARLOR_PING_INTERVAL?");
}

#[test]
fn a_shortened_variable_is_answered_with_the_whole_name() {
    for (name, meant) in [
        ("PARLOR_LOG", "PARLOR_LOG_LEVEL"),
        ("PARLOR_LOGS_", "PARLOR_LOGS"),
        ("PARLOR_API", "PARLOR_API_KEY"),
        ("PARLOR_CONNECTION", "PARLOR_CONNECTIONS"),
        ("PARLOR_PING", "PARLOR_PING_INTERVAL"),
    ] {
        let error = load(&[], &[(name, "x")]).unwrap_err();
        assert_eq!(error, format!("unknown environment variable {name}; did you mean {meant}?"));
    }
}

#[test]
fn secrets_are_read_from_files() {
    let key = File::new("key", "0123456789abcdef\n");
    let secret = File::new("secret", "0123456789abcdef0123456789abcdef");
    let toml =
        File::new("secrets", &format!("api_key_file = '{}'\ntoken_secret_file = '{}'", key.path(), secret.path()));
    let flags = [format!("--api-key-file={}", key.path()), format!("--token-secret-file={}", secret.path())];
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let environment = [("PARLOR_API_KEY_FILE", key.path()), ("PARLOR_TOKEN_SECRET_FILE", secret.path())];
    for settings in [load(&flags, &[]), load(&[], &environment), load(&["--config", toml.path()], &[])] {
        let settings = settings.unwrap();
        assert_eq!(settings.api_key.as_ref().unwrap().expose(), "0123456789abcdef");
        assert_eq!(settings.token_secret.as_ref().unwrap().expose().len(), 32);
        assert_eq!(settings.mode(), "production mode, since api_key and token_secret are set");
        assert_eq!(settings.notes, [format!("api_key_file ({}) ends with a newline, which is left out", key.path())]);
    }
}

const PUBLIC_KEY: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEATr1M7AdHKY/2tYqxwkIpUEBI0jSadmCojH2sY9m/gow=
-----END PUBLIC KEY-----
";

#[test]
fn more_keys_of_tokens_are_read_from_the_file() {
    let secret = File::new("old", "0123456789abcdef0123456789abcdef\n");
    let public = File::new("public", PUBLIC_KEY);
    let keys = format!(
        "[[token_keys]]\nkid = 'old'\nsecret_file = '{}'\n[[token_keys]]\npublic_key_file = '{}'\n",
        secret.path(),
        public.path()
    );
    let file = File::new("keys", &keys);
    let settings = load(&["--config", file.path(), KEY], &[]).unwrap();
    assert_eq!(settings.mode(), "production mode, since api_key and token_keys are set");
    let known: Vec<_> = settings.token_keys.iter().map(|entry| (entry.key.kid(), entry.key.algorithms())).collect();
    assert_eq!(known, [(Some("old"), "HS256, HS384, HS512".into()), (None, "EdDSA".into())]);
    assert_eq!(settings.token_keys[0].secret.as_ref().unwrap().expose(), "0123456789abcdef0123456789abcdef");
    assert!(!format!("{settings:?}").contains("0123456789abcdef0"));
    assert!(!settings.warnings().join("; ").contains("no client can connect"));
    let entry = |lines: &str| format!("[[token_keys]]\n{lines}\n");
    let long = "secret = '0123456789abcdef0123456789abcdef'";
    for (text, why) in [
        (entry(""), ": line 1: [[token_keys]]: expected one of secret, secret_file (a file with the secret)"),
        (entry(&format!("{long}\nsecret_file = 'x'")), "found 2"),
        (entry("secret = 20"), "secret must be text"),
        (entry("secret = 'a'\nkey = 'b'"), "unknown key \"key\"; expected kid, and secret"),
        (entry(&format!("kid = ''\n{long}")), "kid must have from 1 to 200 bytes"),
        (entry("public_key_file = '/nonexistent'"), "[[token_keys]]: public_key_file: cannot read /nonexistent"),
        (entry(&format!("public_key_file = '{}'", secret.path())), "expected a public key in PEM"),
        (format!("dev = false\n{}", entry("secret = '0123456789abcdef'")), "has 16 bytes and must have at least 32"),
        (entry(&format!("kid = 'a'\n{long}")).repeat(2), "line 4: [[token_keys]]: another key has the kid \"a\""),
        (
            entry(long).repeat(5),
            "there are 5 keys of tokens, token_secret and token_jwks among them; expected at most 4",
        ),
        ("token_keys = 'a'".into(), "token_keys are written as [[token_keys]], once for each"),
    ] {
        let error = wrong("keys", &text);
        assert!(error.contains(why) && !error.contains("0123456789abcdef"), "{error}");
    }
}

#[test]
fn more_keys_of_backends_are_read_from_the_file() {
    let other = File::new("ci", "fedcba9876543210\n");
    let keys = format!(
        "[[api_keys]]\nname = 'ci'\nkey_file = '{}'\nmethods = ['publish', 'broadcast']\nrooms = ['ci:*', '#ann']\n\
         [[api_keys]]\nname = 'all'\nkey = 'ABCDEF0123456789'\n",
        other.path(),
    );
    let file = File::new("api_keys", &keys);
    let settings = load(&["--config", file.path(), KEY], &[]).unwrap();
    assert_eq!(settings.mode(), "production mode, since api_key and api_keys are set");
    let known = settings.api_key_set();
    let name = |key: &str| known.find(key.as_bytes()).map(|key| key.name().to_string());
    let names = ["0123456789abcdef", "fedcba9876543210", "ABCDEF0123456789", "0123456789ABCDEF"].map(name);
    assert_eq!(names, [Some("api_key".into()), Some("ci".into()), Some("all".into()), None]);
    assert_eq!(settings.api_keys[0].rights.summary(), "publish, broadcast; rooms ci:*, #ann");
    let said = format!("{settings:?} {known:?}").to_lowercase();
    assert!(!said.contains("0123456789") && !said.contains("9876543210"), "{said}");
    assert!(!load(&["--config", file.path()], &[]).unwrap().warnings().join("; ").contains("no API call"));
    load(&["--config", file.path(), "--listen=0.0.0.0:8000"], &[]).unwrap();
    let of_variable = File::new("api_keys_variable", "[[api_keys]]\nname = 'ci'\nkey_variable = 'CI_KEY'\n");
    let settings = load(&["--config", of_variable.path()], &[("CI_KEY", "fedcba9876543210\n")]).unwrap();
    assert_eq!(settings.api_key_set().find(b"fedcba9876543210").map(|key| key.name().to_string()), Some("ci".into()));
    let mut development = load(&["--config", file.path(), "--dev=true"], &[]).unwrap();
    development.generate_key();
    assert!(development.key().is_none(), "there is one");
}

#[test]
fn a_wrong_entry_of_api_keys_says_what_is_wrong_and_not_the_key() {
    let entry = |lines: &str| format!("[[api_keys]]\n{lines}\n");
    let key = |more: &str| entry(&format!("name = 'a'\nkey = '0123456789abcdef'\n{more}"));
    let many: String = (0..33).map(|at| entry(&format!("name = '{at}'\nkey = '0123456789abcdef{at}'"))).collect();
    for (text, why) in [
        (entry("key = '0123456789abcdef'"), ": line 1: [[api_keys]]: name is missing"),
        (entry("name = ''\nkey = '0123456789abcdef'"), "name must have from 1 to 64 bytes"),
        (entry("name = \"a\\n\"\nkey = '0123456789abcdef'"), "no invisible characters"),
        (entry("name = 'a'"), "expected one of key, key_file and key_variable; found 0"),
        (entry("name = 'a'\nkey_variable = '0123456789abcdef'"), "key_variable: the environment has no such variable"),
        (entry("name = 'a'\nkey_variable = 'PARLOR_KEY'"), "variables that begin with PARLOR_ are settings"),
        (key("key_file = 'x'"), "found 2"),
        (entry("name = 'a'\nkey = 123456789"), "key must be text"),
        (entry("name = 'a'\nkey = \"\\n\""), "key is empty"),
        (entry("name = 'a'\nkey_file = '/nonexistent'"), "[[api_keys]]: key_file: cannot read /nonexistent"),
        (key("secret = 'b'"), "unknown key \"secret\"; expected name; key, key_file"),
        (key("methods = 'publish'"), "methods must be an array of texts"),
        (key("rooms = [7]"), "rooms must be an array of texts"),
        (key("methods = ['publsh']"), "no method \"publsh\"; expected some of publish, broadcast,"),
        (key("rooms = ['a*b']"), "a * is allowed at the end only"),
        (entry("name = 'a'\nkey = '0123456789abcd'"), "key has 14 bytes and must have at least 16"),
        (entry("name = 'a'\nkey = ' 0123456789abcdef'"), "key begins or ends with white space"),
        (key("") + &key(""), "line 5: [[api_keys]]: another API key has the name \"a\""),
        (key("") + &key("").replace("'a'", "'b'"), "the key of \"b\" is that of another API key"),
        (format!("api_key = '0123456789abcdef'\n{}", key("")), "the key of \"a\" is that of another API key"),
        (format!("api_key = '0123456789ABCDEF'\n{}", key("").replace("'a'", "'api_key'")), "has the name \"api_key\""),
        (many, "there are 33 API keys, api_key among them; expected at most 32"),
        ("api_keys = 'a'".into(), "api_keys are written as [[api_keys]], once for each"),
    ] {
        let error = wrong("api_keys_wrong", &text);
        assert!(error.contains(why) && !error.contains("0123456789"), "{error}");
    }
}

#[test]
fn a_secret_and_a_file_for_it_exclude_each_other() {
    let file = File::new("both", "0123456789abcdef0123456789abcdef");
    for name in ["api_key", "token_secret"] {
        let (flag, variable) = (name.replace('_', "-"), format!("PARLOR_{}", name.to_uppercase()));
        let toml = File::new(name, &format!("{name} = '0123456789abcdef0123456789abcdef'"));
        let (value, other) =
            (format!("--{flag}=0123456789abcdef0123456789abcdef"), format!("--{flag}-file={}", file.path()));
        for error in [
            load(&[&value, &other], &[]),
            load(&[&value], &[(&format!("{variable}_FILE"), file.path())]),
            load(&[&other, "--config", toml.path()], &[]),
        ] {
            let error = error.unwrap_err();
            assert_eq!(error, format!("{name} and {name}_file are both set; leave one of them out"));
        }
        let missing = load(&[&format!("--{flag}-file=/nonexistent/secret")], &[]).unwrap_err();
        assert!(
            missing.starts_with(&format!("{name}_file: cannot read /nonexistent/secret: No such file")),
            "{missing}"
        );
        let empty = File::new("empty", "\n");
        let error = load(&[&format!("--{flag}-file={}", empty.path())], &[]).unwrap_err();
        assert!(
            error.starts_with(&format!("{name}_file ({}): expected text that is not empty", empty.path())),
            "{error}"
        );
        let short = File::new("short", "s3cret");
        let error = load(&[&format!("--{flag}-file={}", short.path())], &[]).unwrap_err();
        assert!(error.starts_with(&format!("{name} has 6 bytes")) && !error.contains("s3cret"), "{error}");
    }
}

#[test]
fn an_unreadable_file_is_reported_with_its_setting() {
    for (flags, environment, start) in [
        (&[][..], &[("PARLOR_CONFIG", "")][..], "PARLOR_CONFIG is empty"),
        (&["--config="], &[], "--config is empty"),
        (&["--config=/nonexistent/a.toml"], &[], "--config: cannot read /nonexistent/a.toml: No such file"),
        (
            &[],
            &[("PARLOR_CONFIG", "/nonexistent/a.toml")],
            "PARLOR_CONFIG: cannot read /nonexistent/a.toml: No such file",
        ),
    ] {
        let error = load(flags, environment).unwrap_err();
        assert!(error.starts_with(start), "{error}");
    }
}

#[test]
fn a_flag_without_a_value_is_an_error_that_says_what_it_needs() {
    for (flags, said) in [
        (&["--dev"][..], "--dev needs a value: true or false; write --dev true"),
        (&["--dev", "--listen", "9"], "--dev needs a value: true or false; write --dev true"),
        (&["--ping-interval"], "--ping-interval needs a value: a duration with its unit such as 25s, 1m 30s or 500ms"),
        (&["--api-key-file"], "--api-key-file needs a value: text that is not empty"),
    ] {
        assert_eq!(load(flags, &[]).unwrap_err(), said);
    }
}

#[test]
fn variables_that_kubernetes_sets_are_ignored() {
    let environment = [
        ("PARLOR_PORT", "tcp://10.0.0.1:80"),
        ("PARLOR_PORT_80_TCP_ADDR", "10.0.0.1"),
        ("PARLOR_SERVICE_HOST", "10.0.0.1"),
        ("PARLOR_WS_SERVICE_HOST", "10.0.0.1"),
        ("PARLOR_WS_SERVICE_PORT", "8000"),
        ("PARLOR_WS_SERVICE_PORT_HTTP", "8000"),
        ("PARLOR_WS_PORT", "tcp://10.0.0.1:8000"),
        ("PARLOR_WS_PORT_8000_TCP", "tcp://10.0.0.1:8000"),
        ("PARLOR_WS_PORT_8000_TCP_PROTO", "tcp"),
        ("PARLOR_WS_PORT_8000_TCP_PORT", "8000"),
        ("PARLOR_WS_PORT_8000_TCP_ADDR", "10.0.0.1"),
        ("PARLOR_DNS_PORT_53_UDP", "udp://10.0.0.1:53"),
    ];
    load(&[], &environment).unwrap();
}

#[test]
fn a_mistyped_variable_is_an_error_beside_those_of_kubernetes() {
    for (name, value, meant) in [
        ("PARLOR_LISTN", "127.0.0.1:8000", "PARLOR_LISTEN"),
        ("PARLOR_PORT", "8000", "PARLOR_LISTEN"),
        ("PARLOR_HOST", "0.0.0.0", "PARLOR_LISTEN"),
        ("PARLOR_SECRET", "s", "PARLOR_TOKEN_SECRET"),
        ("PARLOR_WS_PORT", "8000", ""),
    ] {
        let error = load(&[], &[("PARLOR_WS_SERVICE_HOST", "10.0.0.1"), (name, value)]).unwrap_err();
        assert!(error.starts_with(&format!("unknown environment variable {name}; did you mean {meant}")), "{error}");
    }
    assert!(wrong("port", "port = 8000").ends_with(r#"did you mean "listen"?"#));
}

#[test]
fn a_bad_value_is_an_error_that_says_what_is_allowed() {
    for (key, value, allowed) in [
        ("listen", "localhost", "an IP address and a port such as 127.0.0.1:8000"),
        ("ping_interval", "25", "a duration with its unit such as 25s"),
        ("connections", "many", "a whole number"),
        ("connections", "-1", "a whole number"),
        ("connections_per_ip", "0", "a whole number, at least 1, or off"),
        ("connections_per_user", "none", "a whole number, at least 1, or off"),
        ("client_commands", "100", "a rate such as 100/s, burst 200"),
        ("client_commands", "100/s", "a rate such as 100/s, burst 200"),
        ("client_commands", "100/m, burst 200", "a rate such as 100/s, burst 200"),
        ("client_commands", "100/s, burst 0", "both at least 1"),
        ("client_publishes", "0/s, burst 1", "or off"),
        ("new_connections", "-1/s, burst 1", "or off"),
        ("dev", "yes", "true or false"),
        ("log_level", "loud", "error, warn, info, debug, trace or off"),
        ("log_format", "xml", "text or json"),
        ("api_error_mode", "both", "transport or body"),
        ("api_key", "", "text that is not empty"),
    ] {
        let flag = format!("--{}", key.replace('_', "-"));
        let variable = format!("PARLOR_{}", key.to_uppercase());
        for error in [
            load(&[&format!("{flag}={value}")], &[]).unwrap_err(),
            load(&[], &[(&variable, value)]).unwrap_err(),
            wrong("bad", &format!("{key} = '{value}'")),
        ] {
            assert!(error.contains(allowed), "{error}");
        }
        assert!(load(&[&format!("{flag}={value}")], &[]).unwrap_err().starts_with(&flag));
        assert!(load(&[], &[(&variable, value)]).unwrap_err().starts_with(&variable));
    }
    assert!(
        wrong("nested", "listen = { port = 8000 }")
            .contains("listen must be text in quotes, a number, or an array of texts in quotes, not a TOML table")
    );
    assert!(load(&["--config", "/nonexistent/parlor.toml"], &[]).unwrap_err().contains("/nonexistent/parlor.toml"));
}

#[test]
fn a_toml_value_of_the_wrong_type_is_refused() {
    let key = "1234567890123456";
    for (text, allowed) in [
        (format!("api_key = ['{key}', '{key}']"), "api_key must be text in quotes, not a TOML array"),
        (format!("api_key = {key}"), "not a TOML integer"),
        (format!("token_secret = {key}e20"), "not a TOML float"),
        ("node_name = true".into(), "not a TOML boolean"),
        ("ping_interval = ['25s']".into(), "not a TOML array"),
        ("listen = 2026-01-01".into(), "not a TOML datetime"),
        ("allowed_origins = [1]".into(), "allowed_origins must be an array of texts in quotes"),
    ] {
        let error = wrong("form", &text);
        assert!(error.contains(allowed) && !error.contains(key), "{error}");
    }
    let file = File::new("word", "listen = 9\ndev = true\nconnections = 5");
    assert_eq!(load(&["--config", file.path()], &[]).unwrap().listen.to_string(), "localhost:9");
    let file = File::new("words", "listen = ['8000', '[::1]:8001']");
    assert_eq!(load(&["--config", file.path()], &[]).unwrap().listen.to_string(), "localhost:8000, [::1]:8001");
}

#[test]
fn origins_that_name_nothing_are_refused() {
    for name in ["allowed_origins", "public_hosts"] {
        for error in [
            load(&[&format!("--{}=", name.replace('_', "-"))], &[]).unwrap_err(),
            load(&[], &[(&format!("PARLOR_{}", name.to_uppercase()), " , ")]).unwrap_err(),
            wrong("nothing", &format!("{name} = []")),
        ] {
            assert!(error.contains("expected origins") && error.contains("at least one"), "{error}");
        }
    }
}

#[test]
fn rates_and_optional_limits_are_read_in_the_form_in_which_they_are_shown() {
    let file = File::new(
        "rates",
        "client_commands = '7/s burst 9'\nrooms_per_connection = 8\nconnections_per_ip = 3\nnew_connections = 'off'",
    );
    let flags = ["--config", file.path(), "--client-publishes=2/s, burst 4", "--connections-per-user=off"];
    let limits = load(&flags, &[("PARLOR_NEW_CONNECTIONS_PER_IP", "1/s,burst 2")]).unwrap().limits;
    assert_eq!(limits.client_commands, Rate { per_second: 7, burst: 9 });
    assert_eq!(limits.client_publishes, Rate { per_second: 2, burst: 4 });
    assert_eq!(limits.new_connections, Rate::OFF);
    assert_eq!(limits.new_connections_per_ip, Rate { per_second: 1, burst: 2 });
    assert_eq!((limits.connections_per_ip, limits.connections_per_user), (NonZeroUsize::new(3), None));
}

#[test]
fn every_limit_accepts_its_default_as_displayed() {
    let settings = Settings::default();
    let rows = settings.limits.rows();
    let flags: Vec<String> = rows.iter().map(|row| format!("--{}={}", row.key.replace('_', "-"), row.value)).collect();
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    assert_eq!(load(&flags, &[]).unwrap().limits.rows(), rows);
}

#[test]
fn log_memory_defaults_to_history_age() {
    let memory = |flags: &[&str]| load(flags, &[]).unwrap().limits.log_memory.as_secs();
    assert_eq!(memory(&[]), 300);
    assert_eq!(memory(&["--history-age=90s"]), 90);
    assert_eq!(memory(&["--history-age=90s", "--log-memory=5s"]), 5);
    let file = File::new("memory", "log_memory = '7s'");
    assert_eq!(memory(&["--config", file.path(), "--history-age=90s"]), 7);
}

#[test]
fn a_node_has_a_name_that_fits_a_reply_and_a_line() {
    load(&[&format!("--node-name={}", "n".repeat(200))], &[]).unwrap();
    let error = load(&[&format!("--node-name={}", "n".repeat(201))], &[]).unwrap_err();
    assert_eq!(error, "node_name has 201 bytes; it must have at most 200");
    let error = load(&["--node-name=a\u{1b}b"], &[]).unwrap_err();
    assert!(error.starts_with("node_name: a name must not contain U+001B"), "{error}");
}

#[test]
fn limits_that_contradict_each_other_are_refused() {
    let error = load(&["--frame-bytes=600000"], &[]).unwrap_err();
    assert!(error.contains("frame_bytes") && error.contains("outbox_bytes"), "{error}");
    let error = load(&["--pong-timeout=30s"], &[]).unwrap_err();
    assert!(error.contains("pong_timeout") && error.contains("ping_interval"), "{error}");
    let error = load(&["--reply-bytes=300000"], &[]).unwrap_err();
    assert!(error.contains("reply_bytes") && error.contains("frame_bytes"), "{error}");
    let error = load(&["--header-bytes=100"], &[]).unwrap_err();
    assert!(error.contains("header_bytes") && error.contains("8192"), "{error}");
}

#[test]
fn an_address_that_others_can_reach_needs_a_key() {
    for address in ["0.0.0.0:8000", "[::]:8000", "192.168.0.1:8000"] {
        let listen = format!("--listen={address}");
        let error = load(&[&listen], &[]).unwrap_err();
        assert!(error.contains("--api-key") && error.contains("PARLOR_API_KEY"), "{error}");
        let settings = load(&[&listen, KEY], &[]).unwrap();
        assert!(!settings.is_dev());
        assert!(!settings.core().unwrap().allow_anonymous);
        let error = load(&[&listen, KEY, "--dev=true"], &[]).unwrap_err();
        assert!(error.contains("loopback"), "{error}");
    }
}

#[test]
fn an_internal_address_that_others_can_reach_needs_a_key_too() {
    let internal = "--internal-listen=localhost:9000,10.0.0.5:9000";
    let error = load(&[internal], &[]).unwrap_err();
    for words in ["10.0.0.5:9000 (internal_listen)", "--api-key", "--internal-listen localhost:9000"] {
        assert!(error.contains(words), "{error}");
    }
    let error = load(&[internal, KEY, "--dev=true"], &[]).unwrap_err();
    assert!(error.contains("loopback addresses only, and 10.0.0.5:9000 is not one"), "{error}");
    let settings = load(&[internal, KEY], &[]).unwrap();
    assert_eq!(settings.mode(), "production mode, since others can reach 10.0.0.5:9000");
    let is_warned = |settings: Settings| settings.warnings().iter().any(|line| line.contains("internal_listen"));
    assert!(!is_warned(settings), "it is of a private network");
    let everywhere = load(&["--internal-listen=:9000", KEY], &[]).unwrap();
    assert!(everywhere.warnings().iter().any(|line| line.contains(":9000 (internal_listen)")), "{everywhere:?}");
    assert!(!is_warned(load(&["--listen=:9000", KEY], &[]).unwrap()));
}

#[test]
fn an_address_is_either_for_clients_or_internal() {
    let file = File::new("taken", "listen = ':8000'\ninternal_listen = ['127.0.0.1:9000', '127.0.0.1:8000']");
    let error = load(&["--config", file.path(), KEY], &[]).unwrap_err();
    for words in ["internal_listen: 127.0.0.1:8000 is among the addresses of listen", "line 2"] {
        assert!(error.contains(words), "{error}");
    }
    load(&["--config", file.path(), KEY, "--listen=127.0.0.2:8000"], &[]).unwrap();
}

#[test]
fn development_mode_ends_where_a_server_for_others_begins() {
    let origins = ["--allowed-origins=https://app.example.com", "--public-hosts=https://app.example.com"];
    let origins = origins.into_iter().chain(["--trusted-proxies=127.0.0.1", "--internal-listen=9000"]);
    for public in [KEY, SECRET].into_iter().chain(origins) {
        for listen in ["--listen=127.0.0.1:8000", "--listen=[::1]:8000", "--listen=[::ffff:127.0.0.1]:8000"] {
            let name = public.trim_start_matches('-').split('=').next().unwrap().replace('-', "_");
            let settings = load(&[public, listen], &[]).unwrap();
            assert!(!settings.is_dev() && settings.mode() == format!("production mode, since {name} is set"));
            assert_eq!(permissions(&settings).publish, Who::Token);
            assert!(load(&[public, listen, "--dev=true"], &[]).unwrap().is_dev());
            assert!(load(&[listen], &[]).unwrap().is_dev());
        }
    }
    assert!(!load(&["--dev=false"], &[]).unwrap().is_dev());
}

#[test]
fn a_generated_key_does_not_count_as_set() {
    let mut settings = load(&[], &[]).unwrap();
    settings.generate_key();
    assert!(settings.is_dev() && settings.key().is_some());
    assert_eq!(permissions(&settings).publish, Who::Members);
    let mut production = load(&["--dev=false"], &[]).unwrap();
    production.generate_key();
    assert!(production.key().is_none());
}

#[test]
fn short_secrets_are_for_development_only() {
    for (flag, least) in [("api-key", 16), ("token-secret", 32)] {
        let flag = |length| format!("--{flag}={}", "k".repeat(length));
        let error = load(&[&flag(least - 1)], &[]).unwrap_err();
        let name = flag(0).trim_matches(['-', '=']).replace('-', "_");
        assert!(error.starts_with(&format!("{name} has {} bytes", least - 1)), "{error}");
        assert!(error.contains(&format!("at least {least} ")), "{error}");
        load(&[&flag(least)], &[]).unwrap();
        load(&[&flag(1), "--dev=true"], &[]).unwrap();
        assert!(load(&[&flag(least - 1), "--dev=false"], &[]).is_err());
    }
}

#[test]
fn a_key_that_no_header_can_carry_is_refused() {
    for key in ["a\nb", "a\tb", " ab", "ab ", "ab\r", "a\u{7f}b", "schl\u{fc}ssel"] {
        for error in [
            load(&["--dev=true"], &[("PARLOR_API_KEY", key)]).unwrap_err(),
            load(&["--dev=false"], &[("PARLOR_API_KEY", &key.repeat(9))]).unwrap_err(),
        ] {
            assert!(error.starts_with("api_key ") && !error.contains(key), "{error}");
        }
    }
    load(&["--dev=true", "--api-key=a b"], &[]).unwrap();
    let error = load(&[], &[("PARLOR_API_KEY", &"k".repeat(16384))]).unwrap_err();
    assert_eq!(
        error,
        "api_key has 16384 bytes; it must have fewer than header_bytes = 16384, which bound the head of a call"
    );
}

#[test]
fn routes_that_can_never_lead_to_a_room_are_refused() {
    let route = |path: &str, room: &str| format!("[[routes]]\npath = '{path}'\nroom = \"{room}\"\n");
    for (text, why) in [
        (route("/ws/caf%C3%A9", "cafe"), "never matches: a path has no '%'"),
        (route("/ws/a?token=x", "a"), "never matches: a path has no '?'"),
        (route("/ws/a/{id}", "a") + &route("/ws/a/{id}/", "b"), "is written twice"),
        (route("/ws/a/{id}", "a\\n{id}"), "is not valid: a name must not contain U+000A"),
        (route("/ws/a", &"a".repeat(201)), "at most 200 bytes"),
    ] {
        let error = wrong("never", &text);
        assert!(error.contains(why), "{error}");
    }
    let file = File::new("routes", &(route("/ws/café", "cafe") + &route("/ws/a/{id}", "a_{id}")));
    load(&["--config", file.path()], &[]).unwrap();
}

#[test]
fn a_final_newline_is_left_out_with_a_line_that_says_so() {
    let file = File::new("newline", "token_secret = '''\n0123456789abcdef0123456789abcdef\n'''");
    let environment = [("PARLOR_API_KEY", "0123456789abcdef\r\n"), ("PARLOR_LISTEN", "127.0.0.1:9\n")];
    let settings = load(&["--config", file.path()], &environment).unwrap();
    assert_eq!(settings.key().unwrap().expose(), "0123456789abcdef");
    assert_eq!(settings.token_secret.as_ref().unwrap().expose().len(), 32);
    assert_eq!(settings.listen.port(), 9);
    let said = settings.warnings().join("; ");
    assert!(said.contains("PARLOR_API_KEY ends with a newline") && said.contains("token_secret ends with"), "{said}");
    assert!(load(&["--dev=true"], &[("PARLOR_API_KEY", "a\n\n")]).is_err(), "one newline, not any");
}

#[test]
fn no_error_and_no_debug_output_shows_a_secret() {
    let key = "0123456789abcdef";
    for text in [
        format!("api_key = '{key}"),
        format!("api_key = '{key}'\napi_key = '{key}'"),
        format!("api_key = {{ key = '{key}' }}"),
        format!("api_keys = '{key}'"),
        format!("api_key = ' {key}'"),
        format!("token_secret = '{key}'"),
    ] {
        let error = wrong("secret", &text);
        assert!(!error.contains(key), "{error}");
    }
    assert!(wrong("line", "dev = false\n\nlisten = '").contains(": line 3: "));
    let settings = load(&[KEY, SECRET], &[]).unwrap();
    assert!(!format!("{settings:?}").contains(key));
}

#[test]
fn origins_that_can_never_match_are_refused_with_the_right_form() {
    for name in ["allowed_origins", "public_hosts"] {
        let flag = format!("--{}", name.replace('_', "-"));
        let error = load(&[&format!("{flag}=https://b.example,https://app.example.com/")], &[]).unwrap_err();
        assert_eq!(
            error,
            format!(r#"{flag}: "https://app.example.com/" never matches: write https://app.example.com"#)
        );
        let error = wrong(name, &format!("{name} = ['app.example.com:8443']"));
        assert!(error.ends_with("never matches: write https://app.example.com:8443"), "{error}");
        assert!(load(&[&format!("{flag}=https://*.example.com")], &[]).unwrap_err().contains("write each origin"));
    }
    assert!(load(&["--public-hosts=*"], &[]).unwrap_err().contains("public_hosts must name hosts"));
    assert!(load(&["--public-hosts=capacitor://localhost"], &[]).unwrap_err().contains("http:// or https://"));
    load(&["--allowed-origins=capacitor://localhost"], &[]).unwrap();
}

#[test]
fn surprising_settings_are_warned_of() {
    let warnings = |flags: &[&str]| load(flags, &[]).unwrap().warnings().join("; ");
    assert_eq!(warnings(&[]), "");
    assert_eq!(warnings(&["--allowed-origins=https://a", KEY, SECRET]), "");
    assert_eq!(warnings(&["--public-hosts=https://a", KEY, SECRET]), "");
    assert!(warnings(&[KEY, SECRET]).contains("DNS rebinding"));
    assert!(warnings(&["--dev=true", "--token-secret=s\r"]).contains("token_secret begins or ends with white space"));
    for flag in ["--dev=true", "--allowed-origins=https://a"] {
        assert!(warnings(&[flag, "--public-hosts=https://a", KEY, SECRET]).contains("public_hosts is only for"));
    }
    assert!(warnings(&["--dev=false", KEY]).contains("token_secret"));
    assert!(warnings(&["--dev=false", SECRET]).contains("api_key"));
}
