//! Asks the world for what the order still needs, after every commit and after every restart alike.
//!
//! Each request is under way at most once. Its answer comes back as a command; one that was refused or got no
//! answer is asked again after a growing pause. Nothing here is remembered by the order: what is still needed
//! follows from its state.

use std::sync::Arc;
use std::time::Duration;

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};

use super::OrderActor;
use crate::actors::dispatch::FindRider;
use crate::actors::ledger::EnterError;
use crate::actors::mailbox::Refusal;
use crate::actors::payment::{Charge, ChargeOutcome};
use crate::actors::registry::To;
use crate::actors::rider::NoteInBook;
use crate::actors::store::{KeepStock, StopPreparation};
use crate::actors::world::{KeyAge, Pace, World};
use crate::order::{
    CommandName, Order, OrderCommand, PaymentOperation, Pieces, Request, RiderCommand, RiderFull, StockCommand,
    StockRefusal, Text, provider_key,
};
use crate::providers::payment::PaymentRequest;

/// What is under way, and how often it was tried.
#[derive(Default)]
pub(super) struct Asks {
    under_way: Vec<Ask>,
    /// How often payment was tried since it last went well. It outlives the single request, because each retry of
    /// a deferred payment begins with a new one.
    payment_tries: u32,
    /// The attempt whose intent this very actor has written and not asked for yet: only of that one it can be
    /// said that the provider was never asked.
    fresh_intent: Option<u16>,
}

struct Ask {
    request: Request,
    tries: u32,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    UnderWay,
    /// Waits for its pause to be over.
    Resting,
    /// Its answer is here; what it changes in the order may still have to be written.
    Answered,
}

/// What came of a request.
pub(super) struct Outcome {
    command: Option<OrderCommand>,
    /// It is not settled by the command, so it is asked again.
    again: bool,
}

impl Outcome {
    fn settled(command: OrderCommand) -> Self {
        Self { command: Some(command), again: false }
    }

    const AGAIN: Outcome = Outcome { command: None, again: true };
}

impl Asks {
    pub(super) fn intent_is_fresh(&mut self, before: Option<&Order>, after: &Order) {
        let asked_before = before.is_some_and(|order| order.payment.in_doubt);
        if after.payment.in_doubt && !asked_before {
            self.fresh_intent = Some(after.payment.attempt);
        }
        if !after.payment.in_doubt && after.payment.failure.is_none() {
            self.payment_tries = 0;
        }
    }

    /// Lets everything that rests be asked now.
    pub(super) fn hurry(&mut self) {
        self.under_way.retain(|ask| ask.stage != Stage::Resting);
        self.payment_tries = 0;
    }

    /// Nothing is under way, and nothing of it is to be remembered.
    pub(super) fn are_settled(&self) -> bool {
        self.under_way.is_empty() && self.payment_tries == 0 && self.fresh_intent.is_none()
    }

    fn pause(&self, request: &Request, pace: &Pace) -> Duration {
        let tries = self.under_way.iter().find(|ask| ask.request == *request).map_or(0, |ask| ask.tries);
        match request {
            Request::Pay { .. } | Request::RetryPayment => {
                Pace::pause(pace.first_payment_pause, pace.longest_payment_pause, self.payment_tries)
            }
            Request::ReserveStock
            | Request::ReturnStock
            | Request::SellStock
            | Request::StopPreparation
            | Request::FindRider
            | Request::HoldRider { .. }
            | Request::ReleaseRider { .. } => Pace::pause(pace.first_pause, pace.longest_pause, tries),
        }
    }
}

impl OrderActor {
    /// A command of ours could not be written: come back to it.
    pub(super) fn again_later(&self, ctx: &mut Context<Self>) {
        let busy = self.lifeline.busy();
        ctx.run_later(self.world.pace.first_pause, move |actor, ctx| {
            drop(busy);
            // Receivers drop repeats, so asking once more brings the same answer.
            actor.in_work().asks.under_way.retain(|ask| ask.stage != Stage::Answered);
            actor.follow_through(ctx);
        });
    }

    pub(super) fn follow_through(&mut self, ctx: &mut Context<Self>) {
        let Some(order) = self.order.clone() else { return };
        if order.settled {
            self.lifeline.finished();
        }
        let outstanding = order.outstanding();
        self.in_work().asks.under_way.retain(|ask| outstanding.contains(&ask.request));
        for request in outstanding {
            let asks = &mut self.in_work().asks;
            if asks.under_way.iter().any(|ask| ask.request == request) {
                continue;
            }
            // A payment that was just deferred is not tried again at once.
            if request == Request::RetryPayment {
                asks.under_way.push(Ask { request: request.clone(), tries: 0, stage: Stage::Resting });
                self.rest(request, ctx);
            } else {
                asks.under_way.push(Ask { request: request.clone(), tries: 0, stage: Stage::UnderWay });
                self.ask(&order, request, ctx);
            }
        }
        self.put_away();
    }

