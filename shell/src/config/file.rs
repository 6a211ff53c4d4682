//! The file of settings.

use super::nearest::nearest;
use super::place::Place;
use super::policy_table::{KEYS, PolicyTable, header};
use super::table::Setting;
use super::value::Form;
use super::{AlertEntry, ApiKeyEntry, Route, Settings, TokenKeyEntry};
use toml::de::DeTable;
use toml::{Spanned, Table, Value as Toml};

/// The keys of the file that are no settings.
const TABLES: [&str; 6] = ["routes", "api_keys", "token_keys", "alerts", "namespaces", "personal"];

/// Sets everything that the file names, and returns a sentence for each value that is wrong. `variable` is the value of an
/// environment variable.
pub(super) fn read(
    settings: &mut Settings,
    file: &str,
    text: &str,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Vec<String> {
    let parsed = text.parse().and_then(|table: Table| Ok((table, DeTable::parse(text)?)));
    let (table, spans) = match parsed {
        Ok(parsed) => parsed,
        // The library would quote the line, which may have a secret in it.
        Err(error) => {
            let line = line_at(text, error.span().map_or(0, |span| span.start));
            return vec![format!("{file}: line {line}: {}", error.message())];
        }
    };
    let source = SettingsFile { file, text, spans };
    let mut wrongs = Vec::new();
    for (name, value) in table {
        let result = match &*name {
            "routes" => {
                let read = |value: Toml, place: Place| match value.try_into::<Route>() {
                    Ok(route) => Ok(Route { place: Some(place), ..route }),
                    Err(error) => Err(format!("{place}: {}", error.message())),
                };
                wrongs.extend(source.entries("routes", value, &mut settings.routes, read));
                Ok(())
            }
            "api_keys" => {
                let read = |value: Toml, place: Place| ApiKeyEntry::read(value, place, variable);
                wrongs.extend(source.entries("api_keys", value, &mut settings.api_keys, read));
                Ok(())
            }
            "token_keys" => {
                wrongs.extend(source.entries("token_keys", value, &mut settings.token_keys, TokenKeyEntry::read));
                Ok(())
            }
            "alerts" => {
                wrongs.extend(source.entries("alerts", value, &mut settings.alerts, AlertEntry::read));
                Ok(())
            }
            "namespaces" => {
                wrongs.extend(source.namespaces(settings, value));
                Ok(())
            }
            "personal" => {
                let (personal, more) = source.policy(value, &[&name], "[personal]");
                settings.personal = personal;
                wrongs.extend(more);
                Ok(())
            }
            _ => source.setting(settings, &name, value),
        };
        wrongs.extend(result.err());
    }
    wrongs
}

/// The file as text, with the place of each key in it.
struct SettingsFile<'f> {
    file: &'f str,
    text: &'f str,
    spans: Spanned<DeTable<'f>>,
}

