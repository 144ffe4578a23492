//! Building and taking apart single messages.

use std::fmt;

/// A message from the server's side.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Backend {
    /// Its type.
    pub tag: u8,
    /// What follows the length.
    pub body: Vec<u8>,
}

impl Backend {
    /// The names in a RowDescription: each is followed by 18 bytes of other things.
    pub fn column_names(&self) -> Vec<String> {
        let (mut names, mut rest) = (Vec::new(), self.body.get(2..).unwrap_or_default());
        while let Some(end) = rest.iter().position(|b| *b == 0) {
            names.push(String::from_utf8_lossy(&rest[..end]).into_owned());
            rest = rest.get(end + 1 + 18..).unwrap_or_default();
        }
        names
    }

    /// Fields of ErrorResponse and NoticeResponse.
    pub fn fields(&self) -> Fields {
        let mut fields = Vec::new();
        for part in self.body.split(|byte| *byte == 0) {
            if let Some((tag, text)) = part.split_first() {
                fields.push((*tag, String::from_utf8_lossy(text).into_owned()));
            }
        }
        Fields(fields)
    }

    /// The big-endian number that the body begins with; 0 when it is too short.
    pub fn number(&self) -> u32 {
        match self.body.first_chunk::<4>() {
            Some(bytes) => u32::from_be_bytes(*bytes),
            None => 0,
        }
    }

    /// Columns of a DataRow as text; NULL is `∅`.
    pub fn columns(&self) -> Vec<String> {
        let mut reader = Reader(&self.body);
        let count = reader.u16();
        (0..count)
            .map(|_| match reader.i32() {
                -1 => "∅".into(),
                length => {
                    String::from_utf8_lossy(reader.bytes(usize::try_from(length).unwrap_or(0)))
                        .into_owned()
                }
            })
            .collect()
    }

    /// Texts of the body that end with a zero byte.
    pub fn texts(&self) -> Vec<String> {
        let body = self.body.strip_suffix(&[0]).unwrap_or(&self.body);
        body.split(|byte| *byte == 0)
            .map(|text| String::from_utf8_lossy(text).into_owned())
            .collect()
    }
}

/// Fields of an error or a notice, in the order in which they came.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fields(pub Vec<(u8, String)>);

impl Fields {
    /// One field's text.
    pub fn field(&self, tag: u8) -> &str {
        self.0
            .iter()
            .find(|(t, _)| *t == tag)
            .map_or("", |(_, text)| text)
    }

    /// SQLSTATE.
    pub fn code(&self) -> &str {
        self.field(b'C')
    }

    /// The message.
    pub fn message(&self) -> &str {
        self.field(b'M')
    }
}

impl fmt::Display for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.field(b'S'), self.code(), self.message())?;
        for (tag, name) in [(b'D', "detail"), (b'H', "hint")] {
            if !self.field(tag).is_empty() {
                write!(f, " ({name}: {})", self.field(tag))?;
            }
        }
        Ok(())
    }
}

/// Reads numbers and bytes; what is missing reads as zero or empty.
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    /// The next bytes.
    pub fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (head, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        head
    }

    /// The next two bytes as a number.
    pub fn u16(&mut self) -> u16 {
        self.bytes(2).try_into().map_or(0, u16::from_be_bytes)
    }

    /// The next four bytes as a number.
    pub fn i32(&mut self) -> i32 {
        self.bytes(4).try_into().map_or(0, i32::from_be_bytes)
    }

    /// Text up to a zero byte.
    pub fn text(&mut self) -> String {
        let end = self.0.iter().position(|byte| *byte == 0);
        let text = self.bytes(end.unwrap_or(self.0.len()));
        let text = String::from_utf8_lossy(text).into_owned();
        self.bytes(1);
        text
    }
}

/// Any message.
pub fn frame(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag];
    bytes.extend(length(body.len() + 4).to_be_bytes());
    bytes.extend_from_slice(body);
    bytes
}

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("a message below 4 GiB")
}

fn text(body: &mut Vec<u8>, text: &str) {
    body.extend_from_slice(text.as_bytes());
    body.push(0);
}

fn count(body: &mut Vec<u8>, n: usize) {
    body.extend(u16::try_from(n).expect("at most 65535").to_be_bytes());
}

/// A message without a body: Sync, Flush, CopyDone, Terminate.
pub fn empty(tag: u8) -> Vec<u8> {
    frame(tag, &[])
}

