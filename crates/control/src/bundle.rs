//! A bundle: what a diagnosis reads, in one file, to send to a colleague.
//!
//! It is JSON in gzip, so that `zcat` and `jq` read it too. It holds figures,
//! markers and names; no statement, no literal, no secret. What is read may have
//! been edited: it is bounded in size, and only ever judged, never acted on.

use diagnose::Verdict;
use diagnose::alert::Alert;
use events::sample::Record;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io::{self, Read, Write};

/// What the first field says.
const FORMAT: &str = "plimsoll-bundle";
/// The number of this format; higher ones are refused with that word.
pub const SCHEMA: u32 = 1;
/// Largest bundle that is read, compressed.
pub const FILE_BYTES_MAX: u64 = 64 << 20;
/// Largest text within, so that a small file cannot fill the memory.
const TEXT_BYTES_MAX: u64 = 256 << 20;

/// Figures of some time, with what was said of them then.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Bundle {
    /// Always `plimsoll-bundle`.
    pub format: String,
    /// The number of the format.
    pub schema: u32,
    /// When it was made, UTC, milliseconds since 1970.
    pub made_at_ms: i64,
    /// Samples, markers, settings.
    pub record: Record,
    /// What the pooler itself made of it.
    pub verdict: Option<Verdict>,
    /// Alerts that fired then.
    pub alerts: Vec<Alert>,
}

/// Why a bundle cannot be read.
#[derive(Debug)]
pub enum BundleError {
    /// The file cannot be read.
    Io(io::Error),
    /// It is larger than any bundle.
    TooLarge,
    /// It is neither gzip nor JSON of a bundle; the line and column where that shows.
    NotABundle(usize, usize),
    /// A newer binary wrote it.
    Newer(u32),
}

impl fmt::Display for BundleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BundleError::Io(error) => write!(f, "the bundle cannot be read: {error}"),
            BundleError::TooLarge => f.write_str("this is larger than any bundle: it is not read"),
            // What it says instead is not repeated: it may be anything.
            BundleError::NotABundle(line, column) => write!(
                f,
                "this is no bundle of plimsoll's, or it was damaged (line {line}, column {column})"
            ),
            BundleError::Newer(schema) => write!(
                f,
                "a newer plimsoll made this bundle (format {schema}, this one reads {SCHEMA}): use that one"
            ),
        }
    }
}

impl std::error::Error for BundleError {}

impl Bundle {
    /// Puts one together.
    pub fn new(record: Record, made_at_ms: i64) -> Bundle {
        Bundle {
            format: FORMAT.to_owned(),
            schema: SCHEMA,
            made_at_ms,
            record,
            ..Bundle::default()
        }
    }

    /// The file's bytes.
    ///
    /// # Errors
    /// None that a correct program sees: writing to memory.
    pub fn to_bytes(&self) -> io::Result<Vec<u8>> {
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        serde_json::to_writer(&mut packed, self)?;
        packed.write_all(b"\n")?;
        packed.finish()
    }

    /// Reads a file's bytes: gzip, or the JSON that was in it.
    ///
    /// # Errors
    /// Why it is no bundle.
    pub fn from_bytes(bytes: &[u8]) -> Result<Bundle, BundleError> {
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(BundleError::TooLarge);
        }
        let mut text = Vec::new();
        if bytes.starts_with(&[0x1f, 0x8b]) {
            let mut plain = GzDecoder::new(bytes).take(TEXT_BYTES_MAX + 1);
            plain
                .read_to_end(&mut text)
                .map_err(|_| BundleError::NotABundle(0, 0))?;
        } else {
            text.extend_from_slice(bytes);
        }
        if text.len() as u64 > TEXT_BYTES_MAX {
            return Err(BundleError::TooLarge);
        }
        let head: Head = serde_json::from_slice(&text).map_err(|e| not_a_bundle(&e))?;
        if head.format != FORMAT {
            return Err(BundleError::NotABundle(1, 1));
        }
        if head.schema > SCHEMA {
            return Err(BundleError::Newer(head.schema));
        }
        serde_json::from_slice(&text).map_err(|e| not_a_bundle(&e))
    }

    /// Reads a file.
    ///
    /// # Errors
    /// Why it cannot be read, or is no bundle.
    pub fn read(path: &std::path::Path) -> Result<Bundle, BundleError> {
        let file = std::fs::File::open(path).map_err(BundleError::Io)?;
        let mut bytes = Vec::new();
        file.take(FILE_BYTES_MAX + 1)
            .read_to_end(&mut bytes)
            .map_err(BundleError::Io)?;
        Bundle::from_bytes(&bytes)
    }
}

/// What is looked at first, whatever the rest says.
#[derive(Deserialize)]
struct Head {
    format: String,
    schema: u32,
}

fn not_a_bundle(error: &serde_json::Error) -> BundleError {
    BundleError::NotABundle(error.line(), error.column())
}

#[cfg(test)]
mod tests {
    use super::*;
    use events::sample::Sample;

    fn bundle() -> Bundle {
        let mut record = Record {
            instance: "one".into(),
            ..Record::default()
        };
        for n in 0..60 {
            record.seconds.push_back(Sample {
                at_ms: n * 1_000,
                span_ms: 1_000,
                ..Sample::default()
            });
        }
        Bundle::new(record, 60_000)
    }

    #[test]
    fn what_was_written_is_read_packed_or_not() {
        let bundle = bundle();
        let bytes = bundle.to_bytes().expect("bytes");
        assert_eq!(Bundle::from_bytes(&bytes).expect("a bundle"), bundle);
        let text = serde_json::to_vec(&bundle).expect("text");
        assert!(bytes.len() * 5 < text.len());
        assert_eq!(Bundle::from_bytes(&text).expect("a bundle"), bundle);
    }

    #[test]
    fn what_is_no_bundle_is_refused_without_repeating_it() {
        let table: [(&[u8], &str); 6] = [
            (b"", "no bundle"),
            (b"{\"format\":\"secret words\",\"schema\":1}", "no bundle"),
            (b"{\"format\":\"plimsoll-bundle\",\"schema\":7}", "a newer plimsoll"),
            (b"\x1f\x8bsecret", "no bundle"),
            (b"{\"format\":\"plimsoll-bundle\",\"schema\":1,\"record\":{\"seconds\":7}}", "no bundle"),
            (b"{\"format\":\"plimsoll-bundle\",\"schema\":1,\"record\":{\"seconds\":[{\"at_ms\":\"secret\"}]}}", "no bundle"),
        ];
        for (bytes, words) in table {
            let error = Bundle::from_bytes(bytes).expect_err("refused").to_string();
            assert!(error.contains(words), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_small_file_cannot_fill_the_memory() {
        let mut packed = GzEncoder::new(Vec::new(), Compression::best());
        let block = vec![b' '; 1 << 20];
        for _ in 0..(TEXT_BYTES_MAX >> 20) + 1 {
            packed.write_all(&block).expect("packed");
        }
        let bytes = packed.finish().expect("packed");
        assert!(matches!(
            Bundle::from_bytes(&bytes),
            Err(BundleError::TooLarge)
        ));
    }
}
