//! What people do, one word each, and what they look at.

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Answer, CUSTOMER_AT, Ledger, Person, TestApp, wait_until};

impl TestApp {
    /// Places an order with a fresh key.
    pub async fn place(&self, customer: &Person, order: &Value) -> Answer {
        self.place_with_key(customer, &Uuid::now_v7().to_string(), order).await
    }

    pub async fn place_with_key(&self, customer: &Person, key: &str, order: &Value) -> Answer {
        let request = self.request(Method::POST, "/v1/orders").bearer_auth(&customer.token);
        self.send(request.header("Idempotency-Key", key).json(order)).await
    }

    /// Places an order that is taken, and gives its id.
    pub async fn placed(&self, customer: &Person, order: &Value) -> String {
        let order = self.place(customer, order).await.created();
        order["id"].as_str().expect("an order has an id").to_owned()
    }

    pub async fn command(&self, who: &Person, order: &str, command: &str, body: &Value) -> Answer {
        self.post(who, &format!("/v1/orders/{order}/{command}"), body).await
    }

    pub async fn cancel(&self, who: &Person, order: &str) -> Answer {
        self.command(who, order, "cancel", &json!({})).await
    }

    pub async fn pay(&self, who: &Person, order: &str) -> Answer {
        self.command(who, order, "pay", &json!({})).await
    }

    pub async fn confirm(&self, who: &Person, order: &str) -> Answer {
        self.command(who, order, "confirm", &json!({})).await
    }

    pub async fn accept(&self, who: &Person, order: &str) -> Answer {
        self.command(who, order, "accept", &json!({})).await
    }

    pub async fn reject(&self, who: &Person, order: &str, reason: &str) -> Answer {
        self.command(who, order, "reject", &json!({"reason": reason})).await
    }

    pub async fn start_preparation(&self, who: &Person, order: &str) -> Answer {
        self.command(who, order, "start-preparation", &json!({})).await
    }

    pub async fn finish_preparation(&self, who: &Person, order: &str) -> Answer {
        self.command(who, order, "finish-preparation", &json!({})).await
    }

    pub async fn assign(&self, who: &Person, order: &str, rider: &Person) -> Answer {
        self.command(who, order, "assign", &json!({"rider_id": rider.sub})).await
    }

    pub async fn depart(&self, who: &Person, order: &str) -> Answer {
        self.command(who, order, "depart", &json!({})).await
    }

    pub async fn claim(&self, who: &Person, order: &str) -> Answer {
        self.command(who, order, "claim", &json!({})).await
    }

    pub async fn accept_delivery(&self, who: &Person, order: &str) -> Answer {
        self.command(who, order, "accept-delivery", &json!({})).await
    }

    pub async fn decline_delivery(&self, who: &Person, order: &str) -> Answer {
        self.command(who, order, "decline-delivery", &json!({})).await
    }

    pub async fn pick_up(&self, who: &Person, order: &str) -> Answer {
        self.command(who, order, "pick-up", &json!({})).await
    }

    pub async fn deliver(&self, who: &Person, order: &str) -> Answer {
        self.command(who, order, "deliver", &json!({})).await
    }

    pub async fn report_for_duty(&self, rider: &Person) {
        let (lat, lng) = CUSTOMER_AT;
        let body = json!({"available": true, "location": {"lat": lat, "lng": lng}});
        self.put(rider, "/v1/riders/me", &body).await.done();
    }

    /// The order as the operator sees it.
    pub async fn order(&self, order: &str) -> Value {
        self.get(&self.admin, &format!("/v1/orders/{order}")).await.ok()
    }

    pub async fn wait_for_status(&self, order: &str, status: &str) -> Value {
        self.wait_for_order(order, &format!("it is {status}"), |order| order["status"] == status).await
    }

    pub async fn wait_for_order(&self, order: &str, what: &str, seen: impl Fn(&Value) -> bool) -> Value {
        let look = || async { Some(self.order(order).await).filter(&seen) };
        wait_until(&format!("{what} (order {order})"), look).await
    }

    /// Waits until an order that has ended has given back everything that it held.
    pub async fn wait_until_settled(&self, order: &str) -> Value {
        let settled = || async {
            let events = self.event_names(order).await;
            events.iter().any(|name| name == "order_settled").then_some(())
        };
        wait_until(&format!("order {order} is settled"), settled).await;
        self.order(order).await
    }

    pub async fn history(&self, order: &str) -> Vec<Value> {
        let answer = self.get(&self.admin, &format!("/v1/orders/{order}/events")).await.ok();
        answer["items"].as_array().expect("a history has items").clone()
    }

    pub async fn event_names(&self, order: &str) -> Vec<String> {
        let name = |event: &Value| event["type"].as_str().expect("an event has a type").to_owned();
        self.history(order).await.iter().map(name).collect()
    }

    /// The ids on a customer's page.
    pub async fn my_page(&self, customer: &Person, status: &str) -> Vec<Value> {
        self.get(customer, &format!("/v1/my-page?status={status}")).await.items()
    }

    pub async fn board(&self, owner: &Person, store: &str) -> Vec<Value> {
        self.get(owner, &format!("/v1/stores/{store}/orders")).await.items()
    }

    /// Waits until the list that `path` names shows the order as `seen` wants it.
    pub async fn wait_for_row(&self, who: &Person, path: &str, order: &str, seen: impl Fn(&Value) -> bool) -> Value {
        let look = || async {
            let rows = self.get(who, path).await.items();
            rows.into_iter().find(|row| row["id"] == order).filter(&seen)
        };
        wait_until(&format!("{path} shows order {order} as it should"), look).await
    }

    /// The texts of events that the customer was told of, oldest first.
    pub async fn messages(&self, customer: &Person, order: &str) -> Vec<Value> {
        let mut messages = self.get(customer, &format!("/v1/messages?order_id={order}&limit=100")).await.items();
        messages.reverse();
        messages
    }

    pub async fn wait_for_message(&self, customer: &Person, order: &str, event: &str) -> Value {
        let look = || async {
            let messages = self.messages(customer, order).await;
            messages.into_iter().find(|message| message["event"] == event)
        };
        wait_until(&format!("the customer is told of {event}"), look).await
    }

    /// Open deliveries within the radius, as a rider looks them up. Right after a start they may still be read.
    pub async fn deliveries(&self, rider: &Person, (lat, lng): (f64, f64), radius_m: u32) -> Vec<Value> {
        let path = format!("/v1/deliveries?near={lat},{lng}&radius_m={radius_m}");
        let look = || async {
            let answer = self.get(rider, &path).await;
            (answer.status != 503).then(|| answer.items())
        };
        wait_until("the open deliveries are known", look).await
    }

    /// Sets the clock of deadlines ahead.
    pub async fn advance(&self, seconds: u32) {
        self.put(&self.admin, "/v1/operations/clock", &json!({"advance_s": seconds})).await.done();
    }

    pub async fn ledger(&self, order: &str) -> Ledger {
        let answer = self.get(&self.admin, &format!("/v1/operations/sandbox/orders/{order}")).await.ok();
        Ledger::read(answer["items"].as_array().expect("a ledger has items"))
    }

    /// Slows or breaks the payment provider as a whole; `failure` is `error`, `hang` or null.
    pub async fn payment_provider(&self, failure: impl Into<Value>) {
        let mood = json!({"latency_ms": [0, 0], "failure": failure.into()});
        self.put(&self.admin, "/v1/operations/sandbox", &mood).await.done();
    }

    pub async fn pause_store_management(&self, paused: bool) {
        self.put(&self.admin, "/v1/operations/store-management", &json!({"paused": paused})).await.done();
    }
}
