//! Whole lives of orders, in process: eight commands of four people each, every command durable before its answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use baedal::actors::{Execute, Orders};
use baedal::order::{
    CommandId, CustomerId, OrderCommand, OrderId, OwnerId, Party, PaymentMethod, RiderId, ServicePolicy, Status,
};
use baedal::store::AnswerKey;
use hdrhistogram::Histogram;
use uuid::Uuid;

use crate::engines::engines;
use crate::{Commits, RUN, town};

pub(crate) fn measure(written: &mut Commits) {
    for (concurrency, engine) in [64, 256].into_iter().flat_map(|many| engines().into_iter().map(move |e| (many, e))) {
        let data = engine.fresh();
        let cpu_before = crate::cpu_seconds();
        let figures = actix_web::rt::System::new().block_on(async {
            let (system, threads) = town::start(&data.place(), &town::config()).await;
            let figures = run(&system.orders, concurrency, Until::Over(RUN)).await;
            drop(system);
            threads.stop();
            figures
        });
        let Figures { lives, took, commands } = figures;
        println!(
            "lifecycles in process, {concurrency:>3} at a time  {:<11} {:>8.0}/s   {:>8.0} commands/s   command p50 {:.1} ms  p99 {:.1} ms   {:.0} us of CPU each   {}",
            engine.name(),
            lives as f64 / took.as_secs_f64(),
            commands.len() as f64 / took.as_secs_f64(),
            commands.value_at_quantile(0.5) as f64 / 1e3,
            commands.value_at_quantile(0.99) as f64 / 1e3,
            (crate::cpu_seconds() - cpu_before) * 1e6 / lives as f64,
            written.since(),
        );
    }
}

pub(crate) struct Figures {
    pub(crate) lives: u64,
    pub(crate) took: Duration,
    pub(crate) commands: Histogram<u64>,
}

#[derive(Clone, Copy)]
pub(crate) enum Until {
    Over(Duration),
    /// About so many have come to their end.
    Lived(u64),
}

pub(crate) async fn run(orders: &Orders, concurrency: u64, until: Until) -> Figures {
    let policy = town::policy();
    let started = Instant::now();
    let lives: Vec<_> = (0..concurrency)
        .map(|person| {
            let (orders, policy) = (orders.clone(), policy.clone());
            actix_web::rt::spawn(async move {
                let mut commands = Histogram::new_with_bounds(1, 60_000_000, 3).expect("valid bounds");
                let mut lived = 0;
                let goes_on = |lived: u64| match until {
                    Until::Over(time) => started.elapsed() < time,
                    Until::Lived(all) => lived < all.div_ceil(concurrency),
                };
                while goes_on(lived) {
                    live(&orders, &policy, person, &mut commands).await;
                    lived += 1;
                }
                (lived, commands)
            })
        })
        .collect();
    let mut figures = Figures { lives: 0, took: Duration::ZERO, commands: Histogram::new(3).expect("valid bounds") };
    for life in lives {
        let (lived, commands) = life.await.expect("nobody panics");
        figures.lives += lived;
        figures.commands.add(commands).expect("the same bounds");
    }
    figures.took = started.elapsed();
    figures
}

/// From the menu to the confirmed receipt.
pub(crate) async fn live(orders: &Orders, policy: &Arc<ServicePolicy>, person: u64, commands: &mut Histogram<u64>) {
    let customer = Party::Customer(CustomerId(town::subject(&format!("customer-{person}"))));
    let owner = Party::Store(OwnerId(town::subject("mario")));
    let rider = Party::Rider(RiderId(town::subject(&format!("rider-{person}"))));
    let asked = Instant::now();
    let placement = town::placement(person, PaymentMethod::Card, policy);
    let key = AnswerKey { key: Uuid::now_v7(), fingerprint: 1 };
    let receipt = orders.place(placement, customer.clone(), key).await.expect("the order is taken");
    note(commands, asked);
    let id = receipt.order.id;
    for (by, command) in [
        (&owner, OrderCommand::Accept),
        (&owner, OrderCommand::StartPreparation),
        (&owner, OrderCommand::FinishPreparation),
        (&rider, OrderCommand::Claim),
        (&rider, OrderCommand::PickUp),
        (&rider, OrderCommand::Deliver),
        (&customer, OrderCommand::Confirm),
    ] {
        step(orders, id, by, command, commands).await;
    }
}

async fn step(orders: &Orders, id: OrderId, by: &Party, command: OrderCommand, commands: &mut Histogram<u64>) {
    let asked = Instant::now();
    let last = command == OrderCommand::Confirm;
    let execute = Execute { id: CommandId::new(Uuid::now_v7()), by: by.clone(), command, key: None, if_version: None };
    let outcome = match by {
        Party::Store(_) => orders.manage(id, execute).await,
        _ => orders.execute(id, execute).await,
    };
    let receipt = outcome.expect("the command is carried out");
    assert!(!last || receipt.order.status() == Status::Completed);
    note(commands, asked);
}

fn note(commands: &mut Histogram<u64>, asked: Instant) {
    commands.saturating_record(asked.elapsed().as_micros() as u64);
}
