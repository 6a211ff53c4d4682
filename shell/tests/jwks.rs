//! Keys of tokens that are fetched from a JWKS: when, what of, and who waits for it.

#![allow(clippy::disallowed_methods, reason = "tests have their own clock")]

mod common;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use common::jwks::{Endpoint, Key, Reply, set};
use common::program::Program;
use common::settings::File;
use common::{Client, KEY, SECRET, get, health, http, start, token, wait_until};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use parlor::config::Settings;
use parlor::runtime::key_fetcher::{JWKS_BYTES, JwksTimes};
use parlor::server::Server;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use serde_json::{Value, json};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

const HOUR: Duration = Duration::from_secs(3600);
/// Nothing is fetched but at the start and for tokens.
const ON_DEMAND: JwksTimes = JwksTimes { interval: HOUR, least: Duration::ZERO, timeout: HOUR };

/// A server in production mode that knows the secret of the tests and the keys at this URL.
fn serve(url: &str, times: JwksTimes, change: impl FnOnce(&mut Settings)) -> Server {
    start(|settings| {
        settings.dev = Some(false);
        settings.token_jwks = Some(url.parse().unwrap());
        settings.jwks_times = times;
        change(settings);
    })
}

/// The same without the secret.
fn serve_alone(url: &str, times: JwksTimes) -> Server {
    serve(url, times, |settings| settings.token_secret = None)
}

/// A server that has fetched this endpoint's keys.
fn fetched(endpoint: &Endpoint, times: JwksTimes) -> Server {
    let server = serve(&endpoint.url(), times, |_| {});
    wait_until("the first fetch", || jwks(server.address())["keys"] != 0);
    server
}

fn jwks(address: SocketAddr) -> Value {
    health(address)["token_jwks"].clone()
}

fn metrics(address: SocketAddr) -> String {
    http(address, "GET", "/metrics", &format!("X-API-Key: {KEY}\r\n"), "").body
}

fn claims() -> Value {
    json!({"sub": "ada"})
}

/// A json client that has said who it is, and was not answered yet.
fn connecting(address: SocketAddr, token: &str) -> Client {
    let mut client = Client::connect(address, "/connection/websocket");
    client.send(&json!({"id": 1, "connect": {"token": token}}));
    client
}

/// The user that a token makes of a json client, or what the client is told otherwise: an error's code, or a Close's.
fn outcome(client: &mut Client) -> Result<(), u16> {
    let (opcode, payload) = client.frame().unwrap();
    if opcode == common::CLOSE {
        return Err(u16::from_be_bytes([payload[0], payload[1]]));
    }
    let reply: Value = serde_json::from_slice(&payload).unwrap();
    let error = &reply["error"];
    assert!(error.is_null() || error["temporary"] == true, "{reply}");
    error["code"].as_u64().map_or(Ok(()), |code| Err(u16::try_from(code).unwrap()))
}

fn said_of(address: SocketAddr, token: &str) -> Result<(), u16> {
    outcome(&mut connecting(address, token))
}

#[test]
fn a_server_is_ready_once_it_has_fetched_a_key() {
    let (endpoint, key) = (Endpoint::new(Reply::Status(500, String::new())), Key::new("a"));
    let server = serve_alone(&endpoint.url(), JwksTimes::default());
    let address = server.address();
    wait_until("a failure", || jwks(address)["failures"].as_u64() > Some(0));
    let ready = get(address, "/health/ready");
    assert_eq!((ready.status, &*ready.body), (503, "starting"));
    assert_eq!(ready.header("retry-after"), Some("1"));
    assert!(metrics(address).contains("\nparlor_ready 0\n"));
    assert_eq!(get(address, "/health/live").status, 200);
    let said = health(address);
    assert_eq!(said["status"], "starting");
    assert_eq!(said["token_jwks"]["error"], "answered 500 Internal Server Error");
    assert!(said["token_jwks"]["fetched_at"].is_null());
    endpoint.serves(&[&key]);
    // Nobody has to ask for it.
    wait_until("the fetch", || get(address, "/health/ready").status == 200);
    assert!(metrics(address).contains("\nparlor_ready 1\n"));
    let said = health(address);
    assert_eq!((&said["status"], &said["token_jwks"]["keys"]), (&json!("ok"), &json!(1)));
    assert!(said["token_jwks"]["error"].is_null() && said["token_jwks"]["fetched_at"].as_u64() > Some(1_700_000_000));
    assert_eq!(said_of(address, &key.token(&claims())), Ok(()));
    assert_eq!(said_of(address, &key.sign(None, &claims())), Ok(()), "a token need not name its key");
}

