//! TLS: who speaks it is served as over TCP, and the certificate may change.

#![allow(clippy::disallowed_methods, reason = "tests have their own clock")]

mod common;

use common::program::Program;
use common::{Answer, Client, KEY, PATIENCE, PONG, ask, connect, frame, start, wait_until};
use parlor::config::Settings;
use parlor::server::Server;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion, version};
use serde_json::json;
use socket2::{Domain, Socket, Type};
use std::fs;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

type TlsStream = StreamOwned<ClientConnection, TcpStream>;

/// A folder with a certificate for localhost and its key, which goes when this is dropped.
struct Files {
    folder: PathBuf,
    cert: CertificateDer<'static>,
}

impl Files {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("parlor-tls-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let cert = write(&folder);
        Self { folder, cert }
    }

    fn path(&self, name: &str) -> String {
        self.folder.join(name).to_str().unwrap().into()
    }

    /// Replaces the certificate and its key.
    fn replace(&mut self) {
        self.cert = write(&self.folder);
    }

    /// A server that speaks TLS by them.
    fn serve(&self) -> Server {
        self.serve_with(|_| {})
    }

    fn serve_with(&self, change: impl FnOnce(&mut Settings)) -> Server {
        start(|settings| {
            settings.tls_cert = Some(self.path("cert.pem"));
            settings.tls_key = Some(self.path("key.pem"));
            change(settings);
        })
    }

    /// The program, which speaks TLS by them.
    fn program(&self) -> Program {
        let (cert, key) = (self.path("cert.pem"), self.path("key.pem"));
        Program::start(&["--api-key", KEY, "--dev", "true", "--tls-cert", &cert, "--tls-key", &key])
    }

