//! The kinds of values that settings have, each written the same in a flag, in the environment and in the file.

use crate::auth::Secret;
use crate::net::http_url::HttpUrl;
use parlor_core::limits::{Rate, Value, ValueMut};
use parlor_core::policy::Glob;
use parlor_core::{UserLimit, Who};
use std::num::NonZeroUsize;
use std::time::Duration;

/// The form of a value in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Text only: a number would lose the way in which it was written.
    Text,
    /// An array of texts, or one text that separates them by commas.
    List,
    /// Text, a number, true or false.
    Word,
    /// Text, which may separate parts by commas, a number, or an array of texts.
    WordList,
}

impl Form {
    /// The allowed forms, as the end of the sentence "it must be …".
    pub(super) fn allowed(self) -> &'static str {
        match self {
            Self::Text => "text in quotes",
            Self::List => "an array of texts in quotes",
            Self::Word => "text in quotes, a number, true or false",
            Self::WordList => "text in quotes, a number, or an array of texts in quotes",
        }
    }
}

/// A kind of setting.
pub(super) trait SettingValue: Sized {
    /// The allowed values, as the end of the sentence "expected …".
    const ALLOWED: &'static str;
    /// The form in the file.
    const FORM: Form = Form::Word;
    /// Whether the value must not be in an error.
    const IS_SECRET: bool = false;

    /// Parses the value. None where it is not allowed.
    fn parse_value(text: &str) -> Option<Self>;

    /// Parses the value.
    ///
    /// # Errors
    /// A sentence that says what is wrong, and what is allowed.
    fn parse_or_explain(text: &str) -> Result<Self, String> {
        Self::parse_value(text).ok_or_else(|| format!("expected {}, not {text:?}", Self::ALLOWED))
    }

    /// The value in the form that [`SettingValue::parse_value`] parses. None for a secret, and where nothing is set.
    fn to_text(&self) -> Option<String>;
}

impl SettingValue for bool {
    const ALLOWED: &'static str = "true or false";

