//! An ordinary life of an order at each kind of store: who does what in which status.

use serde_json::{Value, json};

use super::{Answer, Person, Shop, TestApp};

/// A store, a customer and a rider, ready to go.
pub struct Life {
    pub shop: Shop,
    pub customer: Person,
    pub rider: Person,
}

/// One command on the way from placed to completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    pub by: &'static str,
    pub command: &'static str,
    /// The status in which it is due. Some steps before it happen by themselves.
    pub from: &'static str,
}

const fn step(by: &'static str, command: &'static str, from: &'static str) -> Step {
    Step { by, command, from }
}

const ACCEPT: Step = step("owner", "accept", "awaiting_acceptance");
const START: Step = step("owner", "start-preparation", "accepted");
const FINISH: Step = step("owner", "finish-preparation", "preparing");
const CLAIM: Step = step("rider", "claim", "ready");
const ASSIGN: Step = step("owner", "assign", "ready");
const ACCEPT_DELIVERY: Step = step("rider", "accept-delivery", "ready");
const PICK_UP: Step = step("rider", "pick-up", "ready");
const DEPART: Step = step("owner", "depart", "ready");
const DELIVER: Step = step("rider", "deliver", "picked_up");
const STORE_DELIVERS: Step = step("owner", "deliver", "picked_up");
const CONFIRM: Step = step("customer", "confirm", "delivered");

/// The statuses of a life that goes well.
const WAY: [&str; 8] = [
    "awaiting_payment",
    "awaiting_acceptance",
    "accepted",
    "preparing",
    "ready",
    "picked_up",
    "delivered",
    "completed",
];

fn nth(status: &str) -> Option<usize> {
    WAY.iter().position(|on_the_way| *on_the_way == status)
}

fn rank(order: &Value) -> Option<usize> {
    order["status"].as_str().and_then(nth)
}

impl Life {
    pub async fn at(app: &TestApp, policy: impl Into<Value>) -> Self {
        Self::with(app, app.store(policy).await).await
    }

    /// At a store whose shelves do not empty.
    pub async fn at_plenty(app: &TestApp, policy: impl Into<Value>) -> Self {
        Self::with(app, app.store_with_stock(policy, 1_000).await).await
    }

    async fn with(app: &TestApp, shop: Shop) -> Self {
        let customer = app.customer("alice").await;
        let rider = app.rider("rico").await;
        app.hire(&shop, &rider).await;
        Self { shop, customer, rider }
    }

    /// From placed to completed.
    pub fn steps(&self) -> &'static [Step] {
        match self.shop.preset.as_str() {
            "food_delivery" => &[ACCEPT, START, FINISH, CLAIM, PICK_UP, DELIVER, CONFIRM],
            "store_delivered" => &[ACCEPT, START, FINISH, DEPART, STORE_DELIVERS, CONFIRM],
            "retail" => &[ACCEPT, FINISH, DELIVER, CONFIRM],
            "quick_service" => &[ACCEPT, ASSIGN, ACCEPT_DELIVERY, PICK_UP, DELIVER, CONFIRM],
            "restaurant" => &[FINISH, DELIVER, CONFIRM],
            other => panic!("there is no preset {other}"),
        }
    }

    pub fn person(&self, role: &str) -> &Person {
        match role {
            "customer" => &self.customer,
            "owner" => &self.shop.owner,
            "rider" => &self.rider,
            other => panic!("nobody is a {other} here"),
        }
    }

    pub fn body(&self, step: Step) -> Value {
        if step.command == "assign" { json!({"rider_id": self.rider.sub}) } else { json!({}) }
    }

    pub async fn take(&self, app: &TestApp, order: &str, step: Step) -> Answer {
        app.wait_for_status(order, step.from).await;
        app.command(self.person(step.by), order, step.command, &self.body(step)).await
    }

    pub async fn place(&self, app: &TestApp) -> String {
        app.placed(&self.customer, &self.shop.order()).await
    }

    /// Brings an order on its way until it has the status. Some steps of it happen by themselves.
    pub async fn bring_to(&self, app: &TestApp, order: &str, status: &str) -> Value {
        for &step in self.steps() {
            let due = |order: &Value| order["status"] == status || rank(order) >= nth(step.from);
            let seen = app.wait_for_order(order, &format!("it is {status} or {}", step.from), due).await;
            if seen["status"] == status {
                return seen;
            }
            if rank(&seen) == nth(step.from) {
                app.command(self.person(step.by), order, step.command, &self.body(step)).await.ok();
            }
        }
        app.wait_for_status(order, status).await
    }

    /// A new order in that status.
    pub async fn order_in(&self, app: &TestApp, status: &str) -> String {
        match status {
            "awaiting_payment" => app.placed(&self.customer, &self.shop.order_with_card("error")).await,
            "rejected" => {
                let order = self.place(app).await;
                app.reject(&self.shop.owner, &order, "sold out").await.ok();
                order
            }
            "cancelled" => {
                let order = self.place(app).await;
                app.cancel(&self.customer, &order).await.ok();
                order
            }
            on_the_way => {
                let order = self.place(app).await;
                self.bring_to(app, &order, on_the_way).await;
                order
            }
        }
    }
}
