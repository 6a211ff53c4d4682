//! Filler in place of what clients say: as many bytes, and to a shard the same.
//!
//! A shard looks at the structure of a message, at rooms, positions and the like, and at the `type` of a payload. All of that
//! stays. The content of other texts becomes `x`, and that of numbers `1`, so that JSON stays JSON and what was refused for its
//! depth, its digits or a half of a surrogate pair still is. Text that is no JSON stays as wrong as it was.

use crate::connection::frame;
use crate::json::Json;
use crate::payload::Payload;
use crate::stored::ContentKind;
use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

/// The keys of messages whose values a shard may read. The content below all others is not looked at.
const KEPT: &[&[u8]] = &[
    b"id",
    b"type",
    b"room",
    b"channel",
    b"events",
    b"recover",
    b"epoch",
    b"offset",
    b"flag",
    b"join_leave",
    b"limit",
    b"since",
    b"reverse",
    b"tf",
    b"key",
    b"removed",
    b"phase",
    b"cursor",
    b"delta",
];

/// The extent to which a message is filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Filled {
    /// Tokens alone.
    Tokens,
    /// Everything that a shard does not read.
    Content,
}

/// The treatment of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It is kept; the keys of an object decide on what is in it.
    Kept,
    /// It is filled; the keys of an object decide on what is in it.
    ByKey,
    /// It is a payload: filled but for a `type`.
    Payload,
    /// It is filled with all that is in it.
    Filled,
    /// It is a token, which is filled in any case.
    Token,
}

/// The list or the object around a value.
#[derive(Clone, Copy)]
struct Around {
    is_object: bool,
    fate: Fate,
}

/// Whether a message may have a token in it. O(n), and a small part of reading it.
pub(super) fn may_have_token(text: &[u8]) -> bool {
    memchr::memmem::find(text, b"oken").is_some() || memchr::memchr(b'\\', text).is_some()
}

/// Fills a message of a client. O(n).
pub(super) fn fill_message(text: &mut [u8], filled: Filled) {
    Filler::new(text, filled, Fate::ByKey).run();
}

/// Fills what others than the server have said in a written state. O(n).
pub(super) fn fill_content(text: &mut [u8], kind: ContentKind) {
    match kind {
        ContentKind::Message => fill_message(text, Filled::Content),
        ContentKind::Payload => fill_json(text, Fate::Payload),
        ContentKind::Json => fill_json(text, Fate::Filled),
        ContentKind::Bytes => text.fill(0),
        ContentKind::Text => fill_text(text),
        ContentKind::CommandId => fill_json(text, Fate::Kept),
        ContentKind::Token => text.fill(b'x'),
        ContentKind::Frame => fill_frame(text),
    }
}

/// Fills a frame of the server but for its header.
fn fill_frame(frame: &mut [u8]) {
    let (header, payload) = frame.split_at_mut(frame::header_bytes(frame));
    match header {
        // One of `plain` is a payload and nothing else, with names that a message has, too. No shard reads a frame.
        [frame::TEXT_HEADER, ..] => fill_json(payload, Fate::Filled),
        // The server or a backend says why it closes.
        [frame::CLOSE_HEADER, ..] => {}
        _ => payload.fill(0),
    }
}

fn fill_json(text: &mut [u8], fate: Fate) {
    Filler::new(text, Filled::Content, fate).run();
}

/// Returns an `info` of as many bytes, filled as it is in a state.
pub(super) fn filled_info(info: &Json) -> Json {
    filled_json(info, Fate::Filled)
}

fn filled_json(json: &Json, fate: Fate) -> Json {
    let mut bytes = Vec::from(json.as_bytes());
    fill_json(&mut bytes, fate);
    let text = String::from_utf8(bytes).unwrap_or_default();
    // Filler is JSON where what it stands for was.
    Json::parse(&text).unwrap_or_else(|_| Json::encode(&filled_text(json)))
}

/// Returns a payload of as many bytes.
pub(super) fn filled_payload(payload: &Payload) -> Payload {
    match payload {
        Payload::Json(json) => Payload::Json(filled_json(json, Fate::Payload)),
        Payload::Bytes(bytes) => Payload::from(alloc::vec![0; bytes.len()]),
    }
}