    fn parse_value(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn to_text(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl SettingValue for usize {
    const ALLOWED: &'static str = "a whole number, not negative";

    fn parse_value(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn to_text(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl SettingValue for Duration {
    const ALLOWED: &'static str = "a duration with its unit such as 25s, 1m 30s or 500ms";

    fn parse_value(text: &str) -> Option<Self> {
        humantime::parse_duration(text).ok()
    }

    fn to_text(&self) -> Option<String> {
        Some(humantime::format_duration(*self).to_string())
    }
}

impl SettingValue for Rate {
    const ALLOWED: &'static str = "a rate such as 100/s, burst 200 (both at least 1), or off";

    fn parse_value(text: &str) -> Option<Self> {
        if text == OFF {
            return Some(Self::OFF);
        }
        let (per_second, burst) = text.split_once("/s")?;
        let burst = burst.strip_prefix(',').unwrap_or(burst).trim_start().strip_prefix("burst ")?;
        let positive = |number: &str| number.trim().parse().ok().filter(|number| *number > 0);
        Some(Self { per_second: positive(per_second)?, burst: positive(burst)? })
    }

    fn to_text(&self) -> Option<String> {
        Some(match self.per_second {
            0 => OFF.into(),
            per_second => format!("{per_second}/s, burst {}", self.burst),
        })
    }
}

/// Parses a limit and stores it.
///
/// # Errors
/// As [`SettingValue::parse_or_explain`].
pub(super) fn parse_limit(place: ValueMut<'_>, text: &str) -> Result<(), String> {
    match place {
        ValueMut::Duration(value) => *value = Duration::parse_or_explain(text)?,
        ValueMut::Bytes(value) | ValueMut::Count(value) => *value = usize::parse_or_explain(text)?,
        ValueMut::OptionalCount(value) => *value = OrOff::parse_or_explain(text)?.0,
        ValueMut::Rate(value) => *value = Rate::parse_or_explain(text)?,
    }
    Ok(())
}

/// The allowed values of such a limit, as [`SettingValue::ALLOWED`].
pub(super) fn allowed(value: Value) -> &'static str {
    match value {
        Value::Duration(_) => Duration::ALLOWED,
        Value::Bytes(_) | Value::Count(_) => usize::ALLOWED,
        Value::OptionalCount(_) => OrOff::ALLOWED,
        Value::Rate(_) => Rate::ALLOWED,
    }
}

/// A limit in the form that [`parse_limit`] parses.
pub(super) fn limit_to_text(value: Value) -> Option<String> {
    match value {
        Value::Duration(time) => time.to_text(),
        Value::Bytes(number) | Value::Count(number) => number.to_text(),
        Value::OptionalCount(number) => OrOff(number).to_text(),
        Value::Rate(rate) => rate.to_text(),
    }
}

/// A number that may be off.
struct OrOff(Option<NonZeroUsize>);

/// The word for no limit.
const OFF: &str = "off";

impl SettingValue for OrOff {
    const ALLOWED: &'static str = "a whole number, at least 1, or off";

    fn parse_value(text: &str) -> Option<Self> {
        if text == OFF {
            return Some(Self(None));
        }
        text.parse().ok().map(|bound| Self(Some(bound)))
    }

    fn to_text(&self) -> Option<String> {
        Some(self.0.map_or_else(|| OFF.into(), |bound| bound.to_string()))
    }
}

impl SettingValue for String {
    const ALLOWED: &'static str = "text that is not empty";
    const FORM: Form = Form::Text;

    fn parse_value(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| text.into())
    }

    fn to_text(&self) -> Option<String> {
        Some(self.clone())
    }
}

impl SettingValue for HttpUrl {
    const ALLOWED: &'static str = "a URL such as https://login.example.com/.well-known/jwks.json";
    const FORM: Form = Form::Text;

    fn parse_value(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    /// The value is not shown: it may hold a secret in a place where none is allowed.
    fn parse_or_explain(text: &str) -> Result<Self, String> {
        text.parse().map_err(|wrong| format!("{wrong}; expected {}", Self::ALLOWED))
    }

    fn to_text(&self) -> Option<String> {
        Some(self.written().into())
    }
}

impl SettingValue for Secret<String> {
    const ALLOWED: &'static str = String::ALLOWED;
    const FORM: Form = Form::Text;
    const IS_SECRET: bool = true;

    fn parse_value(text: &str) -> Option<Self> {
        String::parse_value(text).map(Self::new)
    }

    fn parse_or_explain(text: &str) -> Result<Self, String> {
        Self::parse_value(text).ok_or_else(|| format!("expected {}", Self::ALLOWED))
    }

    fn to_text(&self) -> Option<String> {
        None
    }
}

impl<V: SettingValue> SettingValue for Option<V> {
    const ALLOWED: &'static str = V::ALLOWED;
    const FORM: Form = V::FORM;
    const IS_SECRET: bool = V::IS_SECRET;

    fn parse_value(text: &str) -> Option<Self> {
        V::parse_value(text).map(Some)
    }

    fn parse_or_explain(text: &str) -> Result<Self, String> {
        V::parse_or_explain(text).map(Some)
    }

    fn to_text(&self) -> Option<String> {
        self.as_ref().and_then(V::to_text)
    }
}

impl SettingValue for Who {
    const ALLOWED: &'static str = "nobody, token, members, users or anyone";

    fn parse_value(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|who| who.word() == text)
    }

    fn to_text(&self) -> Option<String> {
        Some(self.word().into())
    }
}

impl SettingValue for Glob {
    const ALLOWED: &'static str = "a pattern such as chat:*, with * for any characters and ? for one";
    const FORM: Form = Form::Text;

    fn parse_value(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self::new(text.into()))
    }

    fn to_text(&self) -> Option<String> {
        Some(self.as_str().into())
    }
}

impl SettingValue for UserLimit {
    const ALLOWED: &'static str = "replace or refuse";

    fn parse_value(text: &str) -> Option<Self> {
        match text {
            "replace" => Some(Self::Replace),
            "refuse" => Some(Self::Refuse),
            _ => None,
        }
    }

    fn to_text(&self) -> Option<String> {
        Some(match self {
            Self::Replace => "replace".into(),
            Self::Refuse => "refuse".into(),
        })
    }
}

/// Defines an enum whose values are written as one word each.
macro_rules! keyword_enum {
    ($(#[$doc:meta])* $name:ident, $allowed:literal { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name { $($(#[$variant_doc])* $variant,)+ }

        impl SettingValue for $name {
            const ALLOWED: &'static str = $allowed;

            fn parse_value(text: &str) -> Option<Self> {
                match text {
                    $($word => Some(Self::$variant),)+
                    _ => None,
                }
            }

            fn to_text(&self) -> Option<String> {
                Some(match self { $(Self::$variant => $word,)+ }.into())
            }
        }
    };
}

keyword_enum! {
    /// The least severe level that is logged.
    LogLevel, "error, warn, info, debug, trace or off" {
        /// Nothing.
        Off = "off",
        /// Errors of the server.
        Error = "error",
        /// Conditions that need attention.
        Warn = "warn",
        /// Start and stop.
        Info = "info",
        /// Every connection, its rooms, and tokens that are refused.
        Debug = "debug",
        /// Every room that becomes occupied or vacant, and every user that comes online or goes offline.
        Trace = "trace",
    }
}

keyword_enum! {
    /// The format of log lines.
    LogFormat, "text or json" {
        /// Text for people.
        Text = "text",
        /// One JSON object on each line.
        Json = "json",
    }
}

keyword_enum! {
    /// How an API call reports an error.
    ApiErrorMode, "transport or body" {
        /// By the HTTP status, and in the body.
        Transport = "transport",
        /// In the body of a 200 only.
        Body = "body",
    }
}
