//! The table `[[alerts]]` of the file: figures that the server watches by itself.

use super::place::Place;
use super::text_file::{secret_in, without_newline};
use crate::auth::Secret;
use crate::net::http_url::HttpUrl;
use crate::observe::alerts::figures::Figure;
use crate::observe::alerts::rule::{AlertRule, Severity, Threshold};
use parlor_core::names;
use std::collections::BTreeSet;
use std::time::Duration;
use toml::Value as Toml;

/// The alerts, at most. Each is looked at every five seconds.
pub const ALERTS: usize = 64;
/// The bytes of a name, at most.
const NAME_BYTES: usize = 64;
/// The time for which a figure has to be wrong, at most.
const LONGEST_HOLD: Duration = Duration::from_secs(24 * 60 * 60);

/// The fields of an entry.
const FIELDS: &str =
    "figure; above or below; and perhaps name, for, clear, severity, and url or url_file (a file with the URL)";

/// An alert of `[[alerts]]`.
#[derive(Clone, Debug)]
pub struct AlertEntry {
    /// The figure and its thresholds.
    pub rule: AlertRule,
    /// The URL that changes are posted to. Its path may be a secret, as those of chats are.
    pub url: Option<Secret<HttpUrl>>,
    /// Where the file has it.
    pub place: Place,
}

/// The fields of an entry as they are read.
#[derive(Default)]
struct AlertFields {
    name: Option<String>,
    figure: Option<Figure>,
    thresholds: Vec<Threshold>,
    hold: Duration,
    clear: Option<f64>,
    severity: Severity,
    urls: Vec<Secret<HttpUrl>>,
}

impl AlertEntry {
    /// Everything that it says, wherever the file has it.
    pub(super) fn content(&self) -> (&AlertRule, Option<&HttpUrl>) {
        (&self.rule, self.url.as_ref().map(Secret::expose))
    }

    /// Reads an entry.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub(super) fn read(value: Toml, place: Place) -> Result<Self, String> {
        let Toml::Table(values) = value else { return Err(format!("{place} is a table, with {FIELDS}")) };
        let mut fields = AlertFields::default();
        for (field, value) in values {
            fields.set(&field, &value).map_err(|wrong| format!("{place}: {wrong}"))?;
        }
        if fields.urls.len() > 1 {
            return Err(format!("{place}: url and url_file are both there; leave one of them out"));
        }
        let url = fields.urls.pop();
        let rule = fields.rule().map_err(|wrong| format!("{place}: {wrong}"))?;
        Ok(Self { rule, url, place })
    }

    /// Checks alerts against each other. Returns a sentence for each contradiction.
    pub(super) fn contradictions(entries: &[Self]) -> Vec<String> {
        let mut wrongs = Vec::new();
        if entries.len() > ALERTS {
            wrongs.push(format!("there are {} alerts; expected at most {ALERTS}", entries.len()));
        }
        let mut names = BTreeSet::new();
        for Self { rule, place, .. } in entries {
            if !names.insert(&rule.name) {
                wrongs
                    .push(format!("{place}: another alert has the name {:?}; give each a name of its own", rule.name));
            }
        }
        wrongs
    }
}

impl AlertFields {
    fn set(&mut self, field: &str, value: &Toml) -> Result<(), String> {
        match field {
            "name" => self.name = Some(text(value, field)?.into()),
            "figure" => {
                let name = text(value, field)?;
                self.figure = Some(Figure::named(name).map_err(|wrong| format!("no figure {name:?}; {wrong}"))?);
            }
            "above" => self.thresholds.push(Threshold::Above(number(value, field)?)),
            "below" => self.thresholds.push(Threshold::Below(number(value, field)?)),
            "clear" => self.clear = Some(number(value, field)?),
            "for" => self.hold = hold(text(value, field)?)?,
            "severity" => {
                let severity = Severity::named(text(value, field)?);
                self.severity = severity.ok_or("severity must be critical, warning or info")?;
            }
            "url" => self.urls.push(url(text(value, field)?, field)?),
            "url_file" => self.urls.push(url(&secret_in(text(value, field)?, field)?, field)?),
            _ => return Err(format!("unknown key {field:?}; expected {FIELDS}")),
        }
        Ok(())
    }

    fn rule(self) -> Result<AlertRule, String> {
        let figure = self.figure.ok_or("figure is missing, the name of what is watched")?;
        let [threshold] = <[Threshold; 1]>::try_from(self.thresholds)
            .map_err(|thresholds| format!("expected one of above and below; found {}", thresholds.len()))?;
        let name = self.name.unwrap_or_else(|| figure.name().into());
        names::check(&name, NAME_BYTES)
            .map_err(|_| format!("name must have from 1 to {NAME_BYTES} bytes, and no invisible characters"))?;
        let clear = match (threshold, self.clear) {
            (Threshold::Above(most), Some(clear)) if clear > most => {
                return Err(format!("clear is {clear}; expected at most above, which is {most}"));
            }
            (Threshold::Below(least), Some(clear)) if clear < least => {
                return Err(format!("clear is {clear}; expected at least below, which is {least}"));
            }
            (Threshold::Above(number) | Threshold::Below(number), None) => number,
            (_, Some(clear)) => clear,
        };
        Ok(AlertRule { name, figure, threshold, hold: self.hold, clear, severity: self.severity })
    }
}

/// A URL, which no error shows.
fn url(text: &str, field: &str) -> Result<Secret<HttpUrl>, String> {
    let url = without_newline(text).unwrap_or(text).parse();
    url.map(Secret::new)
        .map_err(|wrong| format!("{field}: {wrong}; expected one such as https://alerts.example.com/hook"))
}

fn text<'v>(value: &'v Toml, field: &str) -> Result<&'v str, String> {
    value.as_str().ok_or_else(|| format!("{field} must be text"))
}

fn number(value: &Toml, field: &str) -> Result<f64, String> {
    let number = match value {
        Toml::Integer(number) => Some(*number as f64),
        Toml::Float(number) => Some(*number),
        _ => None,
    };
    number.filter(|number| number.is_finite()).ok_or_else(|| format!("{field} must be a number"))
}

fn hold(text: &str) -> Result<Duration, String> {
    let hold = humantime::parse_duration(text).ok().filter(|hold| *hold <= LONGEST_HOLD);
    hold.ok_or_else(|| format!("for is {text:?}; expected a duration such as 30s or 5m, of at most a day"))
}
