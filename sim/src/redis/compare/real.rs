//! A real server, over two sockets.

use super::endpoint::{ComparedServer, Words, decoder, with_ping};
use crate::redis::identity::{Flavor, ServerIdentity};
use parlor_core::redis::{RespDecoder, RespValue, encode_command};
use std::fmt;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::thread::sleep;
use std::time::{Duration, SystemTime};

/// A stream of bytes in both directions.
trait Stream: Read + Write {}
impl Stream for TcpStream {}
impl Stream for UnixStream {}

/// A server that runs.
pub struct RealServer {
    connections: Vec<(Box<dyn Stream>, RespDecoder)>,
    identity: ServerIdentity,
}

impl fmt::Debug for RealServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.identity.fmt(f)
    }
}

const PATIENCE: Duration = Duration::from_secs(10);

impl RealServer {
    /// Connects twice to `redis://[user:password@]host:port`, or `unix://[user:password@]/path`, and asks what it is.
    ///
    /// # Errors
    /// If the address is none of these, nobody answers there, or it refuses the user.
    pub fn connect(url: &str) -> Result<Self, String> {
        let connections =
            (0..2).map(|_| greeted(url).map_err(|error| format!("{url}: {error}"))).collect::<Result<_, _>>()?;
        let unknown = ServerIdentity {
            flavor: Flavor::Redis,
            version: String::new(),
            redis_version: String::new(),
            run_id: String::new(),
            master_replid2: String::new(),
            is_replica: false,
        };
        let mut server = Self { connections, identity: unknown };
        let info = server.exchange(0, &[vec![b"INFO".to_vec(), b"server".to_vec(), b"replication".to_vec()]])?;
        let [RespValue::Verbatim(info)] = &info[..] else { return Err(format!("{url}: INFO is answered {info:?}")) };
        let info = String::from_utf8_lossy(info);
        let field =
            |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(String::from);
        let missing = |name: &str| format!("{url}: INFO has no {name}");
        let redis_version = field("redis_version").ok_or_else(|| missing("redis_version"))?;
        let valkey = field("valkey_version");
        server.identity = ServerIdentity {
            flavor: if valkey.is_some() { Flavor::Valkey } else { Flavor::Redis },
            version: valkey.unwrap_or_else(|| redis_version.clone()),
            redis_version,
            run_id: field("run_id").ok_or_else(|| missing("run_id"))?,
            master_replid2: field("master_replid2").ok_or_else(|| missing("master_replid2"))?,
            is_replica: field("role").ok_or_else(|| missing("role"))? != "master",
        };
        Ok(server)
    }

    /// What it says of itself.
    #[must_use]
    pub fn identity(&self) -> &ServerIdentity {
        &self.identity
    }
}

/// A connection that speaks RESP3.
fn greeted(url: &str) -> Result<(Box<dyn Stream>, RespDecoder), String> {
    let (scheme, rest) = url.split_once("://").ok_or("an address begins with redis:// or unix://")?;
    let (user, place) = rest.rsplit_once('@').map_or((None, rest), |(user, place)| (Some(user), place));
    let mut stream = open(scheme, place)?;
    let mut hello = vec!["HELLO", "3"];
    if let Some((name, password)) = user.map(|user| user.split_once(':').unwrap_or((user, ""))) {
        hello.extend(["AUTH", name, password]);
    }
    hello.extend(["SETNAME", "parlor-sim"]);
    let mut bytes = Vec::new();
    encode_command(&hello, &mut bytes);
    stream.write_all(&bytes).map_err(|error| error.to_string())?;
    let mut decoder = decoder();
    match next(&mut *stream, &mut decoder)? {
        RespValue::Map(_) => Ok((stream, decoder)),
        other => Err(format!("HELLO 3 is answered {other:?}")),
    }
}

fn open(scheme: &str, place: &str) -> Result<Box<dyn Stream>, String> {
    let wrong = |error: std::io::Error| error.to_string();
    Ok(match scheme {
        "redis" => {
            let stream = TcpStream::connect(place).map_err(wrong)?;
            stream.set_nodelay(true).map_err(wrong)?;
            stream.set_read_timeout(Some(PATIENCE)).map_err(wrong)?;
            Box::new(stream)
        }
        "unix" => {
            let stream = UnixStream::connect(place).map_err(wrong)?;
            stream.set_read_timeout(Some(PATIENCE)).map_err(wrong)?;
            Box::new(stream)
        }
        _ => return Err(format!("{scheme}:// is neither redis:// nor unix://")),
    })
}

fn next(stream: &mut dyn Stream, decoder: &mut RespDecoder) -> Result<RespValue, String> {
    let mut buffer = [0; 16384];
    loop {
        if let Some(value) = decoder.next_value().map_err(|error| error.to_string())? {
            return Ok(value);
        }
        match stream.read(&mut buffer).map_err(|error| format!("no reply: {error}"))? {
            0 => return Err("the server has closed the connection".into()),
            many => decoder.feed(&buffer[..many]),
        }
    }
}

impl ComparedServer for RealServer {
    fn exchange(&mut self, connection: usize, commands: &[Words]) -> Result<Vec<RespValue>, String> {
        let (stream, decoder) = &mut self.connections[connection];
        let (bytes, end) = with_ping(commands);
        stream.write_all(&bytes).map_err(|error| error.to_string())?;
        let mut values = Vec::new();
        loop {
            match next(&mut **stream, decoder)? {
                value if value == end => return Ok(values),
                value => values.push(value),
            }
        }
    }

    #[expect(clippy::disallowed_methods, reason = "a real server has the real time")]
    fn clock(&mut self) -> u64 {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("later than 1970");
        u64::try_from(since.as_millis()).expect("a time")
    }

    fn pause(&mut self) {
        sleep(Duration::from_millis(5));
    }
}
