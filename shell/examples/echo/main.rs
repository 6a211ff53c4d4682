//! A WebSocket server that echoes text, for conformance suites: `cargo run --release --example echo [address]`.
//!
//! It speaks through the same driver, decoder and state machine as the server. Both of its profiles are text: a binary
//! message is closed with 1003.

mod session;
mod socket;

use std::io;
use std::net::TcpListener;
use std::thread;

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9001".into());
    let listener = TcpListener::bind(&address)?;
    println!("echoing on ws://{}", listener.local_addr()?);
    for socket in listener.incoming() {
        let socket = socket?;
        thread::spawn(move || {
            if let Err(error) = socket::serve(socket) {
                eprintln!("{error}");
            }
        });
    }
    Ok(())
}
