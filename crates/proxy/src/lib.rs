//! The data plane's shell: sockets, TLS and timers around `relay`.
//!
//! ```text
//!   socket ◄──► tls ◄──► worker loop ◄──► relay
//! ```

pub mod tls;
