//! RESP in the server's role: commands as they come in.

/// Turns bytes into commands. What breaks the protocol ends the connection of a server; here it is a bug of who sends.
#[derive(Clone, Debug, Default)]
pub struct RequestParser {
    buffer: Vec<u8>,
}

impl RequestParser {
    /// The commands that are whole with these bytes.
    ///
    /// # Panics
    /// If they are no arrays of bulk strings.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Vec<Vec<u8>>> {
        self.buffer.extend(bytes);
        let mut commands = Vec::new();
        let mut rest = &self.buffer[..];
        while let Some((command, behind)) = command(rest) {
            commands.push(command);
            rest = behind;
        }
        self.buffer = rest.to_vec();
        commands
    }
}

fn command(bytes: &[u8]) -> Option<(Vec<Vec<u8>>, &[u8])> {
    let (words, mut rest) = number('*', bytes)?;
    let mut command = Vec::new();
    for _ in 0..words {
        let (length, behind) = number('$', rest)?;
        let (word, behind) = behind.split_at_checked(length)?;
        let (end, behind) = behind.split_at_checked(2)?;
        assert_eq!(end, b"\r\n", "the end of a bulk string");
        command.push(word.to_vec());
        rest = behind;
    }
    Some((command, rest))
}

/// The number of a line that begins with this, and what is behind the line.
fn number(kind: char, bytes: &[u8]) -> Option<(usize, &[u8])> {
    let end = bytes.windows(2).position(|two| two == b"\r\n")?;
    let text = std::str::from_utf8(&bytes[..end]).expect("a line of ASCII");
    let number = text.strip_prefix(kind).and_then(|digits| digits.parse().ok());
    Some((number.unwrap_or_else(|| panic!("{text:?} is no number after {kind}")), &bytes[end + 2..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use parlor_core::redis::encode_command;

    #[test]
    fn commands_are_read_in_pieces_as_they_were_sent() {
        let mut sent = Vec::new();
        encode_command(&["GET", "a key"], &mut sent);
        encode_command(&[&b"SET"[..], b"", b"\r\n\0"], &mut sent);
        let mut parser = RequestParser::default();
        let read: Vec<_> = sent.chunks(1).flat_map(|byte| parser.feed(byte)).collect();
        let words = |words: &[&[u8]]| words.iter().map(|word| word.to_vec()).collect::<Vec<_>>();
        assert_eq!(read, [words(&[b"GET", b"a key"]), words(&[b"SET", b"", b"\r\n\0"])]);
    }
}
