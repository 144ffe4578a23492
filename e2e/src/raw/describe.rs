//! Messages as a person reads them.

use super::message::{Backend, Reader};
use std::fmt::Write;

/// Texts beyond this many bytes are shown by length and hash.
const SHOWN_BYTES_MAX: usize = 200;

/// One line for a message from the server's side.
pub fn describe_backend(message: &Backend) -> String {
    let mut reader = Reader(&message.body);
    match message.tag {
        b'1' => "ParseComplete".into(),
        b'2' => "BindComplete".into(),
        b'3' => "CloseComplete".into(),
        b'A' => {
            let pid = reader.i32();
            format!(
                "NotificationResponse {pid} {:?} {:?}",
                reader.text(),
                reader.text()
            )
        }
        b'C' => format!("CommandComplete {:?}", reader.text()),
        b'D' => data_row(&mut reader),
        b'E' => format!("ErrorResponse {}", fields(message)),
        b'G' | b'H' | b'W' => {
            let name = match message.tag {
                b'G' => "CopyInResponse",
                b'H' => "CopyOutResponse",
                _ => "CopyBothResponse",
            };
            format!("{name} {}", bytes(&message.body))
        }
        b'I' => "EmptyQueryResponse".into(),
        b'K' => "BackendKeyData".into(),
        b'N' => format!("NoticeResponse {}", fields(message)),
        b'R' => format!("Authentication {}", message.number()),
        b'S' => format!("ParameterStatus {:?} = {:?}", reader.text(), reader.text()),
        b'T' => row_description(&mut reader),
        b'V' => format!("FunctionCallResponse {}", bytes(&message.body)),
        b'Z' => format!("ReadyForQuery {}", bytes(&message.body)),
        b'c' => "CopyDone".into(),
        b'd' => format!("CopyData {}", bytes(&message.body)),
        b'n' => "NoData".into(),
        b's' => "PortalSuspended".into(),
        b't' => {
            let oids: Vec<String> = (0..reader.u16())
                .map(|_| reader.i32().to_string())
                .collect();
            format!("ParameterDescription [{}]", oids.join(", "))
        }
        b'v' => {
            let minor = reader.i32();
            let options: Vec<String> = (0..reader.i32()).map(|_| reader.text()).collect();
            format!("NegotiateProtocolVersion 3.{minor} {options:?}")
        }
        tag => format!("{:?} {}", char::from(tag), bytes(&message.body)),
    }
}

/// One line for each message of a client's batch.
pub fn describe_frontend(batch: &[u8]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut reader = Reader(batch);
    while let [tag, ..] = *reader.bytes(1) {
        let length = usize::try_from(reader.i32()).unwrap_or(4);
        let body = reader.bytes(length.saturating_sub(4));
        let name = match tag {
            b'B' => "Bind",
            b'C' => "Close",
            b'D' => "Describe",
            b'E' => "Execute",
            b'F' => "FunctionCall",
            b'H' => "Flush",
            b'P' => "Parse",
            b'Q' => "Query",
            b'S' => "Sync",
            b'X' => "Terminate",
            b'c' => "CopyDone",
            b'd' => "CopyData",
            b'f' => "CopyFail",
            b'p' => "Password",
            _ => "?",
        };
        let shown = if tag == b'p' {
            "…".into()
        } else {
            bytes(body)
        };
        let gap = if shown.is_empty() { "" } else { " " };
        lines.push(format!("{name}{gap}{shown}"));
    }
    lines
}

fn data_row(reader: &mut Reader<'_>) -> String {
    let mut out = String::from("DataRow [");
    for n in 0..reader.u16() {
        let gap = if n == 0 { "" } else { ", " };
        let _ = match reader.i32() {
            -1 => write!(out, "{gap}∅"),
            length => {
                let value = reader.bytes(usize::try_from(length).unwrap_or(0));
                write!(out, "{gap}{}", bytes(value))
            }
        };
    }
    out + "]"
}

fn row_description(reader: &mut Reader<'_>) -> String {
    let mut out = String::from("RowDescription [");
    for n in 0..reader.u16() {
        let name = reader.text();
        let (table, column) = (reader.i32(), reader.u16());
        let (oid, size, modifier, format) =
            (reader.i32(), reader.u16(), reader.i32(), reader.u16());
        let gap = if n == 0 { "" } else { ", " };
        let _ = write!(
            out,
            "{gap}{name} table={table} column={column} type={oid} size={size} mod={modifier} format={format}"
        );
    }
    out + "]"
}

fn fields(message: &Backend) -> String {
    let fields = message.fields();
    let parts: Vec<String> = fields
        .0
        .iter()
        .map(|(tag, text)| format!("{}={text:?}", char::from(*tag)))
        .collect();
    parts.join(" ")
}

/// Bytes as text where they are text; long ones by length and hash.
fn bytes(value: &[u8]) -> String {
    if value.is_empty() {
        return String::new();
    }
    if value.len() > SHOWN_BYTES_MAX {
        let mut hash = 0xcbf2_9ce4_8422_2325u64;
        for byte in value {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        }
        return format!("<{} bytes, hash {hash:016x}>", value.len());
    }
    format!("\"{}\"", value.escape_ascii())
}
