//! The choice among media types that a request's `Accept` makes (RFC 9110 section 12.5.1).

use std::cmp::Reverse;

/// A media range of `Accept`, with its quality in thousandths.
struct MediaRange<'a> {
    range: &'a str,
    quality: u16,
}

impl<'a> MediaRange<'a> {
    /// Reads an element of the list. None where its quality is none.
    fn read(element: &'a str) -> Option<Self> {
        let mut parts = element.split(';').map(str::trim);
        let range = parts.next()?;
        let weight =
            parts.filter_map(|part| part.split_once('=')).find(|(name, _)| name.trim().eq_ignore_ascii_case("q"));
        let quality = weight.map_or(Some(1.0), |(_, value)| value.trim().parse::<f32>().ok());
        let quality = quality.filter(|quality| (0.0..=1.0).contains(quality))?;
        Some(Self { range, quality: (quality * 1000.0).round() as u16 })
    }

    /// The closeness with which it names a type: 2 by its name, 1 by its kind, 0 as any type; None where it does not.
    fn closeness(&self, media_type: &str) -> Option<u8> {
        let kind = media_type.split_once('/').map_or(media_type, |(kind, _)| kind);
        match self.range.split_once('/')? {
            _ if self.range.eq_ignore_ascii_case(media_type) => Some(2),
            (own, "*") if own.eq_ignore_ascii_case(kind) => Some(1),
            ("*", "*") => Some(0),
            _ => None,
        }
    }
}

/// The place of the type that the values of `Accept` prefer among those offered: the one of the highest quality; of several,
/// the one that is named most closely, then the one that is named first, then the one that is offered first. Also the first
/// where none is wanted, since some answer is better than none.
pub(super) fn preferred<'a, const TYPES: usize>(
    values: impl Iterator<Item = &'a str>,
    offered: [&str; TYPES],
) -> usize {
    let ranges: Vec<MediaRange> = values.flat_map(|value| value.split(',')).filter_map(MediaRange::read).collect();
    let rank = |media_type: &str| {
        let named = ranges
            .iter()
            .enumerate()
            .filter_map(|(at, range)| Some((range.closeness(media_type)?, range.quality, Reverse(at))));
        // Of the ranges that name it, the closest tells its quality.
        let (closeness, quality, at) = named.max()?;
        (quality > 0).then_some((quality, closeness, at))
    };
    // The last one that is as good as any: of equals, the one offered first.
    (0..TYPES).rev().max_by_key(|place| rank(offered[*place])).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPES: [&str; 2] = ["text/plain", "application/openmetrics-text"];

    #[test]
    fn the_type_of_the_highest_quality_is_preferred() {
        for (accept, expected) in [
            ("application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.3,*/*;q=0.1", 1),
            ("application/openmetrics-text;q=0.3, text/plain;q=0.6", 0),
            ("text/plain;q=0.5, Application/OpenMetrics-Text ; version=1.0.0 ; Q=0.501", 1),
            ("application/openmetrics-text;q=0, */*;q=0.1", 0),
            ("application/openmetrics-text;q=0", 0),
            ("application/openmetrics-text, */*", 1),
            ("application/*, text/plain;q=0.9", 1),
            ("application/*;q=0.5, application/openmetrics-text;q=0.1, text/*;q=0.2", 0),
            ("text/plain, application/openmetrics-text", 0),
            ("application/openmetrics-text, text/plain", 1),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", 0),
            ("*/*", 0),
            ("image/png", 0),
            ("application/openmetrics-text;q=2, text/plain;q=0.1", 0),
            ("application/openmetrics-text;q=much", 0),
            ("", 0),
            (",;,/;q", 0),
        ] {
            assert_eq!(preferred([accept].into_iter(), TYPES), expected, "{accept}");
        }
        let lines = ["text/plain;q=0.1", "application/openmetrics-text;q=0.2"];
        assert_eq!(preferred(lines.into_iter(), TYPES), 1, "several lines are one list");
        assert_eq!(preferred([].into_iter(), TYPES), 0, "none asks for nothing else");
    }
}
