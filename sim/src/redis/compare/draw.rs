//! What a sequence is drawn from.

use crate::redis::dataset::RedisHash;
use crate::redis::server::RedisServer;
use crate::rng::Rng;

/// Random numbers, and what the model holds now.
pub(super) struct Draw<'a> {
    pub rng: &'a mut Rng,
    pub model: &'a mut RedisServer,
}

impl Draw<'_> {
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        self.rng.pick(choices)
    }

    pub fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.rng.below(length as u64)).expect("an index")
    }

    /// Bytes of any kind, and few of them.
    pub fn text(&mut self) -> Vec<u8> {
        let choices: [&[u8]; 8] =
            [b"", b"7", b"-3", b"hello", b"two words", b"\r\n", b"\0\xFF\xFE", b"{\"json\":[1,2]}"];
        self.pick(&choices).to_vec()
    }

    pub fn epoch(&mut self) -> Vec<u8> {
        format!("E{}", self.rng.below(1000)).into()
    }

    pub fn history(&self) -> String {
        self.model.identity().history()
    }

    /// A field of a hash, if there is such a hash with it.
    pub fn field(&mut self, key: &str, field: &str) -> Option<Vec<u8>> {
        let hash = self.model.data().get::<RedisHash>(key.as_bytes()).ok()??;
        hash.0.iter().find(|(name, _)| name == field.as_bytes()).map(|(_, value)| value.clone())
    }
}
