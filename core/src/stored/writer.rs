//! The writer of a state: the form of `postcard`, within a bound, in which what is shared is written once.

use super::{CONTENT, FRAME, SHARED, TEXT, TOKEN};
use crate::map::{Keys, Map};
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;
use serde::Serialize;
use serde::ser::{
    self, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple, SerializeTupleStruct,
    SerializeTupleVariant, Serializer,
};

/// The bytes of a state, and what in them is content.
#[derive(Clone, Debug, Default)]
pub(crate) struct WrittenState {
    pub bytes: Vec<u8>,
    /// In order.
    pub contents: Vec<ContentRange>,
}

impl WrittenState {
    /// Returns the bytes that it takes.
    pub fn memory(&self) -> usize {
        self.bytes.len() + self.contents.len() * size_of::<ContentRange>()
    }
}

/// A text in a state that others than this server have said.
#[derive(Clone, Debug)]
pub(crate) struct ContentRange {
    pub range: Range<u32>,
    pub kind: ContentKind,
}

/// The form that a text has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ContentKind {
    /// A message of a client.
    Message,
    /// A payload that is JSON.
    Payload,
    /// JSON in which everything is content.
    Json,
    /// Bytes.
    Bytes,
    /// Words that become a string of JSON.
    Text,
    /// The id of a command, which is kept as it is in a message.
    CommandId,
    /// A frame of the server.
    Frame,
    /// A token, in place of which filler is written.
    Token,
}

/// The reason for which a state is not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StateError {
    /// It has more bytes than it may.
    TooLarge,
    /// It has something that has no form, or a table with too many places.
    Unwritable,
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLarge => "it is too large",
            Self::Unwritable => "a part of it cannot be written",
        })
    }
}

impl ser::Error for StateError {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self::Unwritable
    }
}

impl core::error::Error for StateError {}

/// Writes one state.
#[derive(Debug)]
pub(crate) struct StateWriter {
    written: WrittenState,
    /// The most bytes, less those that are taken by what is known of contents.
    most: usize,
    has_tokens: bool,
    /// The numbers of the shared values by their addresses, from 1.
    shared: Map<usize, u64>,
    /// The form of the next text, if it is content.
    kind: Option<ContentKind>,
    /// Whether the next number is an address, and is not written.
    is_address: bool,
    address: usize,
}

impl StateWriter {
    /// Writes a value, with filler for tokens unless it `has_tokens`: but those that are in a message stay.
    ///
    /// # Errors
    /// It would take more than `most` bytes.
    pub fn write(value: &impl Serialize, most: usize, has_tokens: bool) -> Result<WrittenState, StateError> {
        let mut writer = Self {
            written: WrittenState::default(),
            most,
            has_tokens,
            shared: Map::with_hasher(Keys(0, 0)),
            kind: None,
            is_address: false,
            address: 0,
        };
        value.serialize(&mut writer)?;
        let mut written = writer.written;
        if written.memory() > most {
            return Err(StateError::TooLarge);
        }
        // Both have grown by doubling.
        written.bytes.shrink_to_fit();
        written.contents.shrink_to_fit();
        Ok(written)
    }

    #[inline]
    fn push(&mut self, byte: u8) -> Result<(), StateError> {
        if self.written.bytes.len() >= self.most {
            return Err(StateError::TooLarge);
        }
        self.written.bytes.push(byte);
        Ok(())
    }

    #[inline]
    fn number(&mut self, mut number: u64) -> Result<(), StateError> {
        while number >= 0x80 {
            self.push(number as u8 | 0x80)?;
            number >>= 7;
        }
        self.push(number as u8)
    }

    fn text(&mut self, text: &[u8]) -> Result<(), StateError> {
        self.number(text.len() as u64)?;
        let start = self.written.bytes.len();
        if self.most.checked_sub(start).is_none_or(|left| text.len() > left) {
            return Err(StateError::TooLarge);
        }
        self.written.bytes.extend_from_slice(text);
        if let Some(kind) = self.kind {
            if kind == ContentKind::Token {
                if !self.has_tokens {
                    self.written.bytes[start..].fill(b'x');
                }
                return Ok(());
            }
            let place = |at: usize| u32::try_from(at).map_err(|_| StateError::TooLarge);
            let range = place(start)?..place(start + text.len())?;
            self.written.contents.push(ContentRange { range, kind });
            self.most = self.most.saturating_sub(size_of::<ContentRange>());
        }
        Ok(())
    }