#[test]
fn a_server_with_another_key_is_ready_at_once() {
    let endpoint = Endpoint::new(Reply::Silence);
    let server = serve(&endpoint.url(), ON_DEMAND, |_| {});
    assert_eq!(get(server.address(), "/health/ready").status, 200);
    assert_eq!(said_of(server.address(), &token(&claims())), Ok(()));
}

#[test]
fn one_fetch_brings_the_key_that_many_wait_for_and_delays_nobody_else() {
    let (old, new) = (Key::new("old"), Key::new("new"));
    let endpoint = Endpoint::new(Reply::Body(set(&[&old])));
    let server = fetched(&endpoint, ON_DEMAND);
    endpoint.replies(Reply::Silence);
    let mut waiting: Vec<Client> = (0..50).map(|_| connecting(server.address(), &new.token(&claims()))).collect();
    wait_until("the fetch", || endpoint.requests() == 2);
    assert_eq!(said_of(server.address(), &old.token(&claims())), Ok(()));
    assert_eq!(said_of(server.address(), &token(&claims())), Ok(()));
    endpoint.serves(&[&new]);
    for client in &mut waiting {
        assert_eq!(outcome(client), Ok(()));
    }
    assert_eq!(endpoint.requests(), 2);
    assert_eq!(said_of(server.address(), &old.token(&claims())), Err(3500), "its key is not in the set any more");
}

#[test]
fn a_kid_that_nobody_has_is_fetched_for_once_in_a_while() {
    let (known, unknown) = (Key::new("known"), Key::new("unknown"));
    let endpoint = Endpoint::new(Reply::Body(set(&[&known])));
    let server = fetched(&endpoint, JwksTimes { least: Duration::from_secs(3), ..ON_DEMAND });
    let began = Instant::now();
    for _ in 0..5 {
        assert_eq!(said_of(server.address(), &unknown.token(&claims())), Err(100), "it may come back");
    }
    if began.elapsed() < Duration::from_secs(2) {
        assert_eq!(endpoint.requests(), 1);
    }
    wait_until("a fetch", || said_of(server.address(), &unknown.token(&claims())) == Err(3500));
    assert_eq!(endpoint.requests(), 2);
    endpoint.serves(&[&known, &unknown]);
    wait_until("another fetch", || said_of(server.address(), &unknown.token(&claims())) == Ok(()));
    assert_eq!(endpoint.requests(), 3);
}

#[test]
fn keys_stay_in_use_while_fetches_fail() {
    let key = Key::new("a");
    let endpoint = Endpoint::new(Reply::Body(set(&[&key])));
    let often = Duration::from_millis(20);
    let server = fetched(&endpoint, JwksTimes { interval: often, least: often, ..ON_DEMAND });
    endpoint.replies(Reply::Status(500, String::new()));
    wait_until("failures", || jwks(server.address())["failures"].as_u64() > Some(2));
    assert_eq!(said_of(server.address(), &key.token(&claims())), Ok(()));
    let said = jwks(server.address());
    assert_eq!((&said["keys"], &said["error"]), (&json!(1), &json!("answered 500 Internal Server Error")));
    assert_eq!(get(server.address(), "/health/ready").status, 200);
    endpoint.serves(&[&key]);
    wait_until("a success", || jwks(server.address())["error"].is_null());
}

