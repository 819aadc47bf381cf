//! What state follows an event. Decides nothing and refuses what does not fit.

use std::sync::Arc;

use super::event::{DeclineReason, OrderEvent, PaymentDeferred, PaymentRequested, RiderDeclined};
use super::id::{OrderId, RiderId};
use super::machine::IllegalEvent;
use super::order::{Assignment, Delivery, Order, OrderState as State, Payment, PaymentStatus, Preparation, StockHold};
use super::payment;
use super::policy::{PaymentMethod, PreparationPolicy, StockPolicy};
use super::text::Text;
use super::time::Timestamp;

/// The order that its first event makes.
pub(super) fn first(id: OrderId, event: &OrderEvent, at: Timestamp) -> Result<Order, IllegalEvent> {
    let OrderEvent::OrderPlaced(placement) = event else {
        return Err(IllegalEvent { event: event.name(), version: 0, status: "not placed" });
    };
    let policy = &placement.policy;
    Ok(Order {
        id,
        version: 1,
        state: State::Placed { since: at },
        payment: Payment {
            method: placement.payment_method,
            status: PaymentStatus::None,
            attempt: 0,
            token: placement.card_token.clone(),
            in_doubt: false,
            asked_since: at,
            unresolved: false,
            capture_due: false,
            failure: None,
        },
        preparation: match policy.preparation {
            PreparationPolicy::None => Preparation::None,
            PreparationPolicy::Reported | PreparationPolicy::WithAcceptance | PreparationPolicy::Automatic => {
                Preparation::Waiting
            }
        },
        delivery: Delivery::None,
        stock: match policy.stock {
            StockPolicy::Tracked => StockHold::Wanted,
            StockPolicy::Untracked => StockHold::None,
        },
        releasing: Vec::new(),
        submitted: false,
        settled: false,
        placed_at: at,
        updated_at: at,
        placement: placement.clone(),
    })
}

/// Folds a whole history, or the rest of one onto `from`.
pub fn replay<'a>(
    id: OrderId,
    from: Option<Arc<Order>>,
    history: impl IntoIterator<Item = (&'a OrderEvent, Timestamp)>,
) -> Result<Option<Arc<Order>>, IllegalEvent> {
    let mut order = from.map(Arc::unwrap_or_clone);
    for (event, at) in history {
        order = Some(match order {
            None => first(id, event, at)?,
            Some(order) => order.after(event, at)?,
        });
    }
    Ok(order.map(Arc::new))
}

impl Order {
    /// The order as it stands after `event`, which happened at `at`.
    pub fn after(mut self, event: &OrderEvent, at: Timestamp) -> Result<Order, IllegalEvent> {
        if !self.apply(event, at) {
            return Err(IllegalEvent { event: event.name(), version: self.version, status: self.status().as_str() });
        }
        self.version += 1;
        self.updated_at = at;
        Ok(self)
    }

