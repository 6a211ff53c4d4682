//! Requirements on the head of a request, byte by byte.

mod common;

use common::{World, http, raw_http};

fn upgrade(lines: &str) -> Vec<u8> {
    let key = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
    format!("GET /ws/room HTTP/1.1\r\n{key}\r\n{lines}\r\n\r\n").into_bytes()
}

#[test]
fn a_request_without_a_host_or_with_two_is_refused() {
    let world = World::new();
    let asks = "Connection: Upgrade\r\nUpgrade: websocket";
    for (hosts, status, words) in [
        ("", 400, "missing"),
        ("Host: localhost\r\nHost: localhost\r\n", 400, "2 Host headers"),
        ("Host: localhost\r\n", 101, ""),
    ] {
        let answer = raw_http(world.address, &upgrade(&format!("{hosts}{asks}")));
        assert_eq!(answer.status, status, "{hosts:?}: {answer:?}");
        assert!(answer.body.contains(words), "{hosts:?}: {answer:?}");
        let looked = raw_http(world.address, format!("GET /health/live HTTP/1.1\r\n{hosts}\r\n").as_bytes());
        assert_eq!(looked.status == 400, status == 400, "{hosts:?}: {looked:?}");
    }
    let old = raw_http(world.address, b"GET /health/live HTTP/1.0\r\n\r\n");
    assert_eq!(old.status, 200, "HTTP/1.0 has no Host: {old:?}");
}

#[test]
fn an_invalid_host_is_refused() {
    let world = World::new();
    let asks = "Connection: Upgrade\r\nUpgrade: websocket";
    for host in ["", "a b/c", "a\tb", "u:password@a", "[::1", "a:b", "b\u{fc}cher.example", "http://a"] {
        let answer = raw_http(world.address, &upgrade(&format!("Host: {host}\r\n{asks}")));
        assert_eq!(answer.status, 400, "{host:?}: {answer:?}");
        assert!(answer.body.contains("is not a host"), "{host:?}: {answer:?}");
        let looked = raw_http(world.address, format!("GET /health HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes());
        assert_eq!(looked.status, 400, "{host:?}: {looked:?}");
    }
    for host in ["localhost:8000", "LOCALHOST", " a_b ", "[::1]:80", "xn--bcher-kva.example."] {
        let answer = raw_http(world.address, &upgrade(&format!("Host: {host}\r\n{asks}")));
        assert_eq!(answer.status, 101, "{host:?}: {answer:?}");
    }
}

#[test]
fn upgrade_headers_may_have_several_lines_and_values() {
    let world = World::new();
    for lines in [
        "Connection: keep-alive\r\nConnection: Upgrade\r\nUpgrade: websocket",
        "Connection: keep-alive, Upgrade\r\nUpgrade: websocket",
        "Connection: Upgrade\r\nUpgrade: h2c\r\nUpgrade: WebSocket",
        "Connection: upgrade\r\nUpgrade: h2c, websocket",
    ] {
        let answer = raw_http(world.address, &upgrade(&format!("Host: localhost\r\n{lines}")));
        assert_eq!(answer.status, 101, "{lines:?}: {answer:?}");
    }
    let answer = raw_http(world.address, &upgrade("Host: localhost\r\nConnection: keep-alive\r\nUpgrade: websocket"));
    assert_eq!(answer.status, 400, "{answer:?}");
}

#[test]
fn a_protobuf_client_is_refused_at_the_upgrade() {
    let world = World::new();
    let ask = |query: &str, headers: &str| {
        let headers = format!(
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}"
        );
        http(world.address, "GET", &format!("/connection/websocket{query}"), &headers, "")
    };
    for (query, headers) in [
        ("?cf_protocol=protobuf", ""),
        ("?format=protobuf", ""),
        ("", "Sec-WebSocket-Protocol: centrifuge-protobuf\r\n"),
    ] {
        let answer = ask(query, headers);
        assert_eq!(answer.status, 400, "{answer:?}");
        assert!(answer.body.contains("centrifuge-json"), "{answer:?}");
    }
    let answer = ask("", "Sec-WebSocket-Protocol: centrifuge-protobuf, centrifuge-json\r\n");
    assert_eq!((answer.status, answer.header("sec-websocket-protocol")), (101, Some("centrifuge-json")));
}
