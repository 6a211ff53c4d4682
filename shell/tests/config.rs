//! Settings: three ways to say the same, and what is refused.

use parlor::config::{ApiErrorMode, LogFormat, Settings};
use parlor_core::limits::Rate;
use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

fn load(flags: &[&str], environment: &[(&str, &str)]) -> Result<Settings, String> {
    let flags = ["parlor"].iter().chain(flags).map(OsString::from);
    let environment = environment.iter().map(|(name, text)| (OsString::from(name), OsString::from(text)));
    Settings::load(flags, environment)
}

/// A configuration file that lives as long as its test.
struct File(PathBuf);

impl File {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("parlor-{}-{name}.toml", std::process::id()));
        std::fs::File::create(&path).unwrap().write_all(text.as_bytes()).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// What is wrong with a file that says this.
fn wrong(name: &str, text: &str) -> String {
    let file = File::new(name, text);
    load(&["--config", file.path()], &[]).unwrap_err()
}

#[test]
fn nothing_has_to_be_set() {
    let settings = load(&[], &[("PATH", "/bin")]).unwrap();
    assert_eq!(settings.listen.to_string(), "127.0.0.1:8000");
    assert!(settings.is_dev());
    assert!(settings.core().unwrap().policy.allow_anonymous);
}

#[test]
fn flags_override_the_environment_which_overrides_the_file() {
    let file = File::new("precedence", "node_name = 'file'\nping_interval = '21s'\noutbox_frames = 101\nlogs = 11");
    let environment =
        [("PARLOR_CONFIG", file.path()), ("PARLOR_NODE_NAME", "environment"), ("PARLOR_PING_INTERVAL", "22s")];
    let settings = load(&["--node-name", "flag"], &environment).unwrap();
    assert_eq!(settings.node_name, "flag");
    assert_eq!(settings.limits.ping_interval, Duration::from_secs(22));
    assert_eq!(settings.limits.outbox_frames, 101);

    let other = File::new("other", "logs = 12");
    let settings = load(&["--config", other.path()], &environment).unwrap();
    assert_eq!((settings.limits.logs, settings.limits.outbox_frames), (12, 1024), "the flag's file, not both");
}

#[test]
fn all_three_say_the_same_things() {
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
        assert_eq!(settings.allowed_origins, ["https://a", "https://b"]);
        assert_eq!(settings.limits.history_age, Duration::from_secs(90));
        let policy = settings.core().unwrap().policy;
        assert!(policy.allow_anonymous && !policy.allow_publish);
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
fn what_kubernetes_sets_for_a_service_called_parlor_is_not_ours() {
    let environment = [
        ("PARLOR_PORT", "tcp://10.0.0.1:80"),
        ("PARLOR_PORT_80_TCP_ADDR", "10.0.0.1"),
        ("PARLOR_SERVICE_HOST", "10.0.0.1"),
    ];
    load(&[], &environment).unwrap();
}

#[test]
fn bad_values_name_what_is_allowed() {
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
    assert!(wrong("nested", "listen = { port = 8000 }").contains("listen must not be a table"));
    assert!(load(&["--config", "/nonexistent/parlor.toml"], &[]).unwrap_err().contains("/nonexistent/parlor.toml"));
}

#[test]
fn rates_and_bounds_that_can_be_off_are_written_as_they_are_shown() {
    let file = File::new("rates", "client_commands = '7/s burst 9'\nconnections_per_ip = 3\nnew_connections = 'off'");
    let flags = ["--config", file.path(), "--client-publishes=2/s, burst 4", "--connections-per-user=off"];
    let limits = load(&flags, &[("PARLOR_NEW_CONNECTIONS_PER_IP", "1/s,burst 2")]).unwrap().limits;
    assert_eq!(limits.client_commands, Rate { per_second: 7, burst: 9 });
    assert_eq!(limits.client_publishes, Rate { per_second: 2, burst: 4 });
    assert_eq!(limits.new_connections, Rate::OFF);
    assert_eq!(limits.new_connections_per_ip, Rate { per_second: 1, burst: 2 });
    assert_eq!((limits.connections_per_ip, limits.connections_per_user), (3, 0));
}

#[test]
fn every_limit_can_be_set_to_what_its_row_says() {
    let settings = Settings::default();
    let rows = settings.limit_rows();
    let flags: Vec<String> = rows.iter().map(|row| format!("--{}={}", row.key.replace('_', "-"), row.value)).collect();
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    assert_eq!(load(&flags, &[]).unwrap().limit_rows(), rows);
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
        let settings = load(&[&listen, "--api-key=k"], &[]).unwrap();
        assert!(!settings.is_dev());
        assert!(!settings.core().unwrap().policy.allow_anonymous);
        let error = load(&[&listen, "--api-key=k", "--dev=true"], &[]).unwrap_err();
        assert!(error.contains("loopback"), "{error}");
    }
}

#[test]
fn a_key_or_a_secret_does_not_end_development_mode() {
    let settings = load(&["--api-key=k", "--token-secret=s", "--listen=[::1]:8000"], &[]).unwrap();
    assert!(settings.is_dev());
    assert!(!load(&["--dev=false"], &[]).unwrap().is_dev());
}

#[test]
fn what_would_surprise_is_said() {
    let doubts = |flags: &[&str]| load(flags, &[]).unwrap().doubts().join("; ");
    assert_eq!(doubts(&[]), "");
    assert_eq!(doubts(&["--dev=false", "--api-key=k", "--token-secret=s"]), "");
    assert!(doubts(&["--dev=false", "--api-key=k"]).contains("token_secret"));
    assert!(doubts(&["--dev=false", "--token-secret=s"]).contains("api_key"));
}
