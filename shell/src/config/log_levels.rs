//! The levels of the log: one for all areas, and others for some of them.

use super::value::{LogLevel, SettingValue};
use std::fmt;

/// An area of the log. The lines of one have its name as their target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogArea {
    /// API calls.
    Api,
    /// Alerts that are raised and cleared.
    Alerts,
    /// Tokens and their keys.
    Auth,
    /// Connections: opened, authenticated, joined, left, closed.
    Connections,
    /// Refusals.
    Refusals,
    /// All else: start, stop, reload, sockets.
    Server,
}

impl LogArea {
    /// All areas, by name.
    pub const ALL: [Self; 6] = [Self::Alerts, Self::Api, Self::Auth, Self::Connections, Self::Refusals, Self::Server];

    /// The name in the settings and in lines.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Alerts => "alerts",
            Self::Auth => "auth",
            Self::Connections => "connections",
            Self::Refusals => "refusals",
            Self::Server => "server",
        }
    }
}

/// The least severe levels that are logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLevels {
    /// The level of areas that have none of their own.
    pub default: LogLevel,
    /// The areas that have one, each once.
    pub areas: Vec<(LogArea, LogLevel)>,
}

impl LogLevels {
    /// The level of an area.
    #[must_use]
    pub fn of(&self, area: LogArea) -> LogLevel {
        self.areas.iter().find(|(name, _)| *name == area).map_or(self.default, |(_, level)| *level)
    }
}

impl From<LogLevel> for LogLevels {
    fn from(default: LogLevel) -> Self {
        Self { default, areas: Vec::new() }
    }
}

impl fmt::Display for LogLevels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |level: LogLevel| level.to_text().unwrap_or_default();
        f.write_str(&word(self.default))?;
        self.areas.iter().try_for_each(|(area, level)| write!(f, ", {}={}", area.name(), word(*level)))
    }
}

impl SettingValue for LogLevels {
    const ALLOWED: &'static str = "error, warn, info, debug, trace or off, then any of alerts, api, auth, connections, refusals and server \
                                   with a level of its own, such as info, connections=debug";

    fn parse_value(text: &str) -> Option<Self> {
        let mut parts = text.split(',').map(str::trim);
        let mut levels = Self::from(LogLevel::parse_value(parts.next()?)?);
        for part in parts {
            let (name, level) = part.split_once('=')?;
            let area = LogArea::ALL.into_iter().find(|area| area.name() == name.trim_end())?;
            if levels.areas.iter().any(|(known, _)| *known == area) {
                return None;
            }
            levels.areas.push((area, LogLevel::parse_value(level.trim_start())?));
        }
        Some(levels)
    }

    fn to_text(&self) -> Option<String> {
        Some(self.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_area_has_its_own_level_or_that_of_all() {
        let levels = LogLevels::parse_value("warn,connections = debug, auth=off").unwrap();
        assert_eq!(levels.of(LogArea::Connections), LogLevel::Debug);
        assert_eq!((levels.of(LogArea::Auth), levels.of(LogArea::Api)), (LogLevel::Off, LogLevel::Warn));
        assert_eq!(levels.to_string(), "warn, connections=debug, auth=off");
        assert_eq!(LogLevels::parse_value(&levels.to_string()), Some(levels));
    }

    #[test]
    fn an_area_that_is_not_known_or_twice_there_is_an_error_that_names_them_all() {
        for wrong in ["", "loud", "info,", "info, rooms=debug", "info, auth", "auth=debug", "info, auth=warn, auth=off"]
        {
            let error = LogLevels::parse_or_explain(wrong).unwrap_err();
            assert!(LogArea::ALL.iter().all(|area| error.contains(area.name())), "{error}");
        }
    }
}
