//! The form of a line in JSON: `time`, `level`, `area`, `event`, and the fields of the event.

use crate::config::LogArea;
use serde_json::Value;
use std::fmt::{self, Write as _};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// The first part of the paths of this crate's modules, which are the targets of lines of the area `server`.
pub(super) const CRATE: &str = "parlor";

/// Lines of one JSON object each.
#[derive(Clone, Copy, Debug)]
pub(super) struct JsonLines;

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let metadata = event.metadata();
        writer.write_str("{\"time\":\"")?;
        SystemTime.format_time(&mut writer)?;
        let level = metadata.level().as_str().to_ascii_lowercase();
        write!(writer, "\",\"level\":\"{level}\",\"area\":{}", Value::from(area(metadata.target())))?;
        let mut fields = EventFields::default();
        event.record(&mut fields);
        writeln!(writer, ",\"event\":{}{}}}", Value::from(fields.event), fields.others)
    }
}

/// The area of a line with this target. Those of other crates are named by their own.
fn area(target: &str) -> &str {
    match target.split("::").next() {
        Some(CRATE) => LogArea::Server.name(),
        _ => target,
    }
}

/// The words of an event, and its fields as members of an object, each behind a comma.
#[derive(Debug, Default)]
struct EventFields {
    event: String,
    others: String,
}

impl EventFields {
    fn add(&mut self, field: &Field, value: &Value) {
        match (field.name(), value) {
            ("message", Value::String(event)) => self.event.clone_from(event),
            (name, value) => {
                write!(self.others, ",{}:{value}", Value::from(name)).expect("memory takes it");
            }
        }
    }
}

impl Visit for EventFields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, &format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, &value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, &value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, &value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, &value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, &value.into());
    }
}