    /// Writes a value whose texts are content of this kind.
    fn with_kind(&mut self, kind: Option<ContentKind>, value: &(impl Serialize + ?Sized)) -> Result<(), StateError> {
        let around = self.kind;
        self.kind = kind.or(around);
        value.serialize(&mut *self)?;
        self.kind = around;
        Ok(())
    }

    fn list(&mut self, length: Option<usize>) -> Result<(), StateError> {
        self.number(length.ok_or(StateError::Unwritable)? as u64)
    }
}

macro_rules! numbers {
    ($($method:ident: $number:ty,)*) => {
        $(
            #[inline]
            fn $method(self, value: $number) -> Result<(), StateError> {
                self.number(value.into())
            }
        )*
    };
}

macro_rules! signed_numbers {
    ($($method:ident: $number:ty,)*) => {
        $(
            #[inline]
            fn $method(self, value: $number) -> Result<(), StateError> {
                let value = i64::from(value);
                self.number(((value << 1) ^ (value >> 63)) as u64)
            }
        )*
    };
}

macro_rules! unwritable {
    ($($method:ident: $number:ty,)*) => {
        $(fn $method(self, _: $number) -> Result<(), StateError> {
            Err(StateError::Unwritable)
        })*
    };
}

impl<'a> Serializer for &'a mut StateWriter {
    type Ok = ();
    type Error = StateError;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = TupleWriter<'a>;
    type SerializeTupleVariant = Self;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    numbers! { serialize_u16: u16, serialize_u32: u32, }
    signed_numbers! { serialize_i16: i16, serialize_i32: i32, serialize_i64: i64, }
    // No state has them.
    unwritable! { serialize_f32: f32, serialize_f64: f64, serialize_char: char, }

    fn serialize_bool(self, value: bool) -> Result<(), StateError> {
        self.push(value.into())
    }

    fn serialize_i8(self, value: i8) -> Result<(), StateError> {
        self.push(value as u8)
    }

    #[inline]
    fn serialize_u8(self, value: u8) -> Result<(), StateError> {
        self.push(value)
    }

    #[inline]
    fn serialize_u64(self, value: u64) -> Result<(), StateError> {
        if self.is_address {
            self.address = value as usize;
            return Ok(());
        }
        self.number(value)
    }

    fn serialize_str(self, text: &str) -> Result<(), StateError> {
        self.text(text.as_bytes())
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Result<(), StateError> {
        self.text(bytes)
    }

    #[inline]
    fn serialize_none(self) -> Result<(), StateError> {
        self.push(0)
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), StateError> {
        self.push(1)?;
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), StateError> {
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), StateError> {
        Ok(())
    }

    #[inline]
    fn serialize_unit_variant(self, _: &'static str, index: u32, _: &'static str) -> Result<(), StateError> {
        self.number(index.into())
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, name: &'static str, value: &T) -> Result<(), StateError> {
        match name {
            CONTENT => self.with_kind(Some(ContentKind::Json), value),
            TOKEN => self.with_kind(Some(ContentKind::Token), value),
            TEXT => self.with_kind(Some(ContentKind::Text), value),
            FRAME => self.with_kind(Some(ContentKind::Frame), value),
            _ => value.serialize(self),
        }
    }

    #[inline]
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), StateError> {
        self.number(index.into())?;
        let kind = match (name, variant) {
            ("Payload", "Json") => ContentKind::Payload,
            ("CommandId", "Json") => ContentKind::CommandId,
            ("WebSocketMessage", "Text") => ContentKind::Message,
            ("Payload" | "WebSocketMessage", _) => ContentKind::Bytes,
            _ => return value.serialize(self),
        };
        self.with_kind(Some(kind), value)
    }

    #[inline]
    fn serialize_seq(self, length: Option<usize>) -> Result<Self, StateError> {
        self.list(length)?;
        Ok(self)
    }

    #[inline]
    fn serialize_tuple(self, _: usize) -> Result<Self, StateError> {
        Ok(self)
    }