/// Returns a text of as many bytes, also once it is a string of JSON.
pub(super) fn filled_text(text: &str) -> String {
    let mut bytes = Vec::from(text);
    fill_text(&mut bytes);
    String::from_utf8(bytes).unwrap_or_default()
}

/// Fills a text that becomes a string of JSON: what is escaped there stays.
fn fill_text(text: &mut [u8]) {
    text.iter_mut().filter(|byte| !matches!(byte, 0..0x20 | b'"' | b'\\')).for_each(|byte| *byte = b'x');
}

/// One pass over the tokens of JSON.
struct Filler<'a> {
    text: &'a mut [u8],
    at: usize,
    filled: Filled,
    /// The fate of what nothing is around: a message may have several commands.
    outer: Fate,
    /// The innermost comes last.
    around: Vec<Around>,
    /// The fate of the next value.
    fate: Fate,
    is_key_next: bool,
}

impl<'a> Filler<'a> {
    fn new(text: &'a mut [u8], filled: Filled, outer: Fate) -> Self {
        Self { text, at: 0, filled, outer, around: Vec::new(), fate: outer, is_key_next: false }
    }

    fn run(mut self) {
        while let Some(byte) = self.text.get(self.at) {
            match byte {
                b'"' => self.string(),
                b'{' | b'[' => {
                    let is_object = *byte == b'{';
                    self.around.push(Around { is_object, fate: self.fate });
                    self.is_key_next = is_object;
                    self.fate = self.fate.of_item();
                    self.at += 1;
                }
                b'}' | b']' => {
                    self.around.pop();
                    if self.around.is_empty() {
                        self.fate = self.outer;
                    }
                    self.is_key_next = false;
                    self.at += 1;
                }
                b',' => {
                    let around = self.around.last().copied();
                    self.is_key_next = around.is_some_and(|around| around.is_object);
                    self.fate = around.map_or(self.outer, |around| around.fate.of_item());
                    self.at += 1;
                }
                b'-' | b'0'..=b'9' => self.number(),
                b':' | b' ' | b'\t' | b'\r' | b'\n' => self.at += 1,
                _ => self.word(),
            }
        }
    }

    /// Fills a string, or finds the fate of the value behind a key.
    fn string(&mut self) {
        let start = self.at + 1;
        let content = start..content_end(self.text, start);
        self.at = content.end + 1;
        if self.is_key_next {
            self.is_key_next = false;
            let fate = self.around.last().map_or(self.outer, |around| around.fate);
            let is_type = fate == Fate::Payload && is_key(&self.text[content.clone()], "type");
            self.fate = match fate {
                _ if is_type => Fate::Kept,
                Fate::Kept | Fate::ByKey => of_key(&self.text[content]),
                Fate::Payload | Fate::Filled | Fate::Token => {
                    if self.filled == Filled::Content {
                        fill_string(&mut self.text[content]);
                    }
                    Fate::Filled
                }
            };
        } else if self.fate == Fate::Token || (self.fate != Fate::Kept && self.filled == Filled::Content) {
            fill_string(&mut self.text[content]);
        }
    }

    fn number(&mut self) {
        let start = self.at;
        let is_of_number = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E');
        let length = self.text[start..].iter().take_while(|byte| is_of_number(byte)).count();
        self.at += length;
        if self.fate == Fate::Kept || self.filled == Filled::Tokens {
            return;
        }
        let mut digits = self.text[start..start + length].iter_mut().filter(|byte| byte.is_ascii_digit());
        // Only a number that is zero before its fraction begins so.
        if let Some(first) = digits.next().filter(|first| **first != b'0') {
            *first = b'1';
        }
        digits.for_each(|digit| *digit = b'1');
    }

    /// Passes over `true`, `false` and `null`, and fills a byte that is of no JSON.
    fn word(&mut self) {
        let words = [&b"true"[..], b"false", b"null"];
        let known = words.iter().find(|word| self.text[self.at..].starts_with(word));
        if known.is_none() && self.filled == Filled::Content {
            self.text[self.at] = b'x';
        }
        self.at += known.map_or(1, |word| word.len());
    }
}