    /// Whether the event fits; if not, the half-built state is thrown away by the caller.
    fn apply(&mut self, event: &OrderEvent, at: Timestamp) -> bool {
        if self.settled {
            return false;
        }
        match event {
            OrderEvent::OrderPlaced(_) => false,
            // Nothing was asked of the store, so nothing has to be given back.
            OrderEvent::UnavailableArea(_) => {
                self.stock = StockHold::None;
                self.is_unpaid()
            }
            OrderEvent::StockReserved(_) => {
                self.stock_becomes(StockHold::Reserved, &[StockHold::Wanted], self.is_unpaid())
            }
            // Still wanted: another request for the same goods may be on its way and succeed, so the store is told
            // that this order has ended like one that holds something.
            OrderEvent::OutOfStock(_) => self.stock == StockHold::Wanted && self.is_unpaid(),
            OrderEvent::StockReturned(_) => {
                let ended = self.ended_early();
                self.stock_becomes(StockHold::Ended, &[StockHold::Wanted, StockHold::Reserved], ended)
            }
            OrderEvent::StockSold(_) => {
                let handed_over = matches!(self.state, State::Delivered { .. } | State::Completed);
                self.stock_becomes(StockHold::Ended, &[StockHold::Reserved], handed_over)
            }
            OrderEvent::PaymentRequested(request) => self.payment_requested(request, at),
            OrderEvent::PaymentDeferred(deferred) => self.payment_deferred(deferred, at),
            OrderEvent::PaymentUnresolved(question) => {
                let asked = payment::is_asked(self) && question.attempt == self.payment.attempt;
                asked && !std::mem::replace(&mut self.payment.unresolved, true)
            }
            OrderEvent::PaymentAuthorized(answer) => {
                self.payment.in_doubt && self.payment_answered(PaymentStatus::Authorized, answer.attempt, None, at)
            }
            OrderEvent::PaymentCaptured(answer) => {
                self.awaits_money() && self.payment_answered(PaymentStatus::Captured, answer.attempt, None, at)
            }
            OrderEvent::PaymentDeclined(answer) => {
                let code = Some(answer.code.clone());
                self.awaits_money() && self.payment_answered(PaymentStatus::Declined, answer.attempt, code, at)
            }
            OrderEvent::PaymentVoided(_) => self.given_back(PaymentStatus::Authorized, PaymentStatus::Voided),
            OrderEvent::PaymentRefunded(_) => self.given_back(PaymentStatus::Captured, PaymentStatus::Refunded),
            OrderEvent::OrderSubmitted(_) => self.submitted(at),
            OrderEvent::OrderAccepted(_) => self.accepted(at),
            OrderEvent::OrderRejected(rejected) => {
                let fits = matches!(self.state, State::AwaitingAcceptance { .. });
                self.ends(at);
                self.state = State::Rejected { reason: rejected.reason.clone() };
                fits
            }
            OrderEvent::PreparationStarted(_) => self.preparation_started(),
            OrderEvent::PreparationFinished(_) => {
                let fits = matches!(self.state, State::Preparing { .. });
                self.preparation = Preparation::Finished;
                self.state = State::Ready { since: at, reminded: false };
                fits
            }
            OrderEvent::PreparationCancelled(_) => {
                let asked = matches!(&self.state, State::Cancelled(ended) if ended.stop_preparation);
                asked && std::mem::replace(&mut self.preparation, Preparation::Cancelled) != Preparation::Cancelled
            }
            OrderEvent::DeliveryOffered(_) => self.delivery_offered(at),
            OrderEvent::RiderAssigned(assigned) => {
                let fits = !self.is_closed() && matches!(self.delivery, Delivery::None | Delivery::Offered);
                self.delivery = Delivery::Assigned {
                    rider: assigned.rider_id.clone(),
                    how: assigned.how,
                    since: at,
                    version: self.version + 1,
                    confirmed: false,
                };
                fits
            }
            OrderEvent::AssignmentConfirmed(confirmed) => self.assignment_confirmed(&confirmed.rider_id, at),
            OrderEvent::RiderAccepted(answer) => self.rider_accepted(&answer.rider_id),
            OrderEvent::RiderDeclined(answer) => self.rider_declined(answer),
            OrderEvent::RiderReleased(released) => {
                let held = self.releasing.len();
                self.releasing.retain(|rider| *rider != released.rider_id);
                self.releasing.len() < held
            }
            OrderEvent::PickedUp(_) => {
                let fits = matches!(self.state, State::Ready { .. });
                self.delivery = Delivery::PickedUp { rider: self.rider().cloned() };
                self.state = State::PickedUp { since: at, late: false };
                fits
            }
            OrderEvent::Delivered(_) => self.delivered(at),
            OrderEvent::DeliveryCancelled(_) => self.delivery_cancelled(),
            OrderEvent::ReminderGiven(_) => self.reminder_given(),
            OrderEvent::OrderCompleted(_) => {
                let fits = matches!(self.state, State::Delivered { .. });
                self.state = State::Completed;
                fits
            }
            OrderEvent::OrderCancelled(ended) => {
                let fits = !self.is_closed() && !matches!(self.state, State::Delivered { .. });
                self.ends(at);
                self.state = State::Cancelled(ended.clone());
                fits
            }
            OrderEvent::OrderSettled(_) => {
                self.settled = true;
                self.is_closed()
            }
        }
    }

