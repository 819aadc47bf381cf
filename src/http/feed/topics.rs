//! The topics of a feed: how they are written, and whose they are.

use actix_ws::CloseCode;

use super::socket::End;
use crate::access::{Caller, Role};
use crate::actors::{System, Topic};
use crate::http::code::Code;
use crate::http::error::ApiError;
use crate::http::near::point;
use crate::http::orders::visible;
use crate::http::stores::owned;
use crate::order::{CustomerId, Order, OrderId, Party};

/// What one socket may watch: a page's worth.
const MOST_TOPICS: usize = 50;

/// `deliveries` has commas of its own: a part that is a number belongs to the topic before it.
pub(super) fn topics(text: &str, caller: &Caller) -> Result<(Vec<String>, Vec<Topic>), ApiError> {
    let mut names: Vec<String> = Vec::new();
    for part in text.split(',') {
        match names.last_mut() {
            Some(last) if last.starts_with("deliveries:") && part.trim().parse::<f64>().is_ok() => {
                last.push(',');
                last.push_str(part.trim());
            }
            _ => names.push(part.trim().to_owned()),
        }
    }
    if names.len() > MOST_TOPICS {
        return Err(ApiError::new(Code::MalformedQuery).detail(format!("a feed has at most {MOST_TOPICS} topics")));
    }
    let topics = names.iter().map(|name| topic(name, caller)).collect::<Option<Vec<Topic>>>();
    let topics = topics.ok_or_else(|| ApiError::new(Code::MalformedQuery).detail("a topic is not known"))?;
    Ok((names, topics))
}

fn topic(name: &str, caller: &Caller) -> Option<Topic> {
    match name.split_once(':') {
        None if name == "my-orders" => Some(Topic::MyOrders(CustomerId(caller.subject.clone()))),
        None if name == "operations" => Some(Topic::Operations),
        Some(("order", id)) => id.parse().ok().map(Topic::Order),
        Some(("store", id)) => id.parse().ok().map(Topic::Store),
        Some(("deliveries", place)) => {
            let (place, radius) = place.rsplit_once(',')?;
            let radius_m = radius.parse::<f64>().ok().filter(|metres| (0.0..=20_037_508.0).contains(metres))?;
            Some(Topic::Deliveries { around: point(place).ok()?, radius_m })
        }
        None | Some(_) => None,
    }
}

/// The same rule as for reading.
pub(super) async fn is_theirs(topic: &Topic, caller: &Caller, system: &System) -> Result<bool, End> {
    match topic {
        Topic::Order(order) => sees_now(*order, caller, system).await,
        Topic::MyOrders(_) => Ok(caller.role == Role::Customer),
        Topic::Store(store) => Ok(owned(system, *store, caller).is_ok()),
        Topic::Deliveries { .. } => Ok(caller.role == Role::Rider),
        Topic::Operations => Ok(caller.role == Role::Admin),
    }
}

/// Whether reading the order would show it. A socket whose question is not answered is closed: its client comes back,
/// and nobody is shown what may not be theirs.
async fn sees_now(order: OrderId, caller: &Caller, system: &System) -> Result<bool, End> {
    match visible(system, order, caller).await {
        Ok(_) => Ok(true),
        Err(error) if error.code() == Code::OrderNotFound => Ok(false),
        Err(_) => Err(End::Close(CloseCode::Again.into())),
    }
}

/// Whether an event of this topic may be shown: that the topic was theirs when they joined says nothing about now.
pub(super) async fn may_see(
    topic: &Topic,
    order: &Order,
    (caller, party): (&Caller, &Party),
    system: &System,
) -> Result<bool, End> {
    match topic {
        // Shows any rider the same, and nothing that tells who ordered.
        Topic::Deliveries { .. } => return Ok(true),
        Topic::Store(store) if owned(system, *store, caller).is_err() => return Ok(false),
        Topic::Order(_) | Topic::MyOrders(_) | Topic::Store(_) | Topic::Operations => {}
    }
    if order.stays_visible_to(party) {
        return Ok(true);
    }
    sees_now(order.id, caller, system).await
}
