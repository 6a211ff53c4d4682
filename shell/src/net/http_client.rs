//! One request for a URL, on a connection of its own. Redirects are not followed: only the server that an operator named is
//! asked.

use super::http_url::{HttpUrl, is_link_local};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST, USER_AGENT};
use hyper::http::request::Builder;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use std::error::Error;
use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// The bytes of an answer's head, at most.
const HEAD_BYTES: usize = 16 << 10;
/// The addresses of a name that are tried, at most: all within the time for one fetch.
const ADDRESSES: usize = 4;
/// The media type of what is sent and asked for.
const JSON: &str = "application/json";

/// A connection to a server, with or without TLS.
pub(crate) trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for S {}

/// Gets the body of the answer, of at most `most` bytes. All of it takes at most `patience`.
///
/// # Errors
/// The end of a sentence about the URL.
pub(crate) async fn get(url: &HttpUrl, most: usize, patience: Duration) -> Result<Bytes, String> {
    let request = Request::get(url.path_and_query()).header(ACCEPT, JSON);
    ask(url, request, Bytes::new(), patience, async |response| {
        let status = response.status();
        if status.is_redirection() {
            return Err(format!("answered {status}, and redirects are not followed"));
        }
        if status != StatusCode::OK {
            return Err(format!("answered {status}"));
        }
        read_body(response.into_body(), most).await
    })
    .await
}

/// Sends a request with a body, and returns the answer, whatever its status, with a body of at most `most` bytes. All of it
/// takes at most `patience`.
///
/// # Errors
/// The end of a sentence about the URL.
pub(crate) async fn send(
    url: &HttpUrl,
    request: Builder,
    body: Bytes,
    most: usize,
    patience: Duration,
) -> Result<Response<Bytes>, String> {
    ask(url, request, body, patience, async |response| {
        let (head, body) = response.into_parts();
        Ok(Response::from_parts(head, read_body(body, most).await?))
    })
    .await
}

/// Reads a body of at most `most` bytes.
async fn read_body(body: Incoming, most: usize) -> Result<Bytes, String> {
    let body = Limited::new(body, most).collect().await;
    body.map(|body| body.to_bytes()).map_err(|error| match error.downcast_ref::<LengthLimitError>() {
        Some(_) => format!("answered more than {most} bytes"),
        None => format!("broke off: {error}"),
    })
}

/// Posts JSON, and returns the status of the answer, whose body is not read. All of it takes at most `patience`.
///
/// # Errors
/// The end of a sentence about the URL.
pub(crate) async fn post(url: &HttpUrl, body: Bytes, patience: Duration) -> Result<StatusCode, String> {
    let request = Request::post(url.path_and_query()).header(CONTENT_TYPE, JSON);
    ask(url, request, body, patience, async |response| Ok(response.status())).await
}

/// Sends a request and has its answer read, within `patience`.
async fn ask<T>(
    url: &HttpUrl,
    request: Builder,
    body: Bytes,
    patience: Duration,
    read: impl AsyncFnOnce(Response<Incoming>) -> Result<T, String>,
) -> Result<T, String> {
    let request = request.header(HOST, url.authority()).header(USER_AGENT, crate::VERSION);
    let request = request.body(Full::new(body)).map_err(|_| "cannot be asked for")?;
    let answer = async { exchange(request, open(url, patience).await?, read).await };
    let late = |_| Err(format!("did not answer within {}", humantime::format_duration(patience)));
    timeout(patience, answer).await.unwrap_or_else(late)
}

/// Connects to the server of a URL, and speaks TLS with it where the URL says so.
///
/// # Errors
/// The end of a sentence about the URL.
pub(crate) async fn open(url: &HttpUrl, patience: Duration) -> Result<Box<dyn ByteStream>, String> {
    let addresses = resolve(url).await?;
    let socket = connect(&addresses, patience).await?;
    Ok(if url.is_https() { Box::new(secure(url, socket).await?) } else { Box::new(socket) })
}