/// A message whose body is one text: Query, CopyFail.
pub fn one_text(tag: u8, content: &str) -> Vec<u8> {
    let mut body = Vec::new();
    text(&mut body, content);
    frame(tag, &body)
}

/// Query.
pub fn query(sql: &str) -> Vec<u8> {
    one_text(b'Q', sql)
}

/// Start-up packet.
pub fn startup(version: u32, parameters: &[(String, String)]) -> Vec<u8> {
    let mut body = version.to_be_bytes().to_vec();
    for (name, value) in parameters {
        text(&mut body, name);
        text(&mut body, value);
    }
    body.push(0);
    untyped(&body)
}

/// A packet without a type byte: start-up, SSLRequest, cancel.
pub fn untyped(body: &[u8]) -> Vec<u8> {
    let mut bytes = length(body.len() + 4).to_be_bytes().to_vec();
    bytes.extend_from_slice(body);
    bytes
}

/// CancelRequest.
pub fn cancel(pid: u32, secret: &[u8]) -> Vec<u8> {
    let mut body = (1234 << 16 | 5678u32).to_be_bytes().to_vec();
    body.extend(pid.to_be_bytes());
    body.extend_from_slice(secret);
    untyped(&body)
}

/// SSLRequest.
pub fn ssl_request() -> Vec<u8> {
    untyped(&(1234 << 16 | 5679u32).to_be_bytes())
}

/// GSSENCRequest.
pub fn gss_request() -> Vec<u8> {
    untyped(&(1234 << 16 | 5680u32).to_be_bytes())
}

/// PasswordMessage.
pub fn password(password: &[u8]) -> Vec<u8> {
    let mut body = password.to_vec();
    body.push(0);
    frame(b'p', &body)
}

/// SASLResponse.
pub fn password_raw(data: &[u8]) -> Vec<u8> {
    frame(b'p', data)
}

/// SASLInitialResponse.
pub fn sasl_initial(mechanism: &str, data: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    text(&mut body, mechanism);
    body.extend(length(data.len()).to_be_bytes());
    body.extend_from_slice(data);
    frame(b'p', &body)
}

/// Parse.
pub fn parse(name: &str, sql: &str, types: &[u32]) -> Vec<u8> {
    let mut body = Vec::new();
    text(&mut body, name);
    text(&mut body, sql);
    count(&mut body, types.len());
    for oid in types {
        body.extend(oid.to_be_bytes());
    }
    frame(b'P', &body)
}

/// Bind. `formats` are format codes as the protocol knows them: none, one for all, or one each.
pub fn bind(
    portal: &str,
    statement: &str,
    formats: &[u16],
    values: &[Option<Vec<u8>>],
    results: &[u16],
) -> Vec<u8> {
    let mut body = Vec::new();
    text(&mut body, portal);
    text(&mut body, statement);
    count(&mut body, formats.len());
    for code in formats {
        body.extend(code.to_be_bytes());
    }
    count(&mut body, values.len());
    for value in values {
        match value {
            None => body.extend((-1i32).to_be_bytes()),
            Some(bytes) => {
                body.extend(length(bytes.len()).to_be_bytes());
                body.extend_from_slice(bytes);
            }
        }
    }
    count(&mut body, results.len());
    for code in results {
        body.extend(code.to_be_bytes());
    }
    frame(b'B', &body)
}

/// Describe (`D`) or Close (`C`) of a statement (`S`) or a portal (`P`).
pub fn of_kind(tag: u8, kind: u8, name: &str) -> Vec<u8> {
    let mut body = vec![kind];
    text(&mut body, name);
    frame(tag, &body)
}

/// Execute.
pub fn execute(portal: &str, rows_max: u32) -> Vec<u8> {
    let mut body = Vec::new();
    text(&mut body, portal);
    body.extend(rows_max.to_be_bytes());
    frame(b'E', &body)
}

/// FunctionCall with text arguments and a text result.
pub fn function_call(oid: u32, arguments: &[&str]) -> Vec<u8> {
    let mut body = oid.to_be_bytes().to_vec();
    count(&mut body, 0);
    count(&mut body, arguments.len());
    for argument in arguments {
        body.extend(length(argument.len()).to_be_bytes());
        body.extend_from_slice(argument.as_bytes());
    }
    count(&mut body, 0);
    frame(b'F', &body)
}
