//! Helpers for the tests, examples and benchmarks of this workspace; feature `test-support`.

use alloc::vec;
use alloc::vec::Vec;

/// Encodes a masked frame, as a client sends it (RFC 6455 section 5.2). `first` is its first byte: FIN, RSV and opcode.
#[must_use]
pub fn client_frame(first: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(short @ 0..126), _) => client_frame_of_length(first, &[short], payload),
        (_, Ok(medium)) => {
            let [high, low] = medium.to_be_bytes();
            client_frame_of_length(first, &[126, high, low], payload)
        }
        _ => {
            let mut length = vec![127];
            length.extend((payload.len() as u64).to_be_bytes());
            client_frame_of_length(first, &length, payload)
        }
    }
}

/// Encodes a masked frame whose length is given as it is on the wire, which may be wrong or longer than needed.
#[must_use]
pub fn client_frame_of_length(first: u8, length: &[u8], payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    let mut frame = vec![first, 0x80 | length[0]];
    frame.extend(&length[1..]);
    frame.extend(MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}
