//! The record of a run, in a form that two runs can be compared by (G9).

/// Every effect of a run: all of them as one number, and the lines themselves where they are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transcript {
    /// FNV-1a over all lines.
    pub digest: u64,
    /// The lines, if they are kept.
    pub lines: Option<Vec<String>>,
}

impl Transcript {
    /// One that knows only whether something differs.
    #[must_use]
    pub fn digest() -> Self {
        Self { digest: 0xCBF2_9CE4_8422_2325, lines: None }
    }

    /// One that knows what differs.
    #[must_use]
    pub fn full() -> Self {
        Self { lines: Some(Vec::new()), ..Self::digest() }
    }

    /// Writes down a line, or bytes that went over a wire.
    pub fn note(&mut self, line: &[u8]) {
        for byte in line.iter().chain(b"\n") {
            self.digest = (self.digest ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3);
        }
        if let Some(lines) = &mut self.lines {
            lines.push(line.escape_ascii().to_string());
        }
    }
}
