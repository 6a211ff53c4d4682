//! The words after the command.

/// `--name value`, and `--raw` and `--driver`, which have none.
pub struct Flags<'a>(Vec<(&'a str, &'a str)>);

const WITH_VALUE: [&str; 10] =
    ["seed", "seeds", "steps", "scope", "profile", "conns", "rooms", "queue", "messages", "subject"];
const ALONE: [&str; 2] = ["raw", "driver"];

impl<'a> Flags<'a> {
    pub fn parse(words: &[&'a str]) -> Result<Self, String> {
        let mut flags = Vec::new();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let name = word.strip_prefix("--").ok_or_else(|| format!("{word:?} is not understood"))?;
            let value = match name {
                name if ALONE.contains(&name) => "",
                name if WITH_VALUE.contains(&name) => words.next().ok_or_else(|| format!("{word} wants a value"))?,
                _ => return Err(format!("{word} is not known")),
            };
            flags.push((name, value));
        }
        Ok(Self(flags))
    }

    pub fn text(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    /// Decimal, or hexadecimal after `0x`; a longer one, such as a commit's, counts by its first 64 bits.
    pub fn number(&self, name: &str) -> Result<Option<u64>, String> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let hex = |digits: &str| u64::from_str_radix(digits.get(..16).unwrap_or(digits), 16).ok();
        let is_hash = text.len() == 40;
        let number = if is_hash { hex(text) } else { text.strip_prefix("0x").map_or_else(|| text.parse().ok(), hex) };
        number.map(Some).ok_or_else(|| format!("{text:?} is no number for --{name}"))
    }

    pub fn small(&self, name: &str, default: u8) -> Result<u8, String> {
        let number = self.number(name)?.unwrap_or(default.into());
        u8::try_from(number).ok().filter(|number| *number <= 8).ok_or_else(|| format!("--{name} is at most 8"))
    }
}
