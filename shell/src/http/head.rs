//! Checks of a request's head that the HTTP library does not make.

use super::response::{ResponseBody, logged_error};
use crate::config::is_authority;
use crate::net::refusals::RefusalReason;
use hyper::header::{
    CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, UPGRADE,
};
use hyper::{Request, Response, StatusCode, Version};

/// The subprotocol of the `json` protocol.
pub(super) const JSON_PROTOCOL: &str = "centrifuge-json";
/// The subprotocol of the binary form of the same protocol.
const PROTOBUF_PROTOCOL: &str = "centrifuge-protobuf";
/// Query parameters by which a client asks for the binary form.
const PROTOBUF_QUERIES: [&str; 2] = ["cf_protocol=protobuf", "format=protobuf"];

/// Checks `Host`: an HTTP/1.1 request has exactly one (RFC 9112 section 3.2), an HTTP/1.0 request at most one, and its value
/// is a host with or without a port.
///
/// # Errors
/// 400, which says what is wrong.
pub(super) fn check_host<T>(request: &Request<T>) -> Result<(), Box<Response<ResponseBody>>> {
    let hosts: Vec<&HeaderValue> = request.headers().get_all(HOST).iter().collect();
    let message = match &hosts[..] {
        [] if request.version() == Version::HTTP_10 => return Ok(()),
        [] => "the Host header is missing; an HTTP/1.1 request has exactly one".to_owned(),
        [host] if host.to_str().is_ok_and(is_authority) => return Ok(()),
        [_] => "the Host header is not a host such as rooms.example.com or 127.0.0.1:8000".to_owned(),
        several => format!("the request has {} Host headers; exactly one is allowed", several.len()),
    };
    Err(logged_error(RefusalReason::Host, StatusCode::BAD_REQUEST, &message).into())
}

/// Refuses a client that asks for the binary form of the protocol and does not offer JSON.
///
/// # Errors
/// 400, which names the form that is supported.
pub(super) fn check_protocol<T>(request: &Request<T>) -> Result<(), Box<Response<ResponseBody>>> {
    let query = request.uri().query().unwrap_or_default();
    let asks = query.split('&').any(|pair| PROTOBUF_QUERIES.contains(&pair));
    let offers = |protocol: &str| {
        items(request.headers(), &SEC_WEBSOCKET_PROTOCOL).any(|offered| offered == protocol.as_bytes())
    };
    if !(asks || offers(PROTOBUF_PROTOCOL)) || offers(JSON_PROTOCOL) {
        return Ok(());
    }
    let message = format!("protobuf is not supported; use JSON (the subprotocol {JSON_PROTOCOL}, or none)");
    Err(logged_error(RefusalReason::Upgrade, StatusCode::BAD_REQUEST, &message).into())
}

/// Whether a request was meant as an upgrade, even where a proxy has removed half of it: frames follow it, not requests.
pub(super) fn asks_for_websocket(headers: &HeaderMap) -> bool {
    let is_websocket = |item: &[u8]| item.eq_ignore_ascii_case(b"websocket");
    headers.contains_key(SEC_WEBSOCKET_KEY) || items(headers, &UPGRADE).any(is_websocket)
}

/// The items of a list header, over all its lines (RFC 9110 section 5.3). Lines that are not ASCII are skipped.
pub(super) fn items<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    let lines = headers.get_all(name).into_iter().filter(|line| line.to_str().is_ok());
    // Byte by byte: a header may have thousands of items of one letter, for which a search for each comma takes longer.
    lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii)
}

/// The head of the request with `Connection: upgrade` and `Upgrade: websocket` alone on their lines, if they are among the
/// items of these headers: the WebSocket library reads the first line only.
pub(super) fn with_plain_upgrade<T>(request: &Request<T>) -> Request<()> {
    let mut plain = Request::new(());
    *plain.method_mut() = request.method().clone();
    *plain.version_mut() = request.version();
    *plain.headers_mut() = request.headers().clone();
    for (name, wanted) in [(CONNECTION, "upgrade"), (UPGRADE, "websocket")] {
        if items(request.headers(), &name).any(|item| item.eq_ignore_ascii_case(wanted.as_bytes())) {
            plain.headers_mut().insert(name, HeaderValue::from_static(wanted));
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(uri: &str, lines: &[(&str, &str)]) -> Request<()> {
        lines
            .iter()
            .fold(Request::builder().uri(uri), |builder, (name, value)| builder.header(*name, *value))
            .body(())
            .unwrap()
    }

    #[test]
    fn a_request_has_one_host_and_an_old_one_may_have_none() {
        let [none, one, two] = [&[][..], &[("host", "a")], &[("host", "a"), ("host", "a")]];
        let [empty, user] = [&[("host", "")][..], &[("host", "user:password@a")]];
        for (version, lines, good) in [
            (Version::HTTP_11, none, false),
            (Version::HTTP_11, one, true),
            (Version::HTTP_11, two, false),
            (Version::HTTP_10, none, true),
            (Version::HTTP_10, one, true),
            (Version::HTTP_10, two, false),
            (Version::HTTP_10, empty, false),
            (Version::HTTP_11, empty, false),
            (Version::HTTP_11, user, false),
        ] {
            let mut request = request("/", lines);
            *request.version_mut() = version;
            assert_eq!(check_host(&request).is_ok(), good, "{version:?} {lines:?}");
        }
    }

    #[test]
    fn protobuf_is_refused_unless_json_is_offered_as_well() {
        let offers = "sec-websocket-protocol";
        for (uri, lines, good) in [
            ("/?cf_protocol=protobuf", &[][..], false),
            ("/?a=b&format=protobuf", &[], false),
            ("/?format=json", &[], true),
            ("/?x_format=protobuf", &[], true),
            ("/", &[(offers, "centrifuge-protobuf")], false),
            ("/", &[(offers, "centrifuge-protobuf, bearer.a")], false),
            ("/", &[(offers, "centrifuge-protobuf, centrifuge-json")], true),
            ("/", &[(offers, "centrifuge-protobuf"), (offers, "centrifuge-json")], true),
            ("/?cf_protocol=protobuf", &[(offers, "centrifuge-json")], true),
        ] {
            assert_eq!(check_protocol(&request(uri, lines)).is_ok(), good, "{uri} {lines:?}");
        }
    }
}