impl Fate {
    /// The fate of an item of a list, and of an object's member whose key says nothing.
    fn of_item(self) -> Self {
        match self {
            Self::Kept | Self::ByKey => self,
            Self::Payload | Self::Filled | Self::Token => Self::Filled,
        }
    }
}

/// Returns the fate of the value of a key in a message.
fn of_key(key: &[u8]) -> Fate {
    if is_key(key, "data") {
        Fate::Payload
    } else if is_key(key, "token") {
        Fate::Token
    } else if KEPT.contains(&key) {
        Fate::Kept
    } else {
        Fate::ByKey
    }
}

/// Returns `true` for a key that is this name, however it is escaped.
fn is_key(key: &[u8], name: &str) -> bool {
    if memchr::memchr(b'\\', key).is_none() {
        return key == name.as_bytes();
    }
    let quoted = [b"\"", key, b"\""].concat();
    serde_json::from_slice::<Cow<'_, str>>(&quoted).is_ok_and(|key| key == name)
}

/// Returns the end of the content of a string that begins at `at`: its closing quote, or the end of the text.
fn content_end(text: &[u8], mut at: usize) -> usize {
    while let Some(next) = text.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
        at += next;
        if text[at] == b'"' {
            return at;
        }
        at += 2;
    }
    text.len()
}

