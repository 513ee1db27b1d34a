//! Calls to providers: what a guest asks of what its bindings lead to.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::{Either, LocalBoxFuture, select};
use nexus_guest::{
    Answer, Bound, CapabilityError, CpuAccount, CpuBudget, KvAnswer, KvOperation, SqlOperation, SqlResult,
    SqlValue,
};
use tokio::sync::oneshot;

use super::{Outgoing, Scope, What};
use crate::account::Held;

/// Pays for what calls take of CPU time outside of its guest's turns.
pub(crate) trait Payer: CpuAccount {
    /// How much there is left.
    fn left(&self) -> Duration;
}

/// A call on its way to a provider, by one of the app's bindings.
pub(super) struct Call {
    binding: usize,
    asked: Kind,
}

enum Kind {
    Kv(Asked<KvOperation, KvAnswer>),
    Sql(Asked<SqlOperation, Vec<SqlResult>>),
}

/// What is asked, and who waits for the answer.
struct Asked<O, A> {
    operation: O,
    answer: oneshot::Sender<Result<A, CapabilityError>>,
    held: Held,
}

/// What a call takes of the host's memory beside what it brings, about, in bytes.
const CALL: u64 = 512;

impl Call {
    /// Whether nobody wants it any more.
    pub(super) fn is_given_up(&self) -> bool {
        match &self.asked {
            Kind::Kv(asked) => asked.answer.is_closed(),
            Kind::Sql(asked) => asked.answer.is_closed(),
        }
    }

    /// Has it carried out. What is left to be done, if it was not answered at once.
    pub(super) fn begin(
        self,
        bindings: &[(Box<str>, Bound)],
        scope: &Scope,
    ) -> Option<Pin<Box<dyn Future<Output = ()>>>> {
        match (self.asked, bindings.get(self.binding)?) {
            (Kind::Kv(Asked { operation, answer, held }), (_, Bound::Kv(kv))) => {
                pass(kv.call(scope.sender(), operation, Box::new(held)), answer)
            }
            (Kind::Sql(Asked { operation, answer, held }), (_, Bound::Sql(sql))) => {
                let payer = scope.payer();
                let budget = CpuBudget { most: payer.left(), account: payer.clone() };
                // What is done right here is done in no turn of the guest's.
                let began = Instant::now();
                let answered = sql.call(scope.sender(), operation, budget, Box::new(held));
                payer.charge(began.elapsed());
                pass(answered, answer)
            }
            // It is asked for what it is not: whoever waits hears that nobody answers.
            _ => None,
        }
    }
}

/// Passes an answer on, now or as soon as it is there.
fn pass<A: 'static>(
    answered: Answer<A>,
    answer: oneshot::Sender<Result<A, CapabilityError>>,
) -> Option<Pin<Box<dyn Future<Output = ()>>>> {
    match answered {
        // What can be answered at once needs no task.
        Answer::Now(result) => {
            let _ = answer.send(result);
            None
        }
        Answer::Later(later) => Some(Box::pin(wait(later, answer))),
    }
}

/// Waits for a provider's answer, as long as somebody wants it.
async fn wait<A>(
    later: LocalBoxFuture<'static, Result<A, CapabilityError>>,
    mut answer: oneshot::Sender<Result<A, CapabilityError>>,
) {
    let result = match select(later, pin!(answer.closed())).await {
        Either::Left((result, _)) => result,
        Either::Right(_) => return,
    };
    // The guest may have given it up just now.
    let _ = answer.send(result);
}

impl Outgoing {
    /// Has a key-value store do something.
    ///
    /// # Errors
    /// What the provider says, or that there is no memory for it.
    pub(crate) async fn kv(
        &self,
        binding: usize,
        operation: KvOperation,
    ) -> Result<KvAnswer, CapabilityError> {
        let brings = match &operation {
            KvOperation::Write(transaction) => transaction.size() as u64,
            KvOperation::Get(keys) => keys.iter().map(|key| key.as_str().len() as u64).sum(),
            KvOperation::List(list) => list.prefix.len() as u64,
        };
        let size = |answer: &KvAnswer| match answer {
            KvAnswer::Entries(entries) => entries.iter().flatten().map(|entry| entry.value.len()).sum(),
            KvAnswer::Page(page) => page.keys.iter().map(|listed| listed.key.len() + 64).sum(),
            KvAnswer::Written(_) => 0,
        };
        self.asked(binding, brings, operation, Kind::Kv, size).await
    }

    /// Has a database do something.
    ///
    /// # Errors
    /// As above.
    pub(crate) async fn sql(
        &self,
        binding: usize,
        operation: SqlOperation,
    ) -> Result<Vec<SqlResult>, CapabilityError> {
        let brings = operation.size() as u64;
        let size = |results: &Vec<SqlResult>| {
            let values = results.iter().flat_map(|result| &result.values);
            values.map(|value| value.size() + size_of::<SqlValue>()).sum()
        };
        self.asked(binding, brings, operation, Kind::Sql, size).await
    }

    async fn asked<O, A>(
        &self,
        binding: usize,
        brings: u64,
        operation: O,
        kind: fn(Asked<O, A>) -> Kind,
        size: impl FnOnce(&A) -> usize,
    ) -> Result<A, CapabilityError> {
        let held = self.memory.hold(CALL + brings, "a call").map_err(CapabilityError::Invalid)?;
        let (answer, answered) = oneshot::channel();
        self.order(What::Call(Call { binding, asked: kind(Asked { operation, answer, held }) }));
        let over = || CapabilityError::Invalid("the request in whose name it is asked is over".into());
        let result = answered.await.unwrap_or_else(|_| Err(over()))?;
        // What it has brought is copied to the guest.
        let copied = size(&result) as u64;
        self.memory.hold(copied, "what a provider has given").map_err(CapabilityError::Invalid)?;
        Ok(result)
    }
}

/// Nobody pays: for programs, which have no bindings, and for tests.
pub(crate) struct Nobody;

impl CpuAccount for Nobody {
    fn charge(&self, _: Duration) {}
}

impl Payer for Nobody {
    fn left(&self) -> Duration {
        Duration::MAX
    }
}

impl Nobody {
    /// As what pays in a scope.
    pub(crate) fn pays() -> Arc<dyn Payer> {
        Arc::new(Self)
    }
}
