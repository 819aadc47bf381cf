//! An actor of which there is one, behind a supervisor that outlives it: whoever holds its mailbox need not know that
//! it is another one now.
//!
//! Messages pass through with the permit and the deadline they came with. What the actor had not answered when it
//! panicked is unknown to its askers; what arrives while there is none is refused, so nothing happened.

use std::time::Duration;

use actix::{Actor, Addr, AsyncContext, Context, Handler, Message, WeakRecipient, WrapFuture};

use super::{Part, Supervision, Verdict};
use crate::actors::mailbox::{Admitted, Door, MailboxPolicy, Refusal, forward, nudge};

/// An actor that can be made again.
pub(in crate::actors) trait Supervised: Actor<Context = Context<Self>> {
    /// What outlives each of them.
    type Origin: Send + Unpin + 'static;

    const NAME: &'static str;

    fn begin(origin: &mut Self::Origin, life: Life) -> Self;
}

/// Held by the actor; its end is how the supervisor learns that the actor is gone.
pub(in crate::actors) struct Life {
    part: Part,
    supervisor: WeakRecipient<Gone>,
    over: bool,
}

impl Life {
    /// The actor ends because it was told to: no other one is made.
    pub(in crate::actors) fn is_over(&mut self) {
        self.over = true;
    }

    pub(in crate::actors) fn part(&self) -> &Part {
        &self.part
    }
}

impl Drop for Life {
    /// Runs while the actor's task unwinds, where a panic would abort the process: nothing here can panic.
    fn drop(&mut self) {
        if !self.over {
            nudge(&self.supervisor, Gone);
        }
    }
}

/// The actor panicked, or ended without being told to.
#[derive(Message)]
#[rtype(result = "()")]
struct Gone;

/// The supervisor of one actor.
pub(in crate::actors) struct Guarded<A: Supervised> {
    origin: A::Origin,
    part: Part,
    /// None while it is being made anew, or in quarantine.
    actor: Option<Addr<A>>,
    quarantined: bool,
}

impl<A: Supervised> Guarded<A>
where
    Self: Unpin,
{
    /// Starts the actor on the arbiter of the caller.
    pub(in crate::actors) fn open(origin: A::Origin, policy: MailboxPolicy, supervision: &Supervision) -> Door<Self> {
        let part = supervision.part(A::NAME);
        Door::new(Self { origin, part, actor: None, quarantined: false }.start(), policy)
    }

    fn begin(&mut self, ctx: &mut Context<Self>) {
        let life = Life { part: self.part.clone(), supervisor: ctx.address().downgrade().recipient(), over: false };
        self.actor = Some(A::begin(&mut self.origin, life).start());
        self.quarantined = false;
        self.part.runs();
    }

    fn begin_after(&self, pause: Duration, ctx: &mut Context<Self>) {
        ctx.run_later(pause, Self::begin);
    }
}

impl<A: Supervised> Actor for Guarded<A>
where
    Self: Unpin,
{
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.begin(ctx);
    }
}

impl<A: Supervised> Handler<Gone> for Guarded<A>
where
    Self: Unpin,
{
    type Result = ();

    fn handle(&mut self, _: Gone, ctx: &mut Context<Self>) {
        self.actor = None;
        match self.part.failed() {
            Verdict::AgainAfter(pause) => self.begin_after(pause, ctx),
            Verdict::Quarantine => {
                self.quarantined = true;
                let part = self.part.clone();
                let released = async move { part.released().await };
                ctx.spawn(actix::fut::ActorFutureExt::map(released.into_actor(self), |(), this, ctx| this.begin(ctx)));
            }
        }
    }
}

impl<A, M> Handler<Admitted<M>> for Guarded<A>
where
    A: Supervised + Handler<Admitted<M>>,
    M: Message + Send + 'static,
    M::Result: Send,
    Self: Unpin,
{
    type Result = ();

    fn handle(&mut self, asked: Admitted<M>, _: &mut Context<Self>) {
        match &self.actor {
            Some(actor) => forward(actor, asked),
            None if self.quarantined => asked.refuse(Refusal::Quarantined),
            None => asked.refuse(Refusal::Restarting),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actors::mailbox::Mailbox;
    use crate::actors::probe::{POLICY, until};
    use crate::actors::supervision::PartState;

    /// Adds up what it is told since it began; panics over 13.
    struct Sum(u32, Life);

    #[derive(Message)]
    #[rtype(result = "u32")]
    struct Add(u32);

    impl Actor for Sum {
        type Context = Context<Self>;
    }

    impl Supervised for Sum {
        type Origin = u32;

        const NAME: &'static str = "sum";

        fn begin(origin: &mut u32, life: Life) -> Self {
            Sum(*origin, life)
        }
    }

    impl Handler<Admitted<Add>> for Sum {
        type Result = ();

        fn handle(&mut self, asked: Admitted<Add>, _: &mut Context<Self>) {
            let Some((Add(n), reply)) = asked.start() else { return };
            assert_ne!(n, 13, "the test wants a panic");
            self.0 += n;
            self.1.part().progressed();
            reply.send(self.0);
        }
    }

    async fn when_it_is_back(sum: &Mailbox<Add>, n: u32) -> u32 {
        loop {
            match sum.ask(Add(n)).await {
                Ok(sum) => return sum,
                Err(refusal) => assert_eq!(refusal, Refusal::Restarting, "nothing happened, for certain"),
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    #[actix::test]
    async fn an_actor_that_panics_is_made_anew_behind_the_same_mailbox() {
        let supervision = Supervision::default();
        let sum: Mailbox<Add> = Guarded::<Sum>::open(100, POLICY, &supervision).mailbox();
        assert_eq!(sum.ask(Add(1)).await, Ok(101));
        assert_eq!(sum.ask(Add(13)).await, Err(Refusal::Stopped), "whoever asked does not know");
        assert_eq!(when_it_is_back(&sum, 2).await, 102, "it has begun again");
        assert_eq!(sum.load().in_use(), 0);
    }

    #[actix::test]
    async fn an_actor_that_panics_three_times_waits_for_an_operator() {
        let supervision = Supervision::default();
        let sum: Mailbox<Add> = Guarded::<Sum>::open(0, POLICY, &supervision).mailbox();
        until("it is quarantined", async || {
            let _ = sum.ask(Add(13)).await;
            supervision.report()[0].state == PartState::Quarantined
        })
        .await;
        assert_eq!(sum.ask(Add(1)).await, Err(Refusal::Quarantined));
        assert!(supervision.release("sum"));
        until("it works again", async || sum.ask(Add(1)).await.is_ok()).await;
        assert_eq!(supervision.report()[0].failures, 3);
    }
}
