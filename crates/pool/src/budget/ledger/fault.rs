//! Bugs that tests plant in the ledger, to prove that the checkers see them.

/// One planted bug.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(not(feature = "plant"), allow(dead_code, unreachable_pub))]
pub enum LedgerFault {
    /// Acts on a claim before the store has confirmed it.
    ActUnwritten,
    /// Takes a write whose answer was lost for one that was not done.
    TrustLost,
    /// Takes out the rows of whoever has no lease, although its connections live.
    ReapAlive,
    /// Keeps what is not used although others are short.
    KeepUnused,
    /// The keeper never lowers a quota again.
    HoardQuotas,
    /// The keeper lets everybody keep what it has and uses.
    FirstCome,
    /// The keeper allots what others have not given back yet.
    AllotEarly,
}
