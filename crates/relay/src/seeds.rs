//! What the shell draws at random, once.

/// Values that the shell draws once for the process.
#[derive(Clone, Copy)]
pub struct Seeds {
    /// Seed of statement hashes; the same in every worker.
    pub hash: u64,
    /// Key of cancel keys and salts; the same in every worker.
    pub key: [u8; 32],
    /// Seed of this worker's nonces.
    pub nonce: [u8; 32],
}

impl std::fmt::Debug for Seeds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seeds(…)")
    }
}
