//! Environment variables that Kubernetes sets in a container for every service of the namespace. They begin with the
//! service's name and are not settings, even where that name is `parlor` or `parlor-ws`.

/// Whether a variable has the form that Kubernetes gives it: `{SERVICE}_SERVICE_HOST`, `{SERVICE}_SERVICE_PORT`,
/// `{SERVICE}_SERVICE_PORT_{NAME}`, `{SERVICE}_PORT` with a URL, and `{SERVICE}_PORT_{NUMBER}_{PROTOCOL}`, alone or with
/// `_PROTO`, `_PORT` or `_ADDR`.
pub(super) fn is_for_a_service(name: &str, value: Option<&str>) -> bool {
    let mut words = name.rsplit('_');
    let last = [(); 4].map(|()| words.next().unwrap_or_default());
    match last {
        ["HOST", "SERVICE", ..] | ["PORT", "SERVICE", ..] => true,
        ["PORT", "TCP" | "UDP" | "SCTP", number, "PORT"] => is_number(number),
        ["PROTO" | "ADDR", protocol, number, "PORT"] => is_protocol(protocol) && is_number(number),
        [protocol, number, "PORT", _] if is_protocol(protocol) && is_number(number) => true,
        // Kubernetes writes a URL; a person who means a port writes a number.
        ["PORT", ..] => {
            value.is_some_and(|value| ["tcp://", "udp://", "sctp://"].iter().any(|url| value.starts_with(url)))
        }
        _ => name.contains("_SERVICE_PORT_"),
    }
}

fn is_protocol(word: &str) -> bool {
    matches!(word, "TCP" | "UDP" | "SCTP")
}

fn is_number(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_of_kubernetes_are_told_from_what_people_write() {
        for service in ["PARLOR", "PARLOR_WS", "PARLOR_WS_2", "PARLOR_PORT", "PARLOR_SERVICE", "PARLOR_A_B_C"] {
            for (name, value) in [
                ("SERVICE_HOST", "10.0.0.1"),
                ("SERVICE_PORT", "8000"),
                ("SERVICE_PORT_HTTP", "8000"),
                ("SERVICE_PORT_HTTP_WS_2", "8000"),
                ("PORT", "tcp://10.0.0.1:8000"),
                ("PORT", "sctp://[fd00::1]:8000"),
                ("PORT_8000_TCP", "tcp://10.0.0.1:8000"),
                ("PORT_8000_TCP_PROTO", "tcp"),
                ("PORT_8000_TCP_PORT", "8000"),
                ("PORT_8000_TCP_ADDR", "10.0.0.1"),
                ("PORT_53_UDP", "udp://10.0.0.1:53"),
                ("PORT_53_UDP_ADDR", "10.0.0.1"),
                ("PORT_53_UDP_PORT", "53"),
                ("PORT_9_SCTP_PROTO", "sctp"),
            ] {
                let name = format!("{service}_{name}");
                assert!(is_for_a_service(&name, Some(value)), "{name}");
            }
        }
        for (name, value) in [
            ("PARLOR_LISTN", "127.0.0.1:8000"),
            ("PARLOR_PORT", "8000"),
            ("PARLOR_WS_PORT", "8000"),
            ("PARLOR_PORT_8000", "tcp://10.0.0.1:8000"),
            ("PARLOR_PORT_HTTP_TCP", "tcp://10.0.0.1:8000"),
            ("PARLOR_PORT_8000_TLS", "tcp://10.0.0.1:8000"),
            ("PARLOR_HOST", "10.0.0.1"),
            ("PARLOR_SERVICE", "10.0.0.1"),
            ("PARLOR_LISTEN_ADDR", "10.0.0.1"),
            ("PARLOR_SERVICE_PORTS", "8000"),
        ] {
            assert!(!is_for_a_service(name, Some(value)), "{name}");
        }
        assert!(!is_for_a_service("PARLOR_PORT", None));
    }
}
