//! How much one outbox can have grown since everything that waits was last written.
//!
//! A member is closed as slow when its socket does not take what it is given. Messages and calls can come faster than a
//! flush that goes in batches gets round to everyone, so it is the host that has to see to that there is a try in between.

use parlor_core::Limits;
use parlor_core::api::{Command, Message};

/// What was handed in since the last full pass.
#[derive(Debug)]
pub(crate) struct Backlog {
    frames: usize,
    bytes: usize,
    most_frames: usize,
    most_bytes: usize,
}

/// Part of an outbox that may fill up between two full passes.
const PART: usize = 4;
/// No command that publishes is shorter.
const COMMAND_BYTES: usize = 32;
/// What goes over the wire around a payload: the envelope, and the position that may follow.
const ENVELOPE_BYTES: usize = 256;

impl Backlog {
    pub(crate) fn new(limits: &Limits) -> Self {
        let (most_frames, most_bytes) = (limits.outbox_frames / PART, limits.outbox_bytes / PART);
        Self { frames: 0, bytes: 0, most_frames, most_bytes }
    }

    /// Takes note of a client's message, whatever it says.
    pub(crate) fn add_text(&mut self, text: &str) {
        self.add(1 + text.len() / COMMAND_BYTES, text.len());
    }

    /// Takes note of a backend's call.
    pub(crate) fn add_call(&mut self, command: &Command) {
        match command {
            Command::Publish { message, .. } | Command::PublishUser { message, .. } => self.add(1, size(message)),
            Command::Broadcast { channels, message } => self.add(channels.len(), channels.len() * size(message)),
            Command::Send { data, .. } | Command::PublishAll { data } => self.add(1, data.len()),
            Command::Batch(commands) => {
                commands.iter().filter_map(|(_, command)| command.as_ref().ok()).for_each(|part| self.add_call(part));
            }
            _ => self.add(1, 0),
        }
    }

    /// Whether everything is to be written before anything more is handed in.
    pub(crate) fn is_due(&self) -> bool {
        self.frames >= self.most_frames || self.is_much(self.bytes)
    }

    /// Whether so many bytes are a good part of an outbox.
    pub(crate) fn is_much(&self, bytes: usize) -> bool {
        bytes >= self.most_bytes
    }

    /// Everything that waited was written, or its socket has refused it.
    pub(crate) fn clear(&mut self) {
        (self.frames, self.bytes) = (0, 0);
    }

    fn add(&mut self, frames: usize, bytes: usize) {
        self.frames = self.frames.saturating_add(frames);
        self.bytes = self.bytes.saturating_add(bytes).saturating_add(frames.saturating_mul(ENVELOPE_BYTES));
    }
}

fn size(message: &Message) -> usize {
    let tags: usize = message.tags.iter().map(|(name, value)| name.len() + value.len()).sum();
    message.data.len() + tags
}
