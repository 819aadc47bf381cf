//! What every command to an order comes with: who, which order, the key it may be repeated by, the version seen.

use std::future::{Ready, ready};
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderMap, IF_MATCH};
use actix_web::{FromRequest, HttpRequest, HttpResponse, web};
use uuid::Uuid;

use crate::access::Caller;
use crate::actors::{Execute, ReadBook, Receipt, System, To};
use crate::order::{CommandId, OrderCommand, OrderId, Party, RiderId, Timestamp};
use crate::store::AnswerKey;

use super::code::Code;
use super::error::ApiError;
use super::extract::Path;
use super::idempotency::{MaybeIdempotencyKey, Running};
use super::outcome::{Reader, refused, reply};

/// Everything of a command but the command.
pub(super) struct Asked {
    caller: Caller,
    order: OrderId,
    key: Option<Uuid>,
    if_version: Option<u32>,
    system: web::Data<System>,
    running: web::Data<Arc<Running>>,
}

impl FromRequest for Asked {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        ready((|| {
            let caller = Caller::from_request(request, payload).into_inner()?;
            let Path(order) = Path::<OrderId>::from_request(request, payload).into_inner()?;
            let MaybeIdempotencyKey(key) = MaybeIdempotencyKey::from_request(request, payload).into_inner()?;
            let key = key.map(|key| key.id_for(&caller));
            let if_version = if_match(request.headers())?;
            let system = request.app_data::<web::Data<System>>().expect("every app is given its system").clone();
            let running = request.app_data::<web::Data<Arc<Running>>>().expect("every app is given its list").clone();
            Ok(Self { caller, order, key, if_version, system, running })
        })())
    }
}

impl Asked {
    /// Carries the command out and answers with the order.
    pub(super) async fn carry_out(self, command: OrderCommand, fingerprint: i64) -> Result<HttpResponse, ApiError> {
        self.carry_out_unless(Ok(()), command, fingerprint).await
    }

    /// The same for a command that something is to be said against by now. A repeat of one that was answered before gets its
    /// answer all the same.
    pub(super) async fn carry_out_unless(
        self,
        objection: Result<(), ApiError>,
        command: OrderCommand,
        fingerprint: i64,
    ) -> Result<HttpResponse, ApiError> {
        let party = self.caller.party();
        let (receipt, now) = self.receipt(objection, command, fingerprint).await?;
        Ok(reply(StatusCode::OK, &receipt, Reader { party: &party, now }))
    }

    /// The same for a rider who takes a delivery: their own book may have been full.
    pub(super) async fn claim(self, fingerprint: i64) -> Result<HttpResponse, ApiError> {
        let party = self.caller.party();
        let objection = match &party {
            Party::Rider(rider) => self.has_room(rider).await,
            Party::Customer(_) | Party::Store(_) | Party::Operator(_) | Party::System => Ok(()),
        };
        let (receipt, now) = self.receipt(objection, OrderCommand::Claim, fingerprint).await?;
        let reader = Reader { party: &party, now };
        match &party {
            Party::Rider(rider) if receipt.order.rider() != Some(rider) => Err(was_full(&receipt, reader)),
            _ => Ok(reply(StatusCode::OK, &receipt, reader)),
        }
    }

    /// A look at the rider's book spares the order being taken and given back. What counts is the entry in the book,
    /// which is made after this.
    async fn has_room(&self, rider: &RiderId) -> Result<(), ApiError> {
        let riders = &self.system.riders;
        let message = To { id: rider.clone(), origin: None, message: ReadBook::default() };
        let book = riders.books.ask(message).await?;
        if book.held().len() >= riders.capacity && !book.held().contains(&self.order) {
            return Err(ApiError::new(Code::RiderAtCapacity).detail("nothing was changed"));
        }
        Ok(())
    }

    async fn receipt(
        self,
        objection: Result<(), ApiError>,
        command: OrderCommand,
        fingerprint: i64,
    ) -> Result<(Receipt, Timestamp), ApiError> {
        let _entered = self.key.map(|key| self.running.enter(key)).transpose()?;
        let party = self.caller.party();
        let (orders, key) = (&self.system.orders, self.key.map(|key| AnswerKey { key, fingerprint }));
        let outcome = match (objection, key) {
            (Err(objection), None) => return Err(objection),
            (Err(objection), Some(key)) => match orders.answered(self.order, command.name(), key).await.transpose() {
                Some(before) => before,
                None => return Err(objection),
            },
            (Ok(()), key) => {
                let id = CommandId::new(self.key.unwrap_or_else(Uuid::now_v7));
                let execute = Execute { id, by: party.clone(), command, key, if_version: self.if_version };
                match party {
                    Party::Store(_) => orders.manage(self.order, execute).await,
                    Party::Customer(_) | Party::Rider(_) | Party::Operator(_) | Party::System => {
                        orders.execute(self.order, execute).await
                    }
                }
            }
        };
        let now = self.system.clock.now();
        outcome.map(|receipt| (receipt, now)).map_err(|error| refused(error, Reader { party: &party, now }))
    }

    pub(super) fn system(&self) -> &System {
        &self.system
    }

    pub(super) fn order(&self) -> OrderId {
        self.order
    }

    pub(super) fn caller(&self) -> &Caller {
        &self.caller
    }
}

/// The order was taken for the rider, and their book said no.
fn was_full(receipt: &Receipt, reader: Reader<'_>) -> ApiError {
    let order = &receipt.order;
    let refusal = ApiError::new(Code::RiderAtCapacity).about_order(order.id).detail(format!(
        "the rider's book was full when the order came to it: by version {} the order was assigned to the rider and taken \
         back, which its history shows",
        order.version
    ));
    let refusal = refusal.in_state(order.status().as_str(), reader.allowed_words(order));
    if receipt.replayed { refusal.replayed() } else { refusal }
}

/// The version that the caller insists on: `"17"`, or `17`; any version for `*`.
fn if_match(headers: &HeaderMap) -> Result<Option<u32>, ApiError> {
    let Some(value) = headers.get(IF_MATCH) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    let version = text.trim_start_matches("W/").trim_matches('"').parse();
    version
        .map(Some)
        .map_err(|_| ApiError::new(Code::MalformedRequest).detail("If-Match is a version as the ETag gave it"))
}
