//! A registry and residents that come, stay, leave and make room as they are told.

use actix::ActorContext;

use super::*;
use crate::actors::mailbox::{Mailbox, Reply};
use crate::actors::probe::{POLICY, Record, until};

const HOUR: Duration = Duration::from_secs(3_600);

/// The replies that guests were told to keep.
type Kept = std::sync::Arc<std::sync::Mutex<Vec<Reply<Ask>>>>;

#[derive(Clone, Default)]
struct Inn {
    settled_in: Record<u32>,
    kept: Kept,
}

struct Guest {
    inn: Inn,
    lifeline: Lifeline<u32>,
}

#[derive(Message)]
#[rtype(result = "()")]
enum Ask {
    /// Nothing stands for it in any journal.
    Look,
    /// Something does from now on.
    Occupy,
    Stop,
    /// Is not answered until the test says so.
    Keep,
}

impl Actor for Guest {
    type Context = Context<Self>;
}

impl Resident for Guest {
    type Id = u32;
    type Origin = ();
    type World = Inn;

    const NAME: &'static str = "guest";

    fn settle_in(id: u32, _: Option<()>, inn: &Inn, lifeline: Lifeline<u32>) -> Self {
        inn.settled_in.note(id);
        Self { inn: inn.clone(), lifeline }
    }
}

impl Handler<Admitted<Ask>> for Guest {
    type Result = ();

    fn handle(&mut self, asked: Admitted<Ask>, ctx: &mut Context<Self>) {
        let Some((ask, reply)) = asked.start() else { return };
        match ask {
            Ask::Look => {
                reply.send(());
                self.lifeline.vacant();
            }
            Ask::Occupy => {
                self.lifeline.occupied();
                reply.send(());
            }
            Ask::Stop => ctx.stop(),
            Ask::Keep => self.inn.kept.lock().unwrap().push(reply),
        }
    }
}

struct House {
    inn: Inn,
    ask: Mailbox<To<Guest, Ask>>,
    census: Mailbox<TakeCensus>,
}

impl House {
    fn with_rooms(most: usize) -> Self {
        let inn = Inn::default();
        let residency = Residency { door: POLICY, resident: POLICY, idle_after: HOUR, finished_after: HOUR, most };
        let door = Registry::<Guest>::open(inn.clone(), residency);
        Self { inn, ask: door.mailbox(), census: door.mailbox() }
    }

    async fn ask(&self, id: u32, message: Ask) -> Result<(), Refusal> {
        self.ask.ask(To { id, origin: None, message }).await
    }

    async fn census(&self) -> Census {
        self.census.ask(TakeCensus).await.unwrap()
    }
}

#[actix::test]
async fn whoever_is_nobody_goes_at_once_and_is_not_replaced() {
    let house = House::with_rooms(10);
    for id in 0..5 {
        house.ask(id, Ask::Look).await.unwrap();
    }
    until("all are gone, and none is to come back", async || {
        let census = house.census().await;
        census.live + census.replacing == 0
    })
    .await;
    assert_eq!(house.inn.settled_in.len(), 5);
}

#[actix::test]
async fn whoever_becomes_somebody_while_leaving_stays() {
    let house = House::with_rooms(10);
    // Both are inside before the first is answered.
    let (looked, occupied) = tokio::join!(house.ask(1, Ask::Look), house.ask(1, Ask::Occupy));
    assert_eq!((looked, occupied), (Ok(()), Ok(())));
    house.ask(2, Ask::Look).await.unwrap();
    until("the other one is gone", async || house.census().await.live == 1).await;
    house.ask(1, Ask::Occupy).await.unwrap();
    assert_eq!(house.inn.settled_in.all(), [1, 2], "the same as before");
}

#[actix::test]
async fn no_message_is_lost_to_a_resident_that_leaves_again_and_again() {
    let house = House::with_rooms(10);
    let looks = (0..500).map(|n| house.ask(n % 3, Ask::Look));
    let outcomes = futures_util::future::join_all(looks).await;
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
}

#[actix::test]
async fn where_no_more_may_live_an_idle_one_makes_room() {
    let house = House::with_rooms(2);
    for id in 0..20 {
        house.ask(id, Ask::Occupy).await.unwrap();
    }
    assert_eq!(house.census().await.live, 2);
}

#[actix::test]
async fn whoever_is_at_work_does_not_make_room() {
    let house = House::with_rooms(2);
    let both = futures_util::future::join(house.ask(1, Ask::Keep), house.ask(2, Ask::Keep));
    let refused = async {
        until("both are at work", async || house.inn.kept.lock().unwrap().len() == 2).await;
        let refused = house.ask(3, Ask::Occupy).await;
        house.inn.kept.lock().unwrap().drain(..).for_each(|reply| reply.send(()));
        refused
    };
    let (kept, refused) = tokio::join!(both, refused);
    assert_eq!((kept, refused), ((Ok(()), Ok(())), Err(Refusal::Full)));
    house.ask(3, Ask::Occupy).await.unwrap();
}

#[actix::test]
async fn one_that_gave_itself_up_is_replaced_without_being_asked() {
    let house = House::with_rooms(2);
    assert_eq!(house.ask(1, Ask::Stop).await, Err(Refusal::Stopped));
    until("it is back", async || house.inn.settled_in.len() == 2).await;
    assert_eq!(house.census().await.replacing, 0);
}
