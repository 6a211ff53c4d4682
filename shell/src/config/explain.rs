//! One setting, for a person to read: its purpose, its value and where that comes from, its default, and what is allowed.

use super::Settings;
use super::inspect::{source, value};
use super::nearest::nearest;
use super::place::{PREFIX, flag, variable};
use super::table::Setting;
use parlor_core::Limits;

/// The setting of this name, be it written as in the file, as a flag or as a variable.
pub(super) fn named(name: &str) -> Option<Setting> {
    let plain = name.strip_prefix(PREFIX).unwrap_or(name).to_ascii_lowercase().replace('-', "_");
    Setting::all().find(|setting| setting.name == plain)
}

/// Explains a setting.
pub(super) fn explain(settings: &Settings, setting: Setting) -> String {
    let name = setting.name;
    let value = match value(settings, setting) {
        _ if setting.is_secret() && settings.places.contains_key(name) => "set, and not shown".into(),
        Some(value) => value,
        None => "not set".into(),
    };
    let default = setting.to_text(&Settings::default()).unwrap_or_else(|| "not set".into());
    let limit = Limits::default().rows().into_iter().find(|limit| limit.key == name);
    let answer = limit.map(|limit| format!("reached: {}\n", limit.answer)).unwrap_or_default();
    format!(
        "{name}: {help}\n\n\
         value:   {value} # {source}\n\
         default: {default}\n\
         allowed: {allowed}\n\
         {answer}\
         written: --{flag}, {variable}, {name} in the file\n",
        help = setting.help(),
        source = source(settings, name),
        allowed = setting.allowed(),
        flag = flag(name),
        variable = variable(name),
    )
}

/// A line for a name that is neither a setting nor, probably, meant as a room.
pub(super) fn hint(name: &str) -> String {
    let known: Vec<_> = Setting::all().map(|setting| setting.name).collect();
    format!("\nthere is no setting of this name; the nearest one is {}\n", nearest(name, known.iter().copied()))
}
