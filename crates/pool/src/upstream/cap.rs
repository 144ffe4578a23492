//! Limits that several pools share: of a database, of a user.

/// A limit shared by several pools.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cap {
    pub limit: u32,
    /// Connections charged to it.
    pub charged: u32,
    /// Of these, the ones that are not being closed.
    pub live: u32,
}
