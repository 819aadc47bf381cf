//! Joining by subscribing: `examples/marketing.rs`, which is what a stranger would write from the contract alone.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _};

use crate::broker;
use crate::helpers::{Life, TestApp, wait_until};
use crate::mirror::mirroring_to;
use crate::outages::rewind;
use crate::topic::Topic;

/// A member of the group. Killed when dropped.
struct Member(Child);

impl Member {
    fn join(app: &TestApp, topic: &Topic, group: &str) -> Self {
        let log = File::options().create(true).append(true).open(app.directory().join("marketing.log")).unwrap();
        let child = Command::new(example())
            .args(["--kafka", topic.broker(), "--topic", &topic.name, "--group", group, "--state"])
            .arg(state_of(app))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn();
        Self(child.expect("the example can be run"))
    }

    async fn leave(mut self) {
        let told = Command::new("sh").args(["-c", &format!("kill -TERM {}", self.0.id())]).status().unwrap();
        assert!(told.success(), "the member had ended by itself");
        let status = wait_until("the member ends", || std::future::ready(self.0.try_wait().unwrap())).await;
        assert!(status.success(), "{status}");
    }

    fn crash(mut self) {
        assert!(self.0.try_wait().unwrap().is_none(), "the member had ended by itself");
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// The example, built as it is now.
fn example() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let program = Path::new(env!("CARGO_BIN_EXE_baedal"));
        let mut build = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
        build.args(["build", "--quiet", "--locked", "--example", "marketing"]).current_dir(env!("CARGO_MANIFEST_DIR"));
        if program.parent().is_some_and(|profile| profile.ends_with("release")) {
            build.arg("--release");
        }
        assert!(build.status().expect("cargo can be run").success(), "the example does not build");
        program.with_file_name("examples").join("marketing")
    })
}

fn state_of(app: &TestApp) -> PathBuf {
    app.directory().join("marketing.sqlite3")
}

/// What marketing knows: customer, completed orders, coupons.
async fn known(app: &TestApp) -> Vec<(String, i64, i64)> {
    let connected = SqliteConnectOptions::new().filename(state_of(app)).read_only(true).connect().await;
    let Ok::<SqliteConnection, _>(mut state) = connected else { return Vec::new() };
    let rows = sqlx::query_as(
        "select customer_id, completed, (select count(*) from coupons where coupons.customer_id = loyalty.customer_id)
         from loyalty order by customer_id",
    );
    let rows = rows.fetch_all(&mut state).await.unwrap_or_default();
    state.close().await.ok();
    rows
}

async fn knows(app: &TestApp, expected: &[(&str, i64, i64)]) {
    let seen = || async {
        let known = known(app).await;
        let as_expected =
            known.iter().map(|(who, orders, coupons)| (who.as_str(), *orders, *coupons)).eq(expected.iter().copied());
        as_expected.then_some(())
    };
    wait_until(&format!("marketing knows {expected:?}"), seen).await;
}

async fn shop_of(app: &TestApp, customer: &str) -> Life {
    let mut life = Life::at(app, "store_delivered").await;
    life.customer = app.customer(customer).await;
    life
}

async fn complete(app: &TestApp, life: &Life, count: usize) {
    for _ in 0..count {
        life.order_in(app, "completed").await;
    }
}

#[tokio::test]
async fn a_subscriber_that_was_away_has_missed_nothing_and_does_nothing_twice() {
    let Some(broker) = broker::shared() else { return };
    let topic = Topic::fresh(broker);
    let app = mirroring_to(&topic).start().await;
    let alice = shop_of(&app, "alice").await;
    complete(&app, &alice, 2).await;

    // It joins late, and has what was before.
    let member = Member::join(&app, &topic, "marketing");
    knows(&app, &[("alice", 2, 0)]).await;
    complete(&app, &alice, 1).await;
    knows(&app, &[("alice", 3, 1)]).await;

    // It is away, well or not, and has what was meanwhile.
    member.leave().await;
    complete(&app, &alice, 2).await;
    let member = Member::join(&app, &topic, "marketing");
    knows(&app, &[("alice", 5, 1)]).await;
    member.crash();
    complete(&app, &alice, 1).await;
    let member = Member::join(&app, &topic, "marketing");
    knows(&app, &[("alice", 6, 2)]).await;
    member.leave().await;

    // Kafka has forgotten how far it was: it reads all again, and nobody gets a second coupon.
    let member = Member::join(&app, &topic, "marketing-again");
    wait_until("all is read again", || async { topic.is_read_by("marketing-again").await.then_some(()) }).await;
    knows(&app, &[("alice", 6, 2)]).await;
    member.leave().await;
}

#[tokio::test]
async fn two_members_share_the_work_and_nothing_is_done_twice() {
    let Some(broker) = broker::shared() else { return };
    let topic = Topic::fresh(broker);
    let app = mirroring_to(&topic).start().await;
    let (alice, bob) = (shop_of(&app, "alice").await, shop_of(&app, "bob").await);
    let first = Member::join(&app, &topic, "marketing");
    let second = Member::join(&app, &topic, "marketing");
    tokio::join!(complete(&app, &alice, 5), complete(&app, &bob, 4));
    knows(&app, &[("alice", 5, 1), ("bob", 4, 1)]).await;

    // Members come and go while orders are completed: partitions change hands.
    let going_on = async { tokio::join!(complete(&app, &alice, 4), complete(&app, &bob, 6)) };
    let changing = async {
        first.leave().await;
        // And the service says everything again.
        rewind(&app).await;
        let third = Member::join(&app, &topic, "marketing");
        second.leave().await;
        third
    };
    let (_, third) = tokio::join!(going_on, changing);
    knows(&app, &[("alice", 9, 3), ("bob", 10, 3)]).await;
    third.leave().await;
}