    fn ask(&mut self, order: &Arc<Order>, request: Request, ctx: &mut Context<Self>) {
        let fresh = self.takes_fresh_intent(&request);
        let asking = ask_world(self.world.clone(), order.clone(), request.clone(), fresh);
        let busy = self.lifeline.busy();
        ctx.spawn(asking.into_actor(self).map(move |outcome, actor, ctx| {
            drop(busy);
            actor.take_up(request, outcome, ctx);
        }));
    }

    fn takes_fresh_intent(&mut self, request: &Request) -> bool {
        match request {
            Request::Pay { attempt, .. } => {
                self.in_work().asks.fresh_intent.take_if(|fresh| *fresh == *attempt).is_some()
            }
            Request::ReserveStock
            | Request::ReturnStock
            | Request::SellStock
            | Request::RetryPayment
            | Request::StopPreparation
            | Request::FindRider
            | Request::HoldRider { .. }
            | Request::ReleaseRider { .. } => false,
        }
    }

    fn take_up(&mut self, request: Request, outcome: Outcome, ctx: &mut Context<Self>) {
        let paying = matches!(request, Request::Pay { .. });
        if (paying && outcome.again) || request == Request::RetryPayment {
            let asks = &mut self.in_work().asks;
            asks.payment_tries = asks.payment_tries.saturating_add(1);
        }
        if let Some(ask) = self.in_work().asks.under_way.iter_mut().find(|ask| ask.request == request) {
            ask.tries = ask.tries.saturating_add(1);
            ask.stage = if outcome.again { Stage::Resting } else { Stage::Answered };
            if outcome.again {
                self.rest(request, ctx);
            }
        }
        if let Some(command) = outcome.command {
            crate::crash::point("order.answer_before_note");
            self.note(command, ctx);
        }
    }

    /// An answer that changed nothing has settled nothing: what is still needed is asked for again after a pause. That a
    /// call was never sent is such an answer, if the order was taken for in doubt while the call waited its turn;
    /// and that a rider is free, whose book has yet to strike out this very order.
    pub(super) fn ask_again_if_unsettled(&mut self, ctx: &mut Context<Self>) {
        let outstanding = self.order.as_ref().map(|order| order.outstanding()).unwrap_or_default();
        let unsettled = |ask: &&mut Ask| ask.stage == Stage::Answered && outstanding.contains(&ask.request);
        let mut resting = Vec::new();
        let asks = &mut self.in_work().asks;
        for ask in asks.under_way.iter_mut().filter(unsettled) {
            ask.stage = Stage::Resting;
            resting.push(ask.request.clone());
        }
        for request in resting {
            if let Request::Pay { .. } = request {
                let asks = &mut self.in_work().asks;
                asks.payment_tries = asks.payment_tries.saturating_add(1);
            }
            self.rest(request, ctx);
        }
    }

    /// Asks again after a pause, if it is still needed then.
    fn rest(&mut self, request: Request, ctx: &mut Context<Self>) {
        let world = self.world.clone();
        let pause = self.in_work().asks.pause(&request, &world.pace);
        let busy = self.lifeline.busy();
        ctx.run_later(pause, move |actor, ctx| {
            drop(busy);
            let Some(order) = actor.order.clone() else { return };
            let rests = |ask: &&mut Ask| ask.request == request && ask.stage == Stage::Resting;
            let Some(ask) = actor.in_work().asks.under_way.iter_mut().find(rests) else { return };
            ask.stage = Stage::UnderWay;
            if order.outstanding().contains(&request) {
                actor.ask(&order, request, ctx);
            }
        });
    }
}

async fn ask_world(world: World, order: Arc<Order>, request: Request, fresh: bool) -> Outcome {
    match request {
        Request::ReserveStock => {
            let lines = order.placement.lines.iter();
            let lines = lines.map(|line| Pieces { item_id: line.item_id, quantity: line.quantity }).collect();
            keep_stock(
                &world,
                &order,
                StockCommand::Reserve { order: order.id, lines },
                OrderCommand::NoteStockReserved,
            )
            .await
        }
        Request::ReturnStock => {
            let give_back = StockCommand::Return { order: order.id };
            keep_stock(&world, &order, give_back, OrderCommand::NoteStockReturned).await
        }
        Request::SellStock => {
            keep_stock(&world, &order, StockCommand::Sell { order: order.id }, OrderCommand::NoteStockSold).await
        }
        Request::Pay { operation, attempt } => pay(&world, &order, operation, attempt, fresh).await,
        Request::RetryPayment => {
            if world.gate.is_open() {
                Outcome::AGAIN
            } else {
                Outcome::settled(OrderCommand::Pay { token: None })
            }
        }
        Request::StopPreparation => {
            let stop = To { id: order.placement.store.id, origin: None, message: StopPreparation { order: order.id } };
            match world.kitchen.ask(stop).await {
                Ok(()) => Outcome::settled(OrderCommand::NotePreparationStopped),
                Err(_) => Outcome::AGAIN,
            }
        }
        Request::FindRider => {
            let find = FindRider { store: order.placement.store.id, order: order.id };
            match world.dispatch.ask(find).await {
                Ok(Some(rider)) => Outcome::settled(OrderCommand::NoteRiderFound { rider }),
                Ok(None) | Err(_) => Outcome::AGAIN,
            }
        }
        Request::HoldRider { rider } => {
            let hold = NoteInBook::new(&order, CommandName::NoteRiderHeld, RiderCommand::Hold { order: order.id });
            match world.riders.ask(To { id: rider.clone(), origin: None, message: hold }).await {
                Ok(Ok(_)) => Outcome::settled(OrderCommand::NoteRiderHeld { rider, as_of: order.version }),
                Ok(Err(EnterError::Refused(RiderFull))) => {
                    Outcome::settled(OrderCommand::NoteRiderFull { rider, as_of: order.version })
                }
                Ok(Err(_)) | Err(_) => Outcome::AGAIN,
            }
        }
        Request::ReleaseRider { rider } => {
            let strike = RiderCommand::Release { order: order.id };
            let release = NoteInBook::new(&order, CommandName::NoteRiderReleased, strike);
            match world.riders.ask(To { id: rider.clone(), origin: None, message: release }).await {
                Ok(Ok(_)) => Outcome::settled(OrderCommand::NoteRiderReleased { rider }),
                Ok(Err(_)) | Err(_) => Outcome::AGAIN,
            }
        }
    }
}

