//! The words after the command.

use std::ops::RangeInclusive;

/// `--name value`, and those of [`ALONE`], which have none.
pub struct Flags<'a>(Vec<(&'a str, &'a str)>);

const ALONE: [&str; 4] = ["raw", "driver", "unforeseen", "unattended"];
const WITH_VALUE: [&str; 28] = [
    "shards",
    "links",
    "seed",
    "seeds",
    "steps",
    "scope",
    "protocol",
    "conns",
    "rooms",
    "queue",
    "history",
    "messages",
    "states",
    "subject",
    "judge",
    "keep",
    "server",
    "sequences",
    "mistake",
    "cuts",
    "moves",
    "losses",
    "refusals",
    "unlogged",
    "copy",
    "answer",
    "spent",
    "defect",
];

impl<'a> Flags<'a> {
    /// Those of a command that takes no others than these.
    pub fn of(command: &str, words: &[&'a str], takes: &[&str]) -> Result<Self, String> {
        Self::parse(words)?.only(command, takes)
    }

    pub fn parse(words: &[&'a str]) -> Result<Self, String> {
        let mut flags: Vec<(&str, &str)> = Vec::new();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let name = word.strip_prefix("--").ok_or_else(|| format!("{word:?} is not understood"))?;
            let value = match name {
                name if ALONE.contains(&name) => "",
                name if WITH_VALUE.contains(&name) => words.next().ok_or_else(|| format!("{word} wants a value"))?,
                _ => return Err(format!("{word} is not known")),
            };
            if flags.iter().any(|(known, _)| *known == name) {
                return Err(format!("{word} is given twice"));
            }
            flags.push((name, value));
        }
        Ok(Self(flags))
    }

    /// The same, unless there is one that the command does not take.
    pub fn only(self, command: &str, takes: &[&str]) -> Result<Self, String> {
        let takes_it = |name: &str| takes.contains(&name);
        match (self.0.iter().find(|(name, _)| !takes_it(name)), takes) {
            (None, _) => Ok(self),
            (Some((name, _)), []) => Err(format!("{command} does not take --{name}, nor any other flag")),
            (Some((name, _)), _) => Err(format!("{command} does not take --{name}; it takes --{}", takes.join(", --"))),
        }
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

    pub fn within(&self, name: &str, bounds: RangeInclusive<u64>, default: u64) -> Result<u64, String> {
        let number = self.number(name)?.unwrap_or(default);
        let (least, most) = (bounds.start(), bounds.end());
        let refusal = || format!("--{name} is {number}, but must be at least {least} and at most {most}");
        bounds.contains(&number).then_some(number).ok_or_else(refusal)
    }
}