    /// The configuration of a client that trusts the certificate.
    fn trusting(&self, versions: &[&'static SupportedProtocolVersion]) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.cert.clone()).unwrap();
        let mut config =
            ClientConfig::builder_with_protocol_versions(versions).with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Arc::new(config)
    }

    fn connect(&self, address: SocketAddr) -> TlsStream {
        handshake(connect(address), self.trusting(rustls::ALL_VERSIONS)).unwrap()
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn write(folder: &Path) -> CertificateDer<'static> {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".into()]).unwrap();
    fs::write(folder.join("cert.pem"), cert.pem()).unwrap();
    fs::write(folder.join("key.pem"), signing_key.serialize_pem()).unwrap();
    cert.der().clone()
}

fn handshake(mut socket: TcpStream, config: Arc<ClientConfig>) -> io::Result<TlsStream> {
    let mut session = ClientConnection::new(config, ServerName::try_from("localhost").unwrap()).unwrap();
    while session.is_handshaking() {
        session.complete_io(&mut socket)?;
    }
    Ok(StreamOwned::new(session, socket))
}

fn get(stream: &mut TlsStream, path: &str) -> Answer {
    ask(stream, format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes())
}

/// Publishes over TLS.
fn publish_over(stream: &mut TlsStream, room: &str, data: &str) {
    let body = json!({"channel": room, "data": data}).to_string();
    let head = format!(
        "POST /api/publish HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {KEY}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let answer = ask(stream, &[head.as_bytes(), body.as_bytes()].concat());
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[test]
fn clients_are_served_over_both_versions() {
    let files = Files::new("versions");
    let server = files.serve();
    for version in [&version::TLS12, &version::TLS13] {
        let config = files.trusting(&[version]);
        let mut backend = handshake(connect(server.address()), config.clone()).unwrap();
        assert_eq!(backend.conn.protocol_version(), Some(version.version));
        assert_eq!(backend.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
        assert_eq!(get(&mut backend, "/health/ready").status, 200);
        // Early bytes: the first message comes with the request.
        let ping = frame(0x89, b"early");
        let mut client =
            Client::over(handshake(connect(server.address()), config).unwrap(), "/ws/a?greeting=off", "", &ping);
        assert_eq!(client.frame().unwrap(), (PONG, b"early".into()));
        publish_over(&mut backend, "a", "hello");
        assert_eq!(client.receive(), "hello");
        client.send_close(1000);
        assert_eq!(client.close().0, 1000);
        // close_notify, and not just the end of the stream, which would be an error here.
        assert_eq!(client.socket.read(&mut [0; 16]).unwrap(), 0);
    }
}

#[test]
fn internal_addresses_speak_plain_http() {
    let files = Files::new("internal");
    let server = files.serve_with(|settings| settings.internal_listen = Some("127.0.0.1:0".parse().unwrap()));
    let internal = server.internal_addresses()[0];
    assert_eq!(common::get(internal, "/health").status, 200);
    let mut client = Client::over(files.connect(server.address()), "/ws/a?greeting=off", "", b"");
    common::publish(internal, "a", &json!("hello"));
    assert_eq!(client.receive(), "hello");
    assert_eq!(get(&mut files.connect(server.address()), "/health").status, 404);
}

#[test]
fn who_speaks_http_to_an_address_of_tls_is_told() {
    let files = Files::new("plain");
    let server = files.serve();
    let mut socket = connect(server.address());
    let answer = ask(&mut socket, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(answer.status, 400);
    assert!(answer.body.contains("https://"), "{answer:?}");
    // Who only looks whether the port is open is no failure.
    drop(connect(server.address()));
    let health = get(&mut files.connect(server.address()), "/health").json();
    assert_eq!(health["totals"]["refused"]["tls"], 1, "{health}");
}

/// Reads on to the end of the stream, which must be one by close_notify: a cut would be an error.
fn expect_end(stream: &mut TlsStream) -> String {
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    String::from_utf8(rest).unwrap()
}

#[test]
fn who_ends_its_side_first_is_told_the_end() {
    let files = Files::new("half");
    let server = files.serve();
    let mut stream = files.connect(server.address());
    stream.conn.send_close_notify();
    stream.flush().unwrap();
    assert_eq!(expect_end(&mut stream), "");
    let mut client = Client::over(files.connect(server.address()), "/ws/a?greeting=off", "", b"");
    client.socket.conn.send_close_notify();
    client.socket.flush().unwrap();
    client.socket.sock.shutdown(Shutdown::Write).unwrap();
    assert_eq!(expect_end(&mut client.socket), "");
}

#[test]
fn idle_sockets_are_told_the_end_at_a_stop() {
    let files = Files::new("stop");
    let server = files.serve();
    let mut streams = [files.connect(server.address()), files.connect(server.address())];
    assert_eq!(get(&mut streams[0], "/health/ready").status, 200);
    server.stop();
    streams.iter_mut().for_each(|stream| assert_eq!(expect_end(stream), ""));
    server.wait().unwrap();
}

#[test]
fn displaced_sockets_are_told_the_end() {
    let files = Files::new("displaced");
    let server = files.serve_with(|settings| settings.limits.http_connections = 1);
    let mut silent = files.connect(server.address());
    let mut served = files.connect(server.address());
    assert!(expect_end(&mut silent).starts_with("HTTP/1.1 503 "), "and why");
    assert_eq!(get(&mut served, "/health/ready").status, 200);
    let _newest = files.connect(server.address());
    assert_eq!(expect_end(&mut served), "");
}

#[test]
fn a_probe_that_is_displaced_in_its_handshake_counts_for_the_limit_of_probes() {
    let files = Files::new("displaced_probe");
    let server = files.serve_with(|settings| {
        settings.internal_listen = Some("127.0.0.1:0".parse().unwrap());
        settings.limits.request_timeout = PATIENCE;
        (settings.limits.http_connections, settings.limits.probe_connections) = (1, 1);
    });
    let internal = server.internal_addresses()[0];
    let mut call = common::half_a_call(internal);
    let mut silent = connect(server.address());
    silent.set_nonblocking(true).unwrap();
    wait_until("its end", || {
        // Another probe, which displaces it.
        common::get(internal, "/health/ready");
        matches!(silent.read(&mut [0]), Ok(0))
    });
    assert_eq!(ask(&mut call, b"{}").status, 200);
    let health = ask(&mut call, b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").json();
    let hits = |limit| health["totals"]["limits"][limit].as_u64().unwrap_or_default();
    assert!(hits("http_connections") == 0 && hits("probe_connections") > 0, "{health}");
}

/// The start of a record of this type, which will have 16 KiB.
fn begun_record(content: u8, bytes: usize) -> Vec<u8> {
    [vec![content, 3, 3, 0x40, 0], vec![0; bytes - 5]].concat()
}

#[test]
fn records_that_are_not_whole_count_for_inbound_bytes_total() {
    let files = Files::new("halves");
    let server = files.serve_with(|settings| {
        settings.internal_listen = Some("127.0.0.1:0".parse().unwrap());
        settings.limits.api_body_bytes = 200_000;
        settings.limits.inbound_bytes_total = 200_000;
    });
    let internal = server.internal_addresses()[0];
    let hits = || common::hits(internal, "inbound_bytes_total");
    let clients: Vec<_> = (0..30)
        .map(|number| {
            let client = Client::over(files.connect(server.address()), "/ws/a?greeting=off", "", b"");
            let mut socket = client.socket.sock.try_clone().unwrap();
            if number == 18 {
                thread::sleep(Duration::from_millis(200));
                assert_eq!(hits(), 0, "18 of them fit");
            }
            // In pieces: the length is known at the first one, and is not what is kept.
            begun_record(23, 10_000).chunks(3_000).for_each(|piece| socket.write_all(piece).unwrap());
            client
        })
        .collect();
    wait_until("a refusal", || hits() > 0);
    drop(clients);
}

#[test]
fn what_is_no_data_is_not_kept_without_end() {
    let files = Files::new("endless");
    let server = files.serve();
    let mut socket = connect(server.address());
    // A first message of 64 KiB, in several records, and not all of it.
    let mut record = begun_record(22, 5 + (16 << 10));
    record[5..9].copy_from_slice(&[1, 0, 0xff, 0xf0]);
    let sent = (0..3).take_while(|_| socket.write_all(&record).is_ok()).count();
    let mut answer = [0; 1];
    let read = socket.read(&mut answer);
    assert!(read.is_err() || matches!(read, Ok(0)) || answer == [21], "after {sent} records: {read:?}");
    let health = get(&mut files.connect(server.address()), "/health").json();
    assert_eq!(health["totals"]["refused"]["tls"], 1, "{health}");
}

/// A client over TLS whose kernel takes few bytes.
fn narrow(files: &Files, address: SocketAddr) -> TlsStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4 << 10).unwrap();
    socket.connect(&address.into()).unwrap();
    let socket = TcpStream::from(socket);
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    handshake(socket, files.trusting(rustls::ALL_VERSIONS)).unwrap()
}

#[test]
fn who_reads_late_reads_everything_in_order_and_then_the_close() {
    const COUNT: usize = 3_000;
    let files = Files::new("late");
    let server = files.serve_with(|settings| {
        settings.limits.outbox_frames = 10_000;
        settings.limits.outbox_bytes = 64 << 20;
        settings.limits.outbox_bytes_total = 128 << 20;
    });
    let stream = narrow(&files, server.address());
    let mut client = Client::over(stream, "/ws/a?greeting=off", "", b"");
    let mut backend = files.connect(server.address());
    let data = |number: usize| format!("{number}:{}", "x".repeat(number % 5_000));
    (0..COUNT).for_each(|number| publish_over(&mut backend, "a", &data(number)));
    let bytes = get(&mut backend, "/health").json()["outbox_bytes"].clone();
    assert!(bytes.as_u64() > Some(1 << 20), "{bytes} bytes wait");
    for number in 0..COUNT / 2 {
        assert_eq!(client.receive(), data(number));
    }
    // The queue is written to its end, and the Close frame behind it.
    server.stop();
    for number in COUNT / 2..COUNT {
        assert_eq!(client.receive(), data(number));
    }
    assert_eq!(client.close().0, 3001);
    client.send_close(3001);
    assert_eq!(client.socket.read(&mut [0; 16]).unwrap(), 0);
}

#[test]
fn a_slow_consumer_reads_whole_frames_and_then_its_close() {
    let files = Files::new("slow");
    let server = files.serve_with(|settings| {
        settings.limits.outbox_frames = 100;
    });
    let mut client = Client::over(narrow(&files, server.address()), "/ws/a?greeting=off", "", b"");
    let mut backend = files.connect(server.address());
    let data = |number: usize| format!("{number}:{}", "x".repeat(5_000));
    let mut published = 0;
    while get(&mut backend, "/health").json()["totals"]["limits"]["outbox_frames"].is_null() {
        (0..50).for_each(|at| publish_over(&mut backend, "a", &data(published + at)));
        published += 50;
        assert!(published < 10_000, "it is never slow");
    }
    let mut read = 0;
    let code = loop {
        let (opcode, payload) = client.frame().unwrap();
        if opcode == common::CLOSE {
            break u16::from_be_bytes([payload[0], payload[1]]);
        }
        assert_eq!(String::from_utf8(payload).unwrap(), format!("\"{}\"", data(read)));
        read += 1;
    };
    assert_eq!(code, 3008);
    assert!(0 < read && read < published, "{read} of {published}");
}

#[test]
fn a_certificate_is_replaced_while_connections_stay() {
    let mut files = Files::new("replaced");
    let mut program = files.program();
    let mut before = Client::over(files.connect(program.address), "/ws/a?greeting=off", "", b"");
    let old = files.trusting(rustls::ALL_VERSIONS);
    // A file that is only half there: the old certificate stays.
    fs::write(files.folder.join("cert.pem"), "-----BEGIN CERTIFICATE-----\n").unwrap();
    program.signal("HUP");
    thread::sleep(Duration::from_millis(200));
    handshake(connect(program.address), old).unwrap();
    files.replace();
    program.signal("HUP");
    let new = files.trusting(rustls::ALL_VERSIONS);
    wait_until("a new certificate", || handshake(connect(program.address), new.clone()).is_ok());
    publish_over(&mut files.connect(program.address), "a", "still here");
    assert_eq!(before.receive(), "still here");
    program.signal("TERM");
    assert_eq!(before.close().0, 3001);
    drop(before);
    assert!(program.end().success());
    let log = program.log();
    assert!(log.matches("nothing is reloaded").count() == 1 && log.contains("was replaced"), "{log}");
}

#[test]
fn a_silent_client_has_as_long_for_its_handshake_as_for_a_request() {
    let files = Files::new("silent");
    let server = files.serve_with(|settings| {
        settings.limits.request_timeout = Duration::from_millis(300);
    });
    let mut socket = connect(server.address());
    assert_eq!(socket.read(&mut [0; 16]).unwrap(), 0);
    let health = get(&mut files.connect(server.address()), "/health").json();
    assert_eq!(health["totals"]["limits"]["request_timeout"], 1, "{health}");
}

/// The value of a series.
fn figure(page: &str, series: &str) -> f64 {
    let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {series} in {page}")).parse().unwrap()
}

#[test]
fn handshakes_are_counted_by_result() {
    let files = Files::new("counted");
    let server = files.serve_with(|settings| settings.limits.request_timeout = Duration::from_millis(300));
    let mut silent = connect(server.address());
    assert_eq!(silent.read(&mut [0; 16]).unwrap(), 0);
    ask(&mut connect(server.address()), b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    drop(connect(server.address()));
    let counts = || {
        let page = get(&mut files.connect(server.address()), "/metrics").body;
        let count = |result| figure(&page, &format!("parlor_tls_handshakes_total{{result=\"{result}\"}}"));
        (count("done") > 0.0, ["failed", "timed_out", "refused", "gone"].map(count))
    };
    wait_until("all are counted", || counts() == (true, [1.0, 1.0, 0.0, 1.0]));
}

#[test]
fn a_reload_that_fails_is_in_the_metrics() {
    let mut files = Files::new("reloads");
    let server = files.serve();
    let page = |files: &Files| get(&mut files.connect(server.address()), "/metrics").body;
    let read_at = |page: &str| figure(page, "parlor_last_reload_success_timestamp_seconds");
    let began = page(&files);
    assert!(read_at(&began) > 1.7e9 && figure(&began, "parlor_last_reload_successful") == 1.0);
    fs::write(files.folder.join("cert.pem"), "-----BEGIN CERTIFICATE-----\n").unwrap();
    server.reload_certificate().unwrap().unwrap_err();
    let failed = page(&files);
    assert_eq!(figure(&failed, "parlor_last_reload_successful"), 0.0);
    assert_eq!(figure(&failed, "parlor_reloads_total{result=\"failed\"}"), 1.0);
    assert_eq!(read_at(&failed), read_at(&began));
    thread::sleep(Duration::from_millis(10));
    files.replace();
    server.reload_certificate().unwrap().unwrap();
    let replaced = page(&files);
    assert_eq!(figure(&replaced, "parlor_last_reload_successful"), 1.0);
    assert_eq!(figure(&replaced, "parlor_reloads_total{result=\"replaced\"}"), 1.0);
    assert!(read_at(&replaced) > read_at(&began));
}

#[test]
fn a_mistake_in_the_files_is_named() {
    let files = Files::new("wrong");
    let other = Files::new("other");
    let load = |cert: Option<String>, key: Option<String>| {
        let settings = Settings { tls_cert: cert, tls_key: key, ..Default::default() };
        settings.check().and_then(|()| settings.certificate()).unwrap_err()
    };
    let [cert, key, others] = [files.path("cert.pem"), files.path("key.pem"), other.path("key.pem")].map(Some);
    for (wrong, names) in [
        (load(cert.clone(), None), "set tls_key"),
        (load(None, key.clone()), "set tls_cert"),
        (load(cert.clone(), others), "is not that of the certificate"),
        (load(cert.clone(), cert.clone()), "no private key"),
        (load(key.clone(), key.clone()), "no certificate"),
        (load(Some(files.path("none.pem")), key.clone()), "cannot read"),
    ] {
        assert!(wrong.contains(names) && wrong.contains("tls_"), "{wrong}");
    }
}
