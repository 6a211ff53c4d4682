//! A change of an alert as Alertmanager's webhook has it, version 4, so that what takes those takes these: one alert, in a group
//! of its own.

use super::rule::{AlertChange, AlertRule};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

/// The end of an alert that has none yet, as Go writes a time that is not set.
const NO_END: &str = "0001-01-01T00:00:00Z";
/// The name of the receiver, which Alertmanager's configuration would choose.
const RECEIVER: &str = "parlor";

/// The body of a notification.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WebhookBody<'n> {
    version: &'static str,
    group_key: String,
    truncated_alerts: u32,
    status: &'static str,
    receiver: &'static str,
    group_labels: BTreeMap<&'static str, &'n str>,
    common_labels: &'n BTreeMap<&'static str, &'n str>,
    common_annotations: &'n BTreeMap<&'static str, String>,
    #[serde(rename = "externalURL")]
    external_url: &'static str,
    alerts: [WebhookAlert<'n>; 1],
}

/// The alert in it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WebhookAlert<'n> {
    status: &'static str,
    labels: &'n BTreeMap<&'static str, &'n str>,
    annotations: &'n BTreeMap<&'static str, String>,
    starts_at: String,
    ends_at: String,
    #[serde(rename = "generatorURL")]
    generator_url: &'static str,
    fingerprint: String,
}

/// The times of an alert, in milliseconds since 1970.
#[derive(Clone, Copy, Debug)]
pub(super) struct AlertTimes {
    /// When it was raised.
    pub(super) raised_at: u64,
    /// When this notification is about.
    pub(super) now: u64,
}

/// The body of the notification that an alert of the server `instance` has changed, at this value of its figure.
pub(super) fn body(rule: &AlertRule, change: AlertChange, value: f64, times: AlertTimes, instance: &str) -> String {
    let (status, ends_at) = match change {
        AlertChange::Raised => ("firing", NO_END.into()),
        AlertChange::Cleared => ("resolved", rfc3339(times.now)),
    };
    let name = &*rule.name;
    let labels = BTreeMap::from([
        ("alertname", name),
        ("figure", rule.figure.name()),
        ("instance", instance),
        ("severity", rule.severity.name()),
    ]);
    let annotations = annotations(rule, value, instance);
    let alert = WebhookAlert {
        status,
        labels: &labels,
        annotations: &annotations,
        starts_at: rfc3339(times.raised_at),
        ends_at,
        generator_url: "",
        fingerprint: fingerprint(&labels),
    };
    let body = WebhookBody {
        version: "4",
        group_key: format!("{{}}:{{alertname={name:?}, instance={instance:?}}}"),
        truncated_alerts: 0,
        status,
        receiver: RECEIVER,
        group_labels: BTreeMap::from([("alertname", name), ("instance", instance)]),
        common_labels: &labels,
        common_annotations: &annotations,
        external_url: "",
        alerts: [alert],
    };
    serde_json::to_string(&body).expect("it has no map with keys that are not text")
}

/// The texts for a person.
fn annotations(rule: &AlertRule, value: f64, instance: &str) -> BTreeMap<&'static str, String> {
    let AlertRule { name, figure, threshold, hold, clear, .. } = rule;
    let figure = figure.name();
    let hold = if hold.is_zero() { String::new() } else { format!(" for {}", humantime::format_duration(*hold)) };
    let description = format!("{figure} is {value}. The alert is raised {threshold}{hold}, and cleared at {clear}.");
    BTreeMap::from([("summary", format!("{name}: {figure} of {instance} is {value}")), ("description", description)])
}

fn rfc3339(unix_ms: u64) -> String {
    humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(unix_ms)).to_string()
}

/// The identity of an alert, the same at each change: Prometheus' hash of its labels (FNV-1a of 64 bits).
fn fingerprint(labels: &BTreeMap<&'static str, &str>) -> String {
    let texts = labels.iter().flat_map(|(name, value)| [name, *value]);
    let bytes = texts.flat_map(|text| text.bytes().chain([0xFF]));
    let hash =
        bytes.fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3));
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::super::figures::Figure;
    use super::super::rule::{Severity, Threshold};
    use super::*;
    use serde_json::{Value, json};

    fn of(change: AlertChange, value: f64) -> Value {
        let rule = AlertRule {
            name: "crowded".into(),
            figure: Figure::named("connections").unwrap(),
            threshold: Threshold::Above(5.0),
            hold: Duration::from_secs(60),
            clear: 3.0,
            severity: Severity::Critical,
        };
        let times = AlertTimes { raised_at: 1_700_000_000_000, now: 1_700_000_060_500 };
        serde_json::from_str(&body(&rule, change, value, times, "a")).unwrap()
    }

    /// The value is that of Prometheus' own tests (common/model/signature_test.go).
    #[test]
    fn a_fingerprint_is_that_of_prometheus() {
        let labels = BTreeMap::from([("name", "garland, briggs"), ("fear", "love is not enough")]);
        assert_eq!(fingerprint(&labels), format!("{:016x}", 5_799_056_148_416_392_346_u64));
    }

    #[test]
    fn a_notification_has_what_alertmanager_sends() {
        let firing = of(AlertChange::Raised, 6.0);
        let labels = json!({"alertname": "crowded", "figure": "connections", "instance": "a", "severity": "critical"});
        let annotations = json!({
            "summary": "crowded: connections of a is 6",
            "description": "connections is 6. The alert is raised above 5 for 1m, and cleared at 3.",
        });
        let fingerprint = firing["alerts"][0]["fingerprint"].clone();
        assert_eq!(fingerprint.as_str().map(str::len), Some(16));
        let expected = json!({
            "version": "4",
            "groupKey": "{}:{alertname=\"crowded\", instance=\"a\"}",
            "truncatedAlerts": 0,
            "status": "firing",
            "receiver": "parlor",
            "groupLabels": {"alertname": "crowded", "instance": "a"},
            "commonLabels": labels,
            "commonAnnotations": annotations,
            "externalURL": "",
            "alerts": [{
                "status": "firing",
                "labels": labels,
                "annotations": annotations,
                "startsAt": "2023-11-14T22:13:20.000Z",
                "endsAt": "0001-01-01T00:00:00Z",
                "generatorURL": "",
                "fingerprint": fingerprint,
            }],
        });
        assert_eq!(firing, expected);
        let resolved = of(AlertChange::Cleared, 3.0);
        assert_eq!((&resolved["status"], &resolved["alerts"][0]["status"]), (&json!("resolved"), &json!("resolved")));
        assert_eq!(resolved["alerts"][0]["endsAt"], "2023-11-14T22:14:20.500Z");
        assert_eq!(resolved["alerts"][0]["startsAt"], firing["alerts"][0]["startsAt"]);
        assert_eq!(resolved["alerts"][0]["fingerprint"], fingerprint, "it is the same alert");
    }
}