    #[inline]
    fn serialize_tuple_struct(self, name: &'static str, _: usize) -> Result<TupleWriter<'a>, StateError> {
        let shared = if name == SHARED { SharedPart::Address } else { SharedPart::Not };
        Ok(TupleWriter { writer: self, shared })
    }

    #[inline]
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, StateError> {
        self.number(index.into())?;
        Ok(self)
    }

    fn serialize_map(self, length: Option<usize>) -> Result<Self, StateError> {
        self.list(length)?;
        Ok(self)
    }

    #[inline]
    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, StateError> {
        Ok(self)
    }

    #[inline]
    fn serialize_struct_variant(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, StateError> {
        self.number(index.into())?;
        Ok(self)
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

/// Writes the fields of a tuple, or a value that others may share.
pub(crate) struct TupleWriter<'a> {
    writer: &'a mut StateWriter,
    shared: SharedPart,
}

#[derive(Clone, Copy)]
enum SharedPart {
    /// It is a tuple.
    Not,
    /// The address comes next.
    Address,
    /// The value comes next.
    Value,
}

impl SerializeTupleStruct for TupleWriter<'_> {
    type Ok = ();
    type Error = StateError;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), StateError> {
        let writer = &mut *self.writer;
        match self.shared {
            SharedPart::Not => value.serialize(writer),
            SharedPart::Address => {
                writer.is_address = true;
                let taken = value.serialize(&mut *writer);
                writer.is_address = false;
                self.shared = SharedPart::Value;
                taken
            }
            SharedPart::Value if writer.address == 0 => {
                writer.push(0)?;
                value.serialize(writer)
            }
            SharedPart::Value => {
                let next = writer.shared.len() as u64 + 1;
                let number = *writer.shared.entry(writer.address).or_insert(next);
                writer.number(number)?;
                if number == next { value.serialize(writer) } else { Ok(()) }
            }
        }
    }

    fn end(self) -> Result<(), StateError> {
        Ok(())
    }
}

macro_rules! fields {
    ($($compound:ident :: $method:ident($($key:ty)?),)*) => {
        $(impl $compound for &mut StateWriter {
            type Ok = ();
            type Error = StateError;

            #[inline]
            fn $method<T: Serialize + ?Sized>(&mut self, $(_: $key,)? value: &T) -> Result<(), StateError> {
                value.serialize(&mut **self)
            }

            fn end(self) -> Result<(), StateError> {
                Ok(())
            }
        })*
    };
}

fields! {
    SerializeSeq::serialize_element(),
    SerializeTuple::serialize_element(),
    SerializeTupleVariant::serialize_field(),
    SerializeStruct::serialize_field(&'static str),
    SerializeStructVariant::serialize_field(&'static str),
}

impl SerializeMap for &mut StateWriter {
    type Ok = ();
    type Error = StateError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), StateError> {
        key.serialize(&mut **self)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), StateError> {
        value.serialize(&mut **self)
    }

    fn end(self) -> Result<(), StateError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::WebSocketMessage;
    use crate::json::Json;
    use crate::payload::Payload;
    use crate::protocol::CommandId;
    use alloc::string::String;
    use alloc::vec;

    fn written(value: &impl Serialize) -> WrittenState {
        StateWriter::write(value, usize::MAX, false).expect("no bound")
    }

    #[derive(Serialize)]
    enum Several {
        Unit,
        One(u64),
        Two(i32, Option<bool>),
        Fields { text: String, list: Vec<u16> },
    }

    #[test]
    fn the_form_is_that_of_postcard() {
        let several = vec![
            Several::Unit,
            Several::One(u64::MAX),
            Several::Two(-70_000, Some(true)),
            Several::Fields { text: "é".into(), list: vec![0, 127, 128, u16::MAX] },
        ];
        let numbers = (1_u8, -1_i8, -300_i16, i64::MIN, usize::MAX, [7_u32; 3], (), None::<u8>);
        let map = alloc::collections::BTreeMap::from([("a", 1), ("b", 2)]);
        let all = (several, numbers, map);
        assert_eq!(written(&all).bytes, postcard::to_allocvec(&all).expect("plain data"));
        let bytes = written(&all).bytes.len();
        assert!(StateWriter::write(&all, bytes, false).is_ok());
        for most in 0..bytes {
            let error = StateWriter::write(&all, most, false).expect_err("it is larger");
            assert_eq!(error, StateError::TooLarge, "{most} of {bytes} bytes");
        }
    }

    /// The forms are known by the names of types, which nothing else keeps.
    #[test]
    fn what_others_have_said_is_known_for_what_it_is() {
        let json = || Json::parse("\"a\"").expect("JSON");
        let values = (
            (Payload::Json(json()), Payload::from(vec![1, 2])),
            (WebSocketMessage::Text("text".into()), WebSocketMessage::Binary(vec![1])),
            CommandId::Json(json()),
            "a name",
        );
        let contents = written(&values).contents;
        let kinds: Vec<_> = contents.iter().map(|content| (content.kind, content.range.len())).collect();
        let expected = [
            (ContentKind::Payload, 3),
            (ContentKind::Bytes, 2),
            (ContentKind::Message, 4),
            (ContentKind::Bytes, 1),
            (ContentKind::CommandId, 3),
        ];
        assert_eq!(kinds, expected);
    }
}
