//! What operators ask of a registry: who lives, who is quarantined, pausing, pardoning, letting everyone go.

use std::sync::Arc;

use actix::{ActorContext, Context, Handler, Message};

use super::{Registry, Resident};
use crate::actors::mailbox::Admitted;
use crate::order::CommandId;
use crate::store::Position;

/// Refuses everything until resumed, as if the part were down; residents keep what they are doing.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Pause(pub bool);

impl<R: Resident> Handler<Admitted<Pause>> for Registry<R>
where
    Self: Unpin,
{
    type Result = ();

    fn handle(&mut self, asked: Admitted<Pause>, _: &mut Context<Self>) {
        let Some((Pause(paused), reply)) = asked.start() else { return };
        if self.paused != paused {
            tracing::warn!(kind = R::NAME, paused, "paused or resumed by the operator");
        }
        self.paused = paused;
        reply.send(());
    }
}

/// What the registry keeps, for operations.
#[derive(Clone, Debug)]
pub struct Census {
    pub kind: &'static str,
    pub live: usize,
    /// Those that are gone and will be replaced in a moment.
    pub replacing: usize,
    pub paused: bool,
    pub quarantined: Vec<Quarantined>,
}

/// Who is out of service until an operator says otherwise.
#[derive(Clone, Debug)]
pub struct Quarantined {
    pub id: String,
    pub why: WhyQuarantined,
}

#[derive(Clone, Debug)]
pub enum WhyQuarantined {
    /// It panicked again and again on this command, or on none.
    Panics { command: Option<CommandId> },
    /// Its history cannot be read, from there on if that is known.
    Unreadable { at: Option<Position>, why: Arc<str> },
}

#[derive(Message)]
#[rtype(result = "Census")]
pub struct TakeCensus;

impl<R: Resident> Handler<Admitted<TakeCensus>> for Registry<R>
where
    Self: Unpin,
{
    type Result = ();

    fn handle(&mut self, asked: Admitted<TakeCensus>, _: &mut Context<Self>) {
        let Some((_, reply)) = asked.start() else { return };
        let quarantined =
            self.quarantine.iter().map(|(id, why)| Quarantined { id: id.to_string(), why: why.clone() }).collect();
        let (live, replacing) = (self.live.len(), self.replacing);
        reply.send(Census { kind: R::NAME, live, replacing, paused: self.paused, quarantined });
    }
}

/// Gives a quarantined resident another chance. The answer says whether it was quarantined.
#[derive(Message)]
#[rtype(result = "bool")]
pub struct Pardon<R: Resident>(pub R::Id);

impl<R: Resident> Handler<Admitted<Pardon<R>>> for Registry<R>
where
    Self: Unpin,
{
    type Result = ();

    fn handle(&mut self, asked: Admitted<Pardon<R>>, _: &mut Context<Self>) {
        let Some((Pardon(id), reply)) = asked.start() else { return };
        let was = self.quarantine.remove(&id).is_some();
        if was {
            let _ = self.entry(&id, None);
        }
        reply.send(was);
    }
}

/// Lets every resident go, at shutdown: nothing is lost, the journal has it.
#[derive(Message)]
#[rtype(result = "()")]
pub(in crate::actors) struct Dismiss;

impl<R: Resident> Handler<Admitted<Dismiss>> for Registry<R>
where
    Self: Unpin,
{
    type Result = ();

    fn handle(&mut self, asked: Admitted<Dismiss>, ctx: &mut Context<Self>) {
        let Some((_, reply)) = asked.start() else { return };
        self.live.clear();
        reply.send(());
        ctx.stop();
    }
}
