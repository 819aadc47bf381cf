//! Every command that an order may be given, for tests that leave none out.

use crate::order::testing::*;
use crate::order::{Order, OrderCommand, Party, PaymentOperation, Request, Timestamp};

/// A command as it is shown to readers, and who issues it.
pub(crate) struct Issued {
    pub(crate) label: &'static str,
    pub(crate) by: Party,
    pub(crate) command: OrderCommand,
}

fn issued(label: &'static str, by: Party, command: OrderCommand) -> Issued {
    Issued { label, by, command }
}

/// Every command that an existing order may be given, by the party that may issue it, with every payload that makes
/// a difference. The clock comes on top: it is a time, not a payload.
pub(crate) fn every_command(order: &Order) -> Vec<Issued> {
    use OrderCommand as Command;
    let carrier = || order.rider().cloned().unwrap_or_else(rider_id);
    let told = |label, command| issued(label, Party::System, command);
    let attempt = order.payment.attempt;
    let unpaid = |sent| Command::NoteNotPaidYet { attempt, sent, why: text("timeout") };
    let given_back = || order.releasing.first().cloned().unwrap_or_else(carrier);
    vec![
        issued("place", customer(), Command::Place(order.placement.clone())),
        issued("pay", customer(), Command::Pay { token: None }),
        issued("pay with another card", customer(), Command::Pay { token: Some(another_card()) }),
        issued("cancel", customer(), Command::Cancel { note: None }),
        issued("cancel", operator(), Command::Cancel { note: None }),
        issued("confirm", customer(), Command::Confirm),
        issued("accept", store(), Command::Accept),
        issued("reject", store(), Command::Reject { reason: None }),
        issued("start-preparation", store(), Command::StartPreparation),
        issued("finish-preparation", store(), Command::FinishPreparation),
        issued("assign", store(), Command::Assign { rider: rider_id() }),
        issued("assign someone else", store(), Command::Assign { rider: another_rider_id() }),
        issued("depart", store(), Command::Depart),
        issued("deliver", store(), Command::Deliver),
        issued("claim", rider(), Command::Claim),
        issued("claim as someone else", another_rider(), Command::Claim),
        issued("accept-delivery", Party::Rider(carrier()), Command::AcceptDelivery),
        issued("decline-delivery", Party::Rider(carrier()), Command::DeclineDelivery),
        issued("pick-up", Party::Rider(carrier()), Command::PickUp),
        issued("deliver", Party::Rider(carrier()), Command::Deliver),
        told("note-stock-reserved", Command::NoteStockReserved),
        told("note-out-of-stock", Command::NoteOutOfStock { item: ITEM }),
        told("note-stock-returned", Command::NoteStockReturned),
        told("note-stock-sold", Command::NoteStockSold),
        told("note-preparation-stopped", Command::NotePreparationStopped),
        told("note-authorized", Command::NoteAuthorized { attempt }),
        told("note-captured", Command::NoteCaptured { attempt }),
        told("note-declined", Command::NoteDeclined { attempt, code: text("no_funds") }),
        told("note-not-paid-yet (not sent)", unpaid(false)),
        told("note-not-paid-yet (unknown)", unpaid(true)),
        told("note-payment-not-found", Command::NotePaymentNotFound { attempt }),
        told("note-voided", Command::NoteVoided),
        told("note-refunded", Command::NoteRefunded),
        told("note-rider-found", Command::NoteRiderFound { rider: rider_id() }),
        told("note-rider-held", Command::NoteRiderHeld { rider: carrier(), as_of: order.version }),
        told("note-rider-full", Command::NoteRiderFull { rider: carrier(), as_of: order.version }),
        told("note-rider-released", Command::NoteRiderReleased { rider: given_back() }),
    ]
}

/// The clock strikes. What that does depends on the time at which it is issued.
pub(crate) fn clock() -> Issued {
    issued("time", Party::System, OrderCommand::NoteTime)
}

/// The moments at which the clock makes a difference: the next thing due, and the deadline behind it.
pub(crate) fn due_times(order: &Order) -> Vec<Timestamp> {
    let mut times: Vec<_> = order.next_due().into_iter().chain(order.deadline().map(|deadline| deadline.at)).collect();
    times.dedup();
    times
}

/// What the world may say to a request once it says anything for certain. The first is what everyone hopes for.
pub(crate) fn definite_answers(order: &Order, request: &Request) -> Vec<OrderCommand> {
    use OrderCommand as Command;
    let declined = |attempt| Command::NoteDeclined { attempt, code: text("no_funds") };
    let free = if order.releasing.contains(&rider_id()) { another_rider_id() } else { rider_id() };
    match request {
        Request::ReserveStock => vec![Command::NoteStockReserved, Command::NoteOutOfStock { item: ITEM }],
        Request::ReturnStock => vec![Command::NoteStockReturned],
        Request::SellStock => vec![Command::NoteStockSold],
        Request::Pay { operation, attempt: n } => match operation {
            PaymentOperation::Authorize => vec![Command::NoteAuthorized { attempt: *n }, declined(*n)],
            PaymentOperation::Purchase | PaymentOperation::Capture => {
                vec![Command::NoteCaptured { attempt: *n }, declined(*n)]
            }
            PaymentOperation::Void => vec![Command::NoteVoided],
            PaymentOperation::Refund => vec![Command::NoteRefunded],
        },
        Request::RetryPayment => vec![Command::Pay { token: None }],
        Request::StopPreparation => vec![Command::NotePreparationStopped],
        Request::FindRider => vec![Command::NoteRiderFound { rider: free }],
        Request::HoldRider { rider } => {
            let (rider, as_of) = (rider.clone(), order.version);
            vec![Command::NoteRiderHeld { rider: rider.clone(), as_of }, Command::NoteRiderFull { rider, as_of }]
        }
        Request::ReleaseRider { rider } => vec![Command::NoteRiderReleased { rider: rider.clone() }],
    }
}

#[test]
fn no_command_is_left_out() {
    let order = given(until(crate::order::Preset::QuickService, "rider_assigned"));
    let mut names: Vec<_> = every_command(order.order()).iter().map(|issued| issued.command.name().as_str()).collect();
    names.push(OrderCommand::NoteTime.name().as_str());
    names.sort_unstable();
    names.dedup();
    // The count stands here so that a new command is a red test until it has a line above.
    assert_eq!(names.len(), 32, "{names:?}");
}