    /// Still on its way to the store.
    fn is_unpaid(&self) -> bool {
        matches!(self.state, State::Placed { .. } | State::AwaitingPayment { .. })
    }

    fn stock_becomes(&mut self, next: StockHold, from: &[StockHold], in_this_state: bool) -> bool {
        in_this_state && from.contains(&std::mem::replace(&mut self.stock, next))
    }

    /// What goes back from now on was not asked for before; what is asked for already goes on.
    fn ends(&mut self, at: Timestamp) {
        if !self.awaits_money() {
            self.payment.asked_since = at;
        }
    }

    fn payment_requested(&mut self, request: &PaymentRequested, at: Timestamp) -> bool {
        let payment = &mut self.payment;
        let fits = !payment.in_doubt && request.attempt >= payment.attempt;
        payment.status = PaymentStatus::Pending;
        payment.attempt = request.attempt;
        payment.token = request.token.clone();
        payment.in_doubt = true;
        payment.asked_since = at;
        fits && self.is_unpaid()
    }

    fn payment_deferred(&mut self, deferred: &PaymentDeferred, at: Timestamp) -> bool {
        let fits = self.is_unpaid() && deferred.attempt == self.payment.attempt;
        self.payment.status = PaymentStatus::Deferred;
        self.payment.in_doubt = deferred.in_doubt;
        self.payment.failure = Some(deferred.why.clone());
        self.state = State::AwaitingPayment { since: at };
        fits
    }

    fn awaits_money(&self) -> bool {
        self.payment.in_doubt || payment::captures_authorized(self)
    }

    fn payment_answered(
        &mut self,
        status: PaymentStatus,
        attempt: u16,
        failure: Option<Text<80>>,
        at: Timestamp,
    ) -> bool {
        self.payment.status = status;
        self.payment.in_doubt = false;
        self.payment.asked_since = at;
        self.payment.unresolved = false;
        self.payment.failure = failure;
        attempt == self.payment.attempt
    }

    fn given_back(&mut self, from: PaymentStatus, to: PaymentStatus) -> bool {
        self.payment.unresolved = false;
        self.ended_early() && std::mem::replace(&mut self.payment.status, to) == from
    }

    fn submitted(&mut self, at: Timestamp) -> bool {
        let paid = match (self.payment.method, self.payment.status) {
            (PaymentMethod::Card, PaymentStatus::Authorized | PaymentStatus::Captured) => true,
            (PaymentMethod::OnDelivery, PaymentStatus::None | PaymentStatus::Deferred) => {
                self.payment.status = PaymentStatus::DueOnDelivery;
                true
            }
            (PaymentMethod::Card | PaymentMethod::OnDelivery, _) => false,
        };
        let fits = paid && self.is_unpaid();
        self.submitted = true;
        self.state = State::AwaitingAcceptance { since: at, reminded: false };
        fits
    }

    fn accepted(&mut self, at: Timestamp) -> bool {
        let fits = matches!(self.state, State::AwaitingAcceptance { .. });
        self.payment.capture_due = self.payment.status == PaymentStatus::Authorized;
        self.payment.asked_since = at;
        self.state = if self.preparation == Preparation::None {
            State::Ready { since: at, reminded: false }
        } else {
            State::Accepted { since: at, late: false }
        };
        fits
    }

    fn preparation_started(&mut self) -> bool {
        let State::Accepted { since, late } = self.state else { return false };
        self.preparation = Preparation::Started;
        self.state = State::Preparing { accepted_at: since, late };
        true
    }