#[test]
fn a_closed_port_is_told_of() {
    let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let server = serve_alone(&format!("http://{closed}/"), ON_DEMAND);
    wait_until("a failure", || jwks(server.address())["failures"].as_u64() > Some(0));
    let error = jwks(server.address())["error"].to_string();
    assert!(error.contains(&format!("cannot be reached at {closed}: Connection refused")), "{error}");
}

#[test]
fn a_token_waits_no_longer_than_a_fetch_may_take() {
    let (known, unknown) = (Key::new("known"), Key::new("unknown"));
    let endpoint = Endpoint::new(Reply::Body(set(&[&known])));
    let timeout = Duration::from_millis(700);
    let server = fetched(&endpoint, JwksTimes { timeout, ..ON_DEMAND });
    endpoint.replies(Reply::Silence);
    let began = Instant::now();
    let mut json = connecting(server.address(), &unknown.token(&claims()));
    let mut plain = Client::connect(server.address(), &format!("/ws/a?token={}", unknown.token(&claims())));
    let mut refreshing = connecting(server.address(), &token(&claims()));
    assert_eq!(outcome(&mut refreshing), Ok(()));
    assert!(began.elapsed() < timeout, "a token with another key does not wait");
    refreshing.send(&json!({"id": 2, "refresh": {"token": unknown.token(&claims())}}));
    assert_eq!(outcome(&mut json), Err(100));
    assert_eq!(plain.close().0, 3004);
    assert_eq!(outcome(&mut refreshing), Err(100), "and it stays connected");
    assert!(began.elapsed() >= timeout);
    assert_eq!(jwks(server.address())["error"], "did not answer within 700ms");
    assert_eq!(said_of(server.address(), &known.token(&claims())), Ok(()));
}

#[test]
fn a_client_that_waits_is_closed_by_its_own_deadline() {
    let (known, unknown) = (Key::new("known"), Key::new("unknown"));
    let endpoint = Endpoint::new(Reply::Body(set(&[&known])));
    let server = serve(&endpoint.url(), ON_DEMAND, |settings| {
        settings.limits.authenticate_timeout = Duration::from_millis(300);
    });
    wait_until("the first fetch", || jwks(server.address())["keys"] == 1);
    endpoint.replies(Reply::Silence);
    assert_eq!(said_of(server.address(), &unknown.token(&claims())), Err(3502));
    endpoint.serves(&[&unknown]);
    assert_eq!(said_of(server.address(), &unknown.token(&claims())), Ok(()), "what has ended is passed over");
}