async fn keep_stock(world: &World, order: &Order, command: StockCommand, done: OrderCommand) -> Outcome {
    let message = KeepStock::new(order, done.name(), command);
    match world.stock.ask(To { id: order.placement.store.id, origin: None, message }).await {
        Ok(Ok(_)) => Outcome::settled(done),
        Ok(Err(EnterError::Refused(StockRefusal::OutOfStock(item)))) => {
            Outcome::settled(OrderCommand::NoteOutOfStock { item })
        }
        Ok(Err(_)) | Err(_) => Outcome::AGAIN,
    }
}

/// The intent stands in the journal: that is why this may be called. No answer is no decline.
async fn pay(world: &World, order: &Order, operation: PaymentOperation, attempt: u16, fresh: bool) -> Outcome {
    let age = order.payment.asked_since.until(world.clock.now());
    let look_up = match world.pace.keys.at(age) {
        KeyAge::Repeatable => false,
        KeyAge::Quiet => return Outcome::AGAIN,
        KeyAge::Expired => true,
    };
    let request = PaymentRequest {
        order: order.id,
        key: provider_key(order.id, operation, attempt),
        operation,
        // Captures, voids and refunds speak of what was authorized under this key.
        of: provider_key(order.id, charged_by(order), attempt),
        amount: order.placement.total,
        token: order.payment.token.clone(),
    };
    let charge = Charge { request, look_up };
    let no_answer = |sent: bool, why: &'static str| match operation {
        PaymentOperation::Authorize | PaymentOperation::Purchase => {
            let why = Text::literal(why);
            Outcome { command: Some(OrderCommand::NoteNotPaidYet { attempt, sent, why }), again: sent }
        }
        PaymentOperation::Capture | PaymentOperation::Void | PaymentOperation::Refund => Outcome::AGAIN,
    };
    crate::crash::point("order.before_pay");
    match world.payments.ask(charge).await {
        Ok(ChargeOutcome::Done) => Outcome::settled(match operation {
            PaymentOperation::Authorize => OrderCommand::NoteAuthorized { attempt },
            PaymentOperation::Purchase | PaymentOperation::Capture => OrderCommand::NoteCaptured { attempt },
            PaymentOperation::Void => OrderCommand::NoteVoided,
            PaymentOperation::Refund => OrderCommand::NoteRefunded,
        }),
        Ok(ChargeOutcome::Declined { code }) => match operation {
            PaymentOperation::Authorize | PaymentOperation::Purchase | PaymentOperation::Capture => {
                Outcome::settled(OrderCommand::NoteDeclined { attempt, code })
            }
            PaymentOperation::Void | PaymentOperation::Refund => Outcome::AGAIN,
        },
        Ok(ChargeOutcome::Unknown { why }) => no_answer(true, why),
        // It stays in doubt, and is looked for again: their books may get it late.
        Ok(ChargeOutcome::NotFound) => {
            Outcome { command: Some(OrderCommand::NotePaymentNotFound { attempt }), again: true }
        }
        Ok(ChargeOutcome::NotSent)
        | Err(Refusal::Full | Refusal::Paused | Refusal::Restarting | Refusal::Quarantined) => {
            no_answer(!fresh, "payment_unavailable")
        }
        Err(Refusal::NoReply | Refusal::Stopped) => no_answer(true, "no_answer"),
    }
}

fn charged_by(order: &Order) -> PaymentOperation {
    match order.placement.policy.capture {
        crate::order::Capture::AtPlacement => PaymentOperation::Purchase,
        crate::order::Capture::AtAcceptance => PaymentOperation::Authorize,
    }
}
