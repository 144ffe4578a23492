//! The type bytes of messages. The same byte can mean different things in each direction.

/// Messages from a client to a server.
pub mod front {
    /// Bind parameters to a prepared statement, making a portal.
    pub const BIND: u8 = b'B';
    /// Close a statement or portal.
    pub const CLOSE: u8 = b'C';
    /// A piece of COPY data.
    pub const COPY_DATA: u8 = b'd';
    /// The end of COPY data.
    pub const COPY_DONE: u8 = b'c';
    /// The client gives up a COPY.
    pub const COPY_FAIL: u8 = b'f';
    /// Ask for the shape of a statement or portal.
    pub const DESCRIBE: u8 = b'D';
    /// Run a portal.
    pub const EXECUTE: u8 = b'E';
    /// Deliver replies now, without ending the batch.
    pub const FLUSH: u8 = b'H';
    /// The fast-path function call.
    pub const FUNCTION_CALL: u8 = b'F';
    /// Prepare a statement.
    pub const PARSE: u8 = b'P';
    /// A password, a SASL response or a GSS token, by context.
    pub const PASSWORD: u8 = b'p';
    /// A simple query.
    pub const QUERY: u8 = b'Q';
    /// The end of a batch of extended messages.
    pub const SYNC: u8 = b'S';
    /// Good-bye.
    pub const TERMINATE: u8 = b'X';
}

/// Messages from a server to a client.
pub mod back {
    /// An authentication request, or its success.
    pub const AUTHENTICATION: u8 = b'R';
    /// The key for cancelling.
    pub const BACKEND_KEY: u8 = b'K';
    /// A Bind succeeded.
    pub const BIND_COMPLETE: u8 = b'2';
    /// A Close succeeded.
    pub const CLOSE_COMPLETE: u8 = b'3';
    /// A statement ended well.
    pub const COMMAND_COMPLETE: u8 = b'C';
    /// COPY in both directions starts (replication).
    pub const COPY_BOTH: u8 = b'W';
    /// A piece of COPY data.
    pub const COPY_DATA: u8 = b'd';
    /// The end of COPY data.
    pub const COPY_DONE: u8 = b'c';
    /// COPY from the client starts.
    pub const COPY_IN: u8 = b'G';
    /// COPY to the client starts.
    pub const COPY_OUT: u8 = b'H';
    /// A row.
    pub const DATA_ROW: u8 = b'D';
    /// The query text was empty.
    pub const EMPTY_QUERY: u8 = b'I';
    /// An error.
    pub const ERROR: u8 = b'E';
    /// The result of a fast-path function call.
    pub const FUNCTION_RESULT: u8 = b'V';
    /// The server speaks an older minor version, or does not know some `_pq_.` options.
    pub const NEGOTIATE_VERSION: u8 = b'v';
    /// There is nothing to describe.
    pub const NO_DATA: u8 = b'n';
    /// A notice. It may come at any time.
    pub const NOTICE: u8 = b'N';
    /// A NOTIFY from another session. It may come at any time.
    pub const NOTIFICATION: u8 = b'A';
    /// The parameter types of a statement.
    pub const PARAMETER_DESCRIPTION: u8 = b't';
    /// The value of a reported setting. It may come at any time.
    pub const PARAMETER_STATUS: u8 = b'S';
    /// A Parse succeeded.
    pub const PARSE_COMPLETE: u8 = b'1';
    /// Execute stopped at its row limit.
    pub const PORTAL_SUSPENDED: u8 = b's';
    /// The server awaits the next query or batch.
    pub const READY: u8 = b'Z';
    /// The columns of the rows that follow.
    pub const ROW_DESCRIPTION: u8 = b'T';
}
