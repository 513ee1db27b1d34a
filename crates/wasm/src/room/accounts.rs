//! Whose CPU time it is that an instance takes which serves several requests at once.

use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nexus_guest::{CpuAccount, RequestId, StopReason};
use wasmtime::StoreContextMut;
use wasmtime::component::GuestTaskId;

use crate::account::{Account, METER, nanoseconds};
use crate::error::Interrupt;
use crate::exchange::Exchange;
use crate::outgoing::Payer;
use crate::state::State;

/// So many calls whose requests are over are remembered: what they still do is on their accounts.
const REMEMBERED: usize = 64;

/// A call's account, and its request for the log.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) account: Arc<Account>,
    pub(super) request: RequestId,
}

/// Whose CPU time it is that a room's instance takes.
pub(crate) struct Accounts {
    inner: Mutex<Inner>,
}

pub(super) struct Inner {
    /// By the call, as Wasmtime numbers them.
    calls: HashMap<GuestTaskId, Entry>,
    /// The order in which they began.
    order: VecDeque<GuestTaskId>,
    /// What nobody's call did.
    others: Account,
    /// What of the running turn is charged already, in nanoseconds.
    charged: u64,
    /// Those that began or left in the running turn.
    active: Vec<Arc<Account>>,
    /// Who came to the limit.
    pub(super) culprit: Option<Entry>,
}

/// What providers take for a room's instance is on nobody's account: nobody can tell for which request they are asked.
impl CpuAccount for Accounts {
    fn charge(&self, cpu: Duration) {
        self.inner().others.charge(nanoseconds(cpu));
    }
}

impl Payer for Accounts {
    fn left(&self) -> Duration {
        self.inner().others.left()
    }
}

impl Accounts {
    pub(super) fn new(others: Account) -> Self {
        let (calls, order) = (HashMap::new(), VecDeque::new());
        Self {
            inner: Mutex::new(Inner { calls, order, others, charged: 0, active: Vec::new(), culprit: None }),
        }
    }

    pub(super) fn inner(&self) -> MutexGuard<'_, Inner> {
        // Numbers, whole after each change.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn begin(&self, call: GuestTaskId, entry: Entry, concurrency: usize) {
        let mut inner = self.inner();
        // A number may come again once its call is over.
        inner.order.retain(|other| *other != call);
        inner.order.push_back(call);
        inner.active.push(entry.account.clone());
        inner.calls.insert(call, entry);
        if inner.order.len() > concurrency + REMEMBERED {
            // The oldest of those that have left.
            let has_left =
                |call: &GuestTaskId| inner.calls.get(call).is_none_or(|entry| entry.account.is_tail());
            if let Some(oldest) = inner.order.iter().position(has_left)
                && let Some(call) = inner.order.remove(oldest)
            {
                inner.calls.remove(&call);
            }
        }
    }

    /// Charges what has run of the turn so far to the call that runs now. Says whether that is beyond its limit.
    pub(crate) fn look(&self, mut store: StoreContextMut<'_, State>) -> wasmtime::Result<()> {
        let running = store.async_call_stack()?.last();
        let so_far = METER.with(|meter| meter.so_far());
        let mut inner = self.inner();
        let more = so_far.saturating_sub(inner.charged);
        inner.charged = so_far;
        let Some(entry) = running.and_then(|call| inner.calls.get(&call)).cloned() else {
            inner.others.charge(more);
            return match inner.others.is_beyond(0) {
                true => Err(Interrupt(StopReason::Cpu).into()),
                false => Ok(()),
            };
        };
        entry.account.charge_for_room(more);
        if entry.account.is_beyond(0) {
            inner.culprit = Some(entry);
            return Err(Interrupt(StopReason::Cpu).into());
        }
        Ok(())
    }

    /// A request leaves in the running turn.
    pub(super) fn leaves(&self, account: &Arc<Account>) {
        self.inner().active.push(account.clone());
    }

    /// A turn that took so long is over: what is left of it is shared out among those that began or left in it, or else
    /// among those that are present. Says whether somebody is beyond
    /// the limit.
    pub(super) fn settle(&self, cpu: u64, present: &[Rc<Exchange>]) -> bool {
        let mut inner = self.inner();
        let left = cpu.saturating_sub(std::mem::take(&mut inner.charged));
        let mut sharers = std::mem::take(&mut inner.active);
        if sharers.is_empty() {
            sharers.extend(present.iter().map(|exchange| exchange.account.clone()));
        }
        match sharers.len() as u64 {
            0 => inner.others.charge(left),
            several => sharers.iter().for_each(|account| account.charge_for_room(left / several)),
        }
        if inner.culprit.is_none() {
            inner.culprit = inner.calls.values().find(|entry| entry.account.is_beyond(0)).cloned();
        }
        inner.culprit.is_some() || inner.others.is_beyond(0)
    }

    /// A request is there: what nobody's call does has its time again.
    pub(super) fn renew(&self) {
        self.inner().others.renew();
    }
}