    fn delivery_offered(&mut self, at: Timestamp) -> bool {
        let fits = !self.is_closed() && matches!(self.delivery, Delivery::None);
        self.delivery = Delivery::Offered;
        if let State::Ready { since, reminded } = &mut self.state {
            (*since, *reminded) = (at, false); // The wait for a rider begins anew.
        }
        fits
    }

    /// The rider's time to answer begins now.
    fn assignment_confirmed(&mut self, holder: &RiderId, at: Timestamp) -> bool {
        let open = !self.is_closed();
        match &mut self.delivery {
            Delivery::Assigned { rider, how: Assignment::ByStore, since, confirmed, .. } => {
                *since = at;
                open && rider == holder && !std::mem::replace(confirmed, true)
            }
            Delivery::Accepted { rider, confirmed } => open && rider == holder && !std::mem::replace(confirmed, true),
            Delivery::Assigned { how: Assignment::Claimed | Assignment::Own, .. }
            | Delivery::None
            | Delivery::Offered
            | Delivery::PickedUp { .. }
            | Delivery::Delivered { .. }
            | Delivery::Cancelled { .. } => false,
        }
    }

    /// Of a delivery that the rider claimed, or that was found for them, this event is itself the word of their book. Of
    /// one that the store assigned it is theirs: earlier releases took it before the book had spoken.
    fn rider_accepted(&mut self, yes: &RiderId) -> bool {
        let Delivery::Assigned { rider, how, confirmed, .. } = &self.delivery else { return false };
        let fits = rider == yes && !self.is_closed();
        let confirmed = match how {
            Assignment::Claimed | Assignment::Own => true,
            Assignment::ByStore => *confirmed,
        };
        self.delivery = Delivery::Accepted { rider: yes.clone(), confirmed };
        fits
    }

    /// The rider's book may hold the delivery by now, unless it was full.
    fn rider_declined(&mut self, no: &RiderDeclined) -> bool {
        let rider = match &self.delivery {
            Delivery::Assigned { rider, .. } | Delivery::Accepted { rider, .. } => rider.clone(),
            Delivery::None
            | Delivery::Offered
            | Delivery::PickedUp { .. }
            | Delivery::Delivered { .. }
            | Delivery::Cancelled { .. } => return false,
        };
        let fits = rider == no.rider_id && !self.is_closed();
        self.delivery = Delivery::None;
        match no.why {
            DeclineReason::Rider | DeclineReason::DidNotAnswer => self.releasing.push(rider),
            DeclineReason::AtCapacity => {}
        }
        fits
    }

    fn delivered(&mut self, at: Timestamp) -> bool {
        let fits = matches!(self.state, State::PickedUp { .. });
        let rider = self.rider().cloned();
        self.releasing.extend(rider.clone());
        self.delivery = Delivery::Delivered { rider };
        self.state = State::Delivered { since: at, reminded: false };
        if self.payment.status == PaymentStatus::DueOnDelivery {
            self.payment.status = PaymentStatus::Collected;
        }
        fits
    }

    fn delivery_cancelled(&mut self) -> bool {
        let over = match self.delivery {
            Delivery::None | Delivery::Delivered { .. } | Delivery::Cancelled { .. } => true,
            Delivery::Offered | Delivery::Assigned { .. } | Delivery::Accepted { .. } | Delivery::PickedUp { .. } => {
                false
            }
        };
        self.delivery = Delivery::Cancelled { rider: self.rider().cloned() };
        self.is_closed() && !over
    }

    fn reminder_given(&mut self) -> bool {
        match &mut self.state {
            State::AwaitingAcceptance { reminded: told, .. }
            | State::Ready { reminded: told, .. }
            | State::Delivered { reminded: told, .. }
            | State::Accepted { late: told, .. }
            | State::Preparing { late: told, .. }
            | State::PickedUp { late: told, .. } => !std::mem::replace(told, true),
            State::Placed { .. }
            | State::AwaitingPayment { .. }
            | State::Completed
            | State::Rejected { .. }
            | State::Cancelled(_) => false,
        }
    }
}
