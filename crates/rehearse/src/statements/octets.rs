//! Bytes in a line: as text where they are text, else as digits.

use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize, Serializer};

/// Bytes of a client. Written as a string, or as `{"hex":"…"}` where they are no UTF-8
/// or hold control characters that would be six letters each.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Octets(pub Vec<u8>);

impl Octets {
    fn as_text(&self) -> Option<&str> {
        let text = std::str::from_utf8(&self.0).ok()?;
        let short = |c: char| !c.is_ascii_control() || matches!(c, '\n' | '\r' | '\t');
        text.chars().all(short).then_some(text)
    }
}

impl From<&[u8]> for Octets {
    fn from(bytes: &[u8]) -> Octets {
        Octets(bytes.to_vec())
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Hex {
    hex: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Text(String),
    Hex(Hex),
}

impl Serialize for Octets {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        match self.as_text() {
            Some(text) => to.serialize_str(text),
            None => {
                let mut hex = String::with_capacity(self.0.len() * 2);
                for byte in &self.0 {
                    for digit in [byte >> 4, byte & 15] {
                        hex.push(char::from(DIGITS[usize::from(digit)]));
                    }
                }
                Hex { hex }.serialize(to)
            }
        }
    }
}

impl<'de> Deserialize<'de> for Octets {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Octets, D::Error> {
        match Written::deserialize(from)? {
            Written::Text(text) => Ok(Octets(text.into_bytes())),
            Written::Hex(Hex { hex }) => {
                let digit = |d: u8| char::from(d).to_digit(16);
                let pairs = hex.as_bytes().chunks(2).map(|pair| match *pair {
                    [high, low] => Some((digit(high)? * 16 + digit(low)?) as u8),
                    _ => None,
                });
                let bytes: Option<Vec<u8>> = pairs.collect();
                bytes
                    .map(Octets)
                    .ok_or_else(|| D::Error::custom("hex is pairs of digits from 0 to f"))
            }
        }
    }
}