#[test]
fn an_answer_that_is_no_small_set_is_refused_and_why_is_told() {
    let key = Key::new("a");
    let fill = |bytes: usize| {
        let set = set(&[&key]);
        format!("{set}{}", " ".repeat(bytes - set.len()))
    };
    let many = |count: usize| json!({"keys": vec![key.jwk(); count]}).to_string();
    let oct = json!({"keys": [{"kty": "oct", "kid": "a", "k": URL_SAFE_NO_PAD.encode(SECRET)}]}).to_string();
    for (reply, error) in [
        (Reply::Body(fill(JWKS_BYTES)), None),
        (Reply::Body(fill(JWKS_BYTES + 1)), Some("answered more than 65536 bytes")),
        (Reply::Body(many(32)), None),
        (Reply::Body(many(33)), Some("has 33 keys; expected at most 32")),
        (Reply::Status(404, String::new()), Some("answered 404 Not Found")),
        (Reply::Status(302, "Location: /other\r\n".into()), Some("answered 302 Found, and redirects are not followed")),
        (Reply::Status(200, format!("X: {}\r\n", "x".repeat(40_000))), Some("did not answer in HTTP")),
        (Reply::Body("<html>".into()), Some("is not a JWKS")),
        (Reply::Body(oct), Some("has no key for RS256, ES256 or EdDSA")),
        (Reply::Body(r#"{"keys":[]}"#.into()), Some("has no key for RS256, ES256 or EdDSA")),
    ] {
        let endpoint = Endpoint::new(reply.clone());
        let server = serve_alone(&endpoint.url(), ON_DEMAND);
        wait_until("a fetch", || {
            let jwks = jwks(server.address());
            jwks["keys"] != 0 || jwks["failures"] != 0
        });
        let said = jwks(server.address())["error"].clone();
        match error {
            None => assert!(said.is_null(), "{said}"),
            Some(error) => assert!(said.as_str().unwrap().starts_with(error), "{said}"),
        }
        let status = get(server.address(), "/health/ready").status;
        assert_eq!(status, if error.is_some() { 503 } else { 200 }, "{reply:?}");
        assert!(endpoint.paths().iter().all(|path| path == "/jwks.json"), "{:?}", endpoint.paths());
    }
}

#[test]
fn a_name_that_leads_to_a_link_local_address_is_refused() {
    // 169.254.169.254, as the system's resolver reads it.
    let server = serve_alone("http://2852039166/latest", ON_DEMAND);
    wait_until("a failure", || jwks(server.address())["failures"].as_u64() > Some(0));
    assert_eq!(jwks(server.address())["error"], "leads to the link-local address 169.254.169.254, which is refused");
}

#[test]
fn a_fetched_key_is_no_secret_and_a_token_does_not_choose() {
    let key = Key::new("a");
    let shared = "a shared secret, which a set that all can read does not keep";
    let oct = json!({"kty": "oct", "kid": "b", "alg": "HS256", "k": URL_SAFE_NO_PAD.encode(shared)});
    let endpoint = Endpoint::new(Reply::Body(json!({"keys": [key.jwk(), oct]}).to_string()));
    let server = fetched(&endpoint, ON_DEMAND);
    let x = URL_SAFE_NO_PAD.decode(key.x()).unwrap();
    let hs256 = |kid: &str, secret: &[u8]| {
        let header = Header { kid: Some(kid.into()), ..Header::new(Algorithm::HS256) };
        jsonwebtoken::encode(&header, &claims(), &EncodingKey::from_secret(secret)).unwrap()
    };
    let none = |kid: &str| {
        let part = |part: Value| URL_SAFE_NO_PAD.encode(part.to_string());
        format!("{}.{}.", part(json!({"alg": "none", "kid": kid})), part(claims()))
    };
    let before = endpoint.requests();
    for token in [
        hs256("a", &x),
        hs256("a", key.x().as_bytes()),
        hs256("a", key.jwk().to_string().as_bytes()),
        hs256("b", shared.as_bytes()),
        none("a"),
        none("unknown"),
        Key::new("a").token(&claims()),
    ] {
        assert_eq!(said_of(server.address(), &token), Err(3500), "{token}");
    }
    assert_eq!(endpoint.requests(), before, "no fetch would change that");
    let long = Key::new(&"k".repeat(10_000));
    assert_eq!(said_of(server.address(), &long.token(&claims())), Err(3500));
    assert_eq!(endpoint.requests(), before + 1);
    assert_eq!(said_of(server.address(), &key.token(&claims())), Ok(()));
}

#[test]
fn an_authority_that_the_system_trusts_is_trusted() {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".into()]).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let signer = Key::new("a");
    let endpoint = Endpoint::with_tls(Reply::Body(set(&[&signer])), Some(Arc::new(config)));
    let url = format!("https://localhost:{}/jwks.json", endpoint.address.port());
    let authorities = std::env::temp_dir().join(format!("parlor-jwks-{}.pem", std::process::id()));
    std::fs::write(&authorities, cert.pem()).unwrap();
    let run = |variable: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_parlor"));
        command.args(["--listen", "127.0.0.1:0", "--api-key", KEY, "--token-jwks", &url]);
        Program::run(command.env(variable, &authorities), Stdio::piped())
    };
    let trusting = run("SSL_CERT_FILE");
    wait_until("the fetch", || get(trusting.address, "/health/ready").status == 200);
    assert_eq!(said_of(trusting.address, &signer.token(&claims())), Ok(()));
    let other = run("NOT_SSL_CERT_FILE");
    wait_until("a failure", || jwks(other.address)["failures"].as_u64() > Some(0));
    let error = jwks(other.address)["error"].to_string();
    assert!(error.contains("cannot be spoken TLS with") || error.contains("no certificates of authorities"), "{error}");
    std::fs::remove_file(authorities).unwrap();
}

#[test]
fn a_check_of_the_settings_asks_nobody() {
    let endpoint = Endpoint::new(Reply::Body(set(&[&Key::new("a")])));
    for command in ["check", "show"] {
        let mut parlor = Command::new(env!("CARGO_BIN_EXE_parlor"));
        let parlor = parlor.args(["config", command, "--api-key", KEY, "--token-jwks", &endpoint.url()]);
        let output = parlor.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        if command == "show" {
            let said = String::from_utf8(output.stdout).unwrap();
            assert!(said.contains(&format!("token_jwks = \"{}\"", endpoint.url())), "{said}");
        }
    }
    assert_eq!(endpoint.requests(), 0);
}

#[test]
fn a_check_that_connects_asks_as_the_server_would() {
    let endpoint = Endpoint::new(Reply::Body(set(&[&Key::new("a")])));
    let url = format!("{}?code=s3cret", endpoint.url());
    let run = |arguments: &[&str], more: &[&str]| {
        let mut parlor = Command::new(env!("CARGO_BIN_EXE_parlor"));
        parlor.arg("config").args(arguments).args(["--api-key", KEY, "--token-jwks", &url]).args(more);
        let output = parlor.output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(!said.contains("s3cret"), "{said}");
        (output.status.code(), said)
    };
    for command in [&["show"][..], &["explain", "token_jwks"]] {
        assert!(run(command, &[]).1.contains("with a query that is not shown"), "{command:?}");
    }
    assert_eq!(endpoint.requests(), 0);
    let (code, said) = run(&["check", "--connect"], &[]);
    assert!(code == Some(0) && said.contains("has keys that can be used: 1"), "{said}");
    assert_eq!(endpoint.requests(), 1);
    endpoint.replies(Reply::Status(404, String::new()));
    let alert = |port: u16| {
        let alert = "[[alerts]]\nname = \"a\"\nfigure = \"connections\"\nabove = 1\n";
        File::new(&format!("connect-{port}"), &format!("{alert}url = \"http://127.0.0.1:{port}/s3cret\"\n"))
    };
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (wrong, right) = (alert(closed), alert(endpoint.address.port()));
    let (code, said) = run(&["check", "--connect"], &["--config", wrong.path()]);
    assert!(code == Some(1) && said.contains("404") && said.contains("cannot be reached"), "{said}");
    let (_, said) = run(&["check", "--connect"], &["--config", right.path()]);
    assert!(said.contains("can be connected to"), "{said}");
    assert_eq!(endpoint.requests(), 3, "no notification is sent");
    let (code, _) = run(&["check", "--connect"], &["--connections", "0"]);
    assert_eq!((code, endpoint.requests()), (Some(1), 3), "nobody is asked for what is written wrongly");
}

#[test]
fn fetches_are_figures() {
    let endpoint = Endpoint::new(Reply::Body(set(&[&Key::new("a")])));
    let server = fetched(&endpoint, ON_DEMAND);
    let page = common::http(server.address(), "GET", "/metrics", &format!("X-API-Key: {KEY}\r\n"), "").body;
    for line in [
        "parlor_jwks_keys 1",
        "parlor_jwks_fetches_total{result=\"ok\"} 1",
        "parlor_jwks_fetches_total{result=\"failed\"} 0",
    ] {
        assert!(page.lines().any(|written| written == line), "{line} in {page}");
    }
    let at = page.lines().find_map(|line| line.strip_prefix("parlor_jwks_last_success_timestamp_seconds ")).unwrap();
    assert!(at.parse::<f64>().unwrap() > 1.7e9, "{at}");
}