impl SettingsFile<'_> {
    /// The place of a key, which the path leads to; `key` is what it is called.
    fn place(&self, path: &[&str], key: String) -> Place {
        let mut table = Some(self.spans.get_ref());
        let mut start = 0;
        for name in path {
            let Some((key, value)) = table.and_then(|table| table.get_key_value(*name)) else { break };
            start = key.span().start;
            table = value.get_ref().as_table();
        }
        Place::Line { file: self.file.into(), line: line_at(self.text, start), key }
    }

    /// Sets what a key of the top level says.
    fn setting(&self, settings: &mut Settings, name: &str, value: Toml) -> Result<(), String> {
        let place = self.place(&[name], name.into());
        let Some(key) = Setting::all().find(|key| key.name == name) else {
            let known: Vec<_> = Setting::all().map(|key| key.name).chain(TABLES).collect();
            let place = self.place(&[name], "unknown key".into());
            return Err(format!("{place} {name:?}; did you mean {:?}?", nearest(name, known.iter().copied())));
        };
        key.assign(settings, &text_of(value, key.form(), &place)?, place)
    }

    /// Reads the tables of `[[name]]`, each with its place.
    fn entries<T>(
        &self,
        name: &str,
        value: Toml,
        into: &mut Vec<T>,
        read: impl Fn(Toml, Place) -> Result<T, String>,
    ) -> Vec<String> {
        let Toml::Array(values) = value else {
            return vec![format!(
                "{}: {name} are written as [[{name}]], once for each",
                self.place(&[name], name.into())
            )];
        };
        let spans = self.spans.get_ref().get(name).and_then(|tables| tables.get_ref().as_array());
        let starts: Vec<usize> = spans.into_iter().flatten().map(|table| table.span().start).collect();
        let mut wrongs = Vec::new();
        for (value, start) in values.into_iter().zip(starts) {
            let (file, line) = (self.file.into(), line_at(self.text, start));
            match read(value, Place::Line { file, line, key: format!("[[{name}]]") }) {
                Ok(entry) => into.push(entry),
                Err(wrong) => wrongs.push(wrong),
            }
        }
        wrongs
    }

    /// Reads `[namespaces.…]`.
    fn namespaces(&self, settings: &mut Settings, value: Toml) -> Vec<String> {
        const NAMESPACES: &str = "namespaces";
        let place = || self.place(&[NAMESPACES], NAMESPACES.into());
        let Toml::Table(tables) = value else {
            return vec![format!("{}: namespaces are written as [namespaces.chat], once for each", place())];
        };
        let mut wrongs = Vec::new();
        for (name, value) in tables {
            let (table, more) = self.policy(value, &[NAMESPACES, &name], &header(&name));
            settings.namespaces.insert(name, table);
            wrongs.extend(more);
        }
        wrongs
    }

    /// Reads a table of the keys that a policy has.
    fn policy(&self, value: Toml, path: &[&str], header: &str) -> (PolicyTable, Vec<String>) {
        let mut table = PolicyTable::new(self.place(path, header.into()));
        let Toml::Table(values) = value else {
            let wrong = format!("{} is a table of keys, such as publish", self.place(path, header.into()));
            return (table, vec![wrong]);
        };
        let mut wrongs = Vec::new();
        for (name, value) in values {
            let path = [path, &[&name]].concat();
            let Some(key) = KEYS.iter().find(|key| key.name == name) else {
                let nearest = nearest(&name, KEYS.iter().map(|key| key.name));
                let place = self.place(&path, format!("{header} unknown key"));
                wrongs.push(format!("{place} {name:?}; did you mean {nearest:?}?"));
                continue;
            };
            let place = self.place(&path, format!("{header} {name}"));
            let set = text_of(value, key.form, &place).and_then(|text| table.set(key, text, place));
            wrongs.extend(set.err());
        }
        (table, wrongs)
    }
}

/// The number of the line that a byte is on, from 1.
fn line_at(text: &str, byte: usize) -> usize {
    text.get(..byte).unwrap_or_default().matches('\n').count() + 1
}

/// A value of the file as a flag would write it.
///
/// # Errors
/// A sentence that says which forms are allowed.
fn text_of(value: Toml, form: Form, place: &Place) -> Result<String, String> {
    let kind = value.type_str();
    let text = match value {
        Toml::String(text) => Some(text),
        Toml::Array(parts) if matches!(form, Form::List | Form::WordList) => {
            let texts: Option<Vec<&str>> = parts.iter().map(Toml::as_str).collect();
            texts.map(|texts| texts.join(","))
        }
        Toml::Integer(number) if matches!(form, Form::Word | Form::WordList) => Some(number.to_string()),
        Toml::Float(number) if form == Form::Word => Some(number.to_string()),
        Toml::Boolean(truth) if form == Form::Word => Some(truth.to_string()),
        _ => None,
    };
    text.ok_or_else(|| format!("{place} must be {}, not a TOML {kind}", form.allowed()))
}