/// The addresses of the server that may be asked.
async fn resolve(url: &HttpUrl) -> Result<Vec<SocketAddr>, String> {
    let found = lookup_host((url.host(), url.port())).await;
    allowed(found.map_err(|error| format!("cannot be resolved: {error}"))?)
}

/// The addresses that are not link-local. They are connected to as they are, so that a name which leads elsewhere a moment
/// later does not get around this.
fn allowed(found: impl Iterator<Item = SocketAddr>) -> Result<Vec<SocketAddr>, String> {
    let (refused, allowed): (Vec<_>, Vec<_>) = found.partition(|address| is_link_local(address.ip()));
    match refused.first().map(SocketAddr::ip) {
        Some(address) if allowed.is_empty() => {
            Err(format!("leads to the link-local address {address}, which is refused"))
        }
        _ => Ok(allowed),
    }
}

/// Connects to the first of the addresses that answers.
async fn connect(addresses: &[SocketAddr], patience: Duration) -> Result<TcpStream, String> {
    let tried = &addresses[..addresses.len().min(ADDRESSES)];
    let mut wrong = String::from("has no address");
    for address in tried {
        match timeout(patience / tried.len() as u32, TcpStream::connect(address)).await {
            Ok(Ok(socket)) => return Ok(socket),
            Ok(Err(error)) => wrong = format!("cannot be reached at {address}: {error}"),
            Err(_) => wrong = format!("cannot be reached at {address} in time"),
        }
    }
    Err(wrong)
}

/// Speaks TLS with the server, whose certificate must be of an authority that the system trusts.
async fn secure(url: &HttpUrl, socket: TcpStream) -> Result<impl ByteStream + use<>, String> {
    let name = ServerName::try_from(url.host()).map_err(|_| "has a host that no certificate can name")?.to_owned();
    let config = client_config()?;
    let connected = TlsConnector::from(Arc::new(config)).connect(name, socket).await;
    connected.map_err(|error| format!("cannot be spoken TLS with: {error}"))
}

/// The configuration for one connection. The authorities are read anew for each, since their files may change.
fn client_config() -> Result<ClientConfig, String> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let why = found.errors.first().map(|error| format!(": {error}")).unwrap_or_default();
        return Err(format!("cannot be verified: this machine has no certificates of authorities{why}"));
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| format!("cannot use TLS: {error}"))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// Sends the request and has the answer read.
async fn exchange<T>(
    request: Request<Full<Bytes>>,
    stream: Box<dyn ByteStream>,
    read: impl AsyncFnOnce(Response<Incoming>) -> Result<T, String>,
) -> Result<T, String> {
    let failed = |error: hyper::Error| format!("did not answer in HTTP: {}", with_cause(&error));
    let mut builder = http1::Builder::new();
    builder.max_buf_size(HEAD_BYTES);
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(failed)?;
    let answer = async { read(sender.send_request(request).await.map_err(failed)?).await };
    // The connection moves the bytes. Where it ends, so does the answer, whose last bytes may be read after that.
    let moving = async {
        let _ = connection.await;
        pending().await
    };
    tokio::select! {
        answer = answer => answer,
        () = moving => unreachable!("it does not end"),
    }
}

/// An error with what caused it.
fn with_cause(error: &dyn Error) -> String {
    error.source().map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    #[test]
    fn link_local_addresses_are_left_out_whatever_name_leads_to_them() {
        let addresses = |list: &[&str]| -> Vec<SocketAddr> {
            list.iter().map(|ip| SocketAddr::from((ip.parse::<IpAddr>().unwrap(), 80))).collect()
        };
        let of = |list: &[&str]| allowed(addresses(list).into_iter());
        let refused = ["169.254.169.254", "fe80::1", "febf::1", "::ffff:169.254.0.1"];
        for address in refused {
            assert!(of(&[address]).unwrap_err().contains("link-local"), "{address}");
        }
        let all = [&refused[..], &["127.0.0.1", "10.0.0.1", "fd00::1"]].concat();
        assert_eq!(of(&all), Ok(addresses(&["127.0.0.1", "10.0.0.1", "fd00::1"])));
    }
}
