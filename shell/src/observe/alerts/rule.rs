//! One alert of the settings, and when it is raised and cleared.

use super::figures::Figure;
use parlor_core::Instant;
use std::fmt;
use std::time::Duration;

/// The side of the threshold on which a figure is wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Threshold {
    /// Above it.
    Above(f64),
    /// Below it.
    Below(f64),
}

impl Threshold {
    /// Whether a figure is beyond the threshold.
    fn is_crossed(self, value: f64) -> bool {
        match self {
            Self::Above(most) => value > most,
            Self::Below(least) => value < least,
        }
    }

    /// Whether an alert that is raised may be cleared: the figure is no longer beyond `clear`.
    fn is_cleared(self, clear: f64, value: f64) -> bool {
        match self {
            Self::Above(_) => value <= clear,
            Self::Below(_) => value >= clear,
        }
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Above(most) => write!(f, "above {most}"),
            Self::Below(least) => write!(f, "below {least}"),
        }
    }
}

/// The severity of an alert, by which receivers choose whom to tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Severity {
    /// Somebody is to be woken.
    Critical,
    /// Somebody is to look at it.
    #[default]
    Warning,
    /// It is good to know.
    Info,
}

impl Severity {
    /// All of them.
    const ALL: [Self; 3] = [Self::Critical, Self::Warning, Self::Info];

    /// The word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }

    /// The severity with a word of the settings.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|severity| severity.name() == name)
    }
}

/// An alert: its figure, its thresholds and the time for which the figure has to be wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertRule {
    /// The name, by which the log and a receiver know it.
    pub name: String,
    /// The figure.
    pub figure: Figure,
    /// The threshold.
    pub threshold: Threshold,
    /// For how long the figure has to be beyond the threshold.
    pub hold: Duration,
    /// The figure at which the alert clears. Between it and the threshold, an alert stays what it was.
    pub clear: f64,
    /// The severity that a receiver is told.
    pub severity: Severity,
}

/// The state of an alert.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum AlertState {
    /// The figure is as it should be.
    #[default]
    Clear,
    /// The figure has been beyond the threshold since then.
    Pending { since: Instant },
    /// The alert is raised.
    Raised,
}

/// A change of an alert, which the log tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AlertChange {
    /// It is raised.
    Raised,
    /// It is cleared.
    Cleared,
}

impl AlertState {
    /// Takes in the figure of this time. Returns a change, if it makes one.
    pub(super) fn step(&mut self, rule: &AlertRule, now: Instant, value: f64) -> Option<AlertChange> {
        let is_crossed = rule.threshold.is_crossed(value);
        let since = match *self {
            Self::Raised if rule.threshold.is_cleared(rule.clear, value) => {
                *self = Self::Clear;
                return Some(AlertChange::Cleared);
            }
            Self::Raised => return None,
            _ if !is_crossed => {
                *self = Self::Clear;
                return None;
            }
            Self::Clear => now,
            Self::Pending { since } => since,
        };
        let is_due = now.since(since) >= rule.hold;
        *self = if is_due { Self::Raised } else { Self::Pending { since } };
        is_due.then_some(AlertChange::Raised)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(threshold: Threshold, clear: f64, hold: u64) -> AlertRule {
        let figure = Figure::named("connections").unwrap();
        AlertRule {
            name: "a".into(),
            figure,
            threshold,
            hold: Duration::from_secs(hold),
            clear,
            severity: Severity::Warning,
        }
    }

    /// The changes that these figures make, one every five seconds.
    fn changes(rule: &AlertRule, values: &[f64]) -> Vec<(usize, AlertChange)> {
        let mut state = AlertState::default();
        let step = |(at, value): (usize, &f64)| {
            let now = Instant(0).after(Duration::from_secs(5) * u32::try_from(at).unwrap());
            Some((at, state.step(rule, now, *value)?))
        };
        values.iter().enumerate().filter_map(step).collect()
    }

    #[test]
    fn an_alert_is_raised_once_its_figure_has_been_wrong_for_long_enough() {
        use AlertChange::{Cleared, Raised};
        let above = rule(Threshold::Above(10.0), 10.0, 10);
        assert_eq!(changes(&above, &[10.0, 10.0, 10.0, 10.0]), []);
        assert_eq!(changes(&above, &[11.0, 11.0, 10.0, 11.0, 11.0, 10.0]), [], "never for ten seconds");
        assert_eq!(changes(&above, &[11.0, 12.0, 11.0, 11.0, 10.0]), [(2, Raised), (4, Cleared)]);
        let at_once = rule(Threshold::Below(1.0), 1.0, 0);
        assert_eq!(changes(&at_once, &[1.0, 0.5, 0.5, 1.0, 0.0]), [(1, Raised), (3, Cleared), (4, Raised)]);
    }

    #[test]
    fn between_its_thresholds_an_alert_stays_what_it_was() {
        use AlertChange::{Cleared, Raised};
        let rule = rule(Threshold::Above(10.0), 5.0, 0);
        assert_eq!(changes(&rule, &[7.0, 11.0, 7.0, 9.0, 11.0, 6.0, 5.0, 7.0]), [(1, Raised), (6, Cleared)]);
    }

    #[test]
    fn a_figure_without_a_name_is_refused_with_all_names() {
        let wrong = Figure::named("conections").unwrap_err();
        assert!(wrong.contains("expected one of connections, users") && wrong.contains("send_success_15m"), "{wrong}");
    }
}