/// Fills the content of a string. What makes a string wrong stays.
fn fill_string(content: &mut [u8]) {
    let mut at = 0;
    while at < content.len() {
        let rest = &mut content[at..];
        let length = match rest {
            [0..0x20, ..] => {
                at += 1;
                continue;
            }
            [b'\\', b'u', digits @ ..] if digits.len() >= 4 && digits[..4].iter().all(u8::is_ascii_hexdigit) => {
                match digits[..2].to_ascii_lowercase()[..] {
                    [b'd', b'8'..=b'9' | b'a'..=b'b'] => digits[..4].copy_from_slice(b"d800"),
                    [b'd', b'c'..=b'f'] => digits[..4].copy_from_slice(b"dc00"),
                    _ => rest[..6].fill(b'x'),
                }
                6
            }
            [b'\\', b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => {
                rest[..2].fill(b'x');
                2
            }
            // Of a longer character no part is left.
            [b'\\', 0..0x80, ..] => 2,
            [b'\\', ..] => 1,
            _ => {
                rest[0] = b'x';
                1
            }
        };
        at += length;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    fn filled(text: &str) -> String {
        let mut bytes = Vec::from(text);
        fill_message(&mut bytes, Filled::Content);
        assert_eq!(bytes.len(), text.len());
        String::from_utf8(bytes).expect("UTF-8")
    }

    #[test]
    fn content_is_filled_and_what_a_shard_reads_is_kept() {
        for (text, expected) in [
            (
                r#"{"id":7,"publish":{"channel":"a","data":{"n":[15,true],"é":"é"}}}"#,
                r#"{"id":7,"publish":{"channel":"a","data":{"x":[11,true],"xx":"xx"}}}"#,
            ),
            (
                r#"{"connect":{"token":"ab.c","name":"js","data":"a"},"id":12}{"id":2}"#,
                r#"{"connect":{"token":"xxxx","name":"xx","data":"x"},"id":12}{"id":2}"#,
            ),
            (
                "{\"publish\":{\"data\":{\"n\":15}}}\n{\"id\":20,\"publish\":{\"channel\":\"a\",\"data\":[3]}}",
                "{\"publish\":{\"data\":{\"x\":11}}}\n{\"id\":20,\"publish\":{\"channel\":\"a\",\"data\":[1]}}",
            ),
            (
                r#"{"subscribe":{"channel":"a","recover":true,"epoch":"e1","offset":12,"token":""}}"#,
                r#"{"subscribe":{"channel":"a","recover":true,"epoch":"e1","offset":12,"token":""}}"#,
            ),
            (
                r#"{"connect":{"subs":{"room":{"epoch":"e","data":9}}}}"#,
                r#"{"connect":{"subs":{"room":{"epoch":"e","data":1}}}}"#,
            ),
            (
                r#"{"type":"publish","room":"r","data":{"type":"chat","text":"hello","in":{"type":"b"}}}"#,
                r#"{"type":"publish","room":"r","data":{"type":"chat","xxxx":"xxxxx","xx":{"xxxx":"x"}}}"#,
            ),
            (
                r#"{"type":"subscribe","events":["chat","typing"]}"#,
                r#"{"type":"subscribe","events":["chat","typing"]}"#,
            ),
            (
                r#"{"type":"nothing","text":"secret","n":-20.5e+7,"m":{"id":"k","o":null}}"#,
                r#"{"type":"nothing","text":"xxxxxx","n":-11.1e+1,"m":{"id":"k","o":null}}"#,
            ),
            (
                r#"{"to\u006ben":"ab","d\u0061ta":[0.5,"\ud83d\ude00\u00e9\n"]}"#,
                r#"{"to\u006ben":"xx","d\u0061ta":[0.1,"\ud800\udc00xxxxxxxx"]}"#,
            ),
        ] {
            assert_eq!(filled(text), expected);
            assert_eq!(filled(expected), expected, "it is filled once and for all");
        }
    }

    #[test]
    fn text_that_is_no_json_says_nothing_and_stays_wrong() {
        for (text, expected) in [
            ("auth eyJ.abc", "xxxx xxxxxxx"),
            ("\"secret", "\"xxxxxx"),
            (r#"{"data":"\q","a":"b"#, r#"{"data":"\q","a":"x"#),
            (r#"{"data":01}"#, r#"{"data":01}"#),
            ("{\"data\":\"\n\\ud83dx\"}", "{\"data\":\"\n\\ud800x\"}"),
        ] {
            assert_eq!(filled(text), expected);
        }
    }

    #[test]
    fn whatever_is_filled_is_as_much_text_as_before() {
        let parts = ["\\", "\"", "é", "u", "d8", "{", ":", "\n", "😀"];
        for many in 0..parts.len().pow(5) {
            let text = (0..5).map(|at| parts[many / parts.len().pow(at) % parts.len()]).collect::<String>();
            for (kind, around) in [(ContentKind::Message, ""), (ContentKind::Json, "\""), (ContentKind::Text, "")] {
                let text = alloc::format!("{around}{text}");
                let mut bytes = Vec::from(text.as_bytes());
                fill_content(&mut bytes, kind);
                let filled = String::from_utf8(bytes).expect("UTF-8");
                assert_eq!(filled.len(), text.len());
                let encoded = [Json::encode(&text), Json::encode(&filled)].map(|json| json.len());
                assert!(kind != ContentKind::Text || encoded[0] == encoded[1], "{text} became {filled}");
            }
        }
    }

    #[test]
    fn only_tokens_are_filled_where_payloads_are_wanted() {
        let mut text = Vec::from(r#"{"type":"auth","token":"abc","data":{"token":"its own"}}"#);
        assert!(may_have_token(&text));
        fill_message(&mut text, Filled::Tokens);
        assert_eq!(text, br#"{"type":"auth","token":"xxx","data":{"token":"its own"}}"#);
        assert!(may_have_token(br#"{"\u0074\u006fk\u0065n":""}"#) && !may_have_token(br#"{"type":"ping"}"#));
    }

    #[test]
    fn a_payload_keeps_its_length_and_its_type() {
        let json = Json::parse(r#"{"type":"chat","to":"ada"}"#).expect("JSON");
        assert_eq!(filled_json(&json, Fate::Payload).to_string(), r#"{"type":"chat","xx":"xxx"}"#);
        assert_eq!(filled_info(&json).to_string(), r#"{"xxxx":"xxxx","xx":"xxx"}"#);
        let bytes = Payload::from(Vec::from([1, 2]));
        assert_eq!(filled_payload(&bytes), Payload::from(Vec::from([0, 0])));
    }
}
