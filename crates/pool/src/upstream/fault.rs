//! Bugs that tests plant, to prove that the checkers see them.

use super::Upstream;
#[cfg(any(test, feature = "plant"))]
use {crate::one_pool::Pool, crate::queue::Pick, events::WorkerId};

/// One planted bug.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(not(any(test, feature = "plant")), allow(dead_code, unreachable_pub))]
pub enum Fault {
    /// Opens although the line is reached.
    IgnoreLine,
    /// A returned connection goes idle although clients wait.
    ForgetWaiters,
    /// A waiter whose connection was lost is not queued again.
    LoseRequeued,
    /// Deadlines are not looked at.
    NoDeadlines,
    /// The flow that holds most comes first.
    Unfair,
    /// Local waiters pass without bound.
    LocalForever,
    /// The charge ends when closing begins.
    ChargeEndsEarly,
    /// A lent connection also stays in the idle list.
    LendTwice,
    /// The claim is raised before the view was read.
    RaiseUnseen,
    /// What a peer wants and is not used is not given back.
    KeepUnused,
}

impl Upstream {
    /// Plants a bug; only tests can.
    #[cfg(feature = "plant")]
    pub fn plant(&mut self, fault: Fault) {
        self.fault = Some(fault);
    }

    #[cfg(any(test, feature = "plant"))]
    pub(super) fn faulty(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    #[cfg(not(any(test, feature = "plant")))]
    pub(super) const fn faulty(&self, _: Fault) -> bool {
        false
    }
}

#[cfg(any(test, feature = "plant"))]
impl Fault {
    /// Who gets a connection of `worker` when the choice itself is what is wrong.
    pub(super) fn pick(self, pool: &Pool, worker: WorkerId) -> Option<Pick> {
        let queued = || pool.queue.queued_by_age();
        let waiter = match self {
            Fault::Unfair => {
                let greediest = queued()
                    .map(|i| pool.queue.get(i).flow)
                    .max_by_key(|f| pool.queue.flows.get(*f).held);
                queued().find(|i| Some(pool.queue.get(*i).flow) == greediest)
            }
            Fault::LocalForever => queued().find(|i| pool.queue.get(*i).client.worker == worker),
            _ => None,
        };
        Some(Pick {
            waiter: waiter?,
            passes: 0,
            overdue: false,
        })
    }
}
