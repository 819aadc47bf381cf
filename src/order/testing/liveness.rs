//! Whatever went wrong, once the world answers again every order comes to an end and holds nothing any more.

use proptest::prelude::*;

use super::every_command::every_command;
use super::properties::a_placement;
use super::world::{Fate, World};
use crate::order::testing::*;
use crate::order::{Placement, Seconds};

/// One thing that happens in the world.
#[derive(Clone, Debug)]
enum Happening {
    /// Anyone commands anything; most of it is refused.
    Command {
        order: usize,
        which: u8,
    },
    /// Somebody does their part.
    SomeoneActs {
        order: usize,
    },
    Ask {
        order: usize,
        which: u8,
        fate: Fate,
    },
    AnswerArrives {
        order: usize,
        which: u8,
        lost: bool,
        twice: bool,
    },
    StragglerArrives {
        which: u8,
    },
    Restart,
    Wait {
        seconds: u32,
    },
    /// Until something is due.
    WaitFor {
        order: usize,
    },
    Restock {
        quantity: u32,
    },
}

const ORDERS: usize = 4;

fn a_fate() -> impl Strategy<Value = Fate> {
    let lucky = || prop::bool::weighted(0.85);
    prop_oneof![
        4 => lucky().prop_map(|lucky| Fate::Answered { lucky }),
        2 => lucky().prop_map(|lucky| Fate::Unanswered { lucky }),
        1 => lucky().prop_map(|lucky| Fate::Lost { lucky }),
        1 => Just(Fate::NotSent),
    ]
}

fn a_happening() -> impl Strategy<Value = Happening> {
    let order = || 0..ORDERS;
    prop_oneof![
        3 => (order(), any::<u8>()).prop_map(|(order, which)| Happening::Command { order, which }),
        6 => order().prop_map(|order| Happening::SomeoneActs { order }),
        8 => (order(), any::<u8>(), a_fate()).prop_map(|(order, which, fate)| Happening::Ask { order, which, fate }),
        8 => (order(), any::<u8>(), prop::bool::weighted(0.15), prop::bool::weighted(0.15))
            .prop_map(|(order, which, lost, twice)| Happening::AnswerArrives { order, which, lost, twice }),
        2 => any::<u8>().prop_map(|which| Happening::StragglerArrives { which }),
        1 => Just(Happening::Restart),
        1 => (0..1_000_u32).prop_map(|seconds| Happening::Wait { seconds }),
        1 => order().prop_map(|order| Happening::WaitFor { order }),
        1 => (1..5_u32).prop_map(|quantity| Happening::Restock { quantity }),
    ]
}

fn happen(world: &mut World, happening: Happening) {
    match happening {
        Happening::Command { order, which } => {
            let people: Vec<_> = every_command(world.order(order))
                .into_iter()
                // The world's answers come from the world here, or they would be lies.
                .filter(|issued| issued.by != crate::order::Party::System)
                .collect();
            let issued = &people[usize::from(which) % people.len()];
            world.command(order, &issued.by, &issued.command);
        }
        Happening::SomeoneActs { order } => {
            world.someone_acts(order);
        }
        Happening::Ask { order, which, fate } => world.ask(order, which, fate),
        Happening::AnswerArrives { order, which, lost, twice } => world.answer_arrives(order, which, lost, twice),
        Happening::StragglerArrives { which } => world.a_straggler_arrives(which),
        Happening::Restart => world.restart(),
        Happening::Wait { seconds } => world.wait(world.now() + Seconds(seconds)),
        Happening::WaitFor { order } => {
            let due = world.order(order).next_due();
            world.wait(due.unwrap_or(world.now()));
        }
        Happening::Restock { quantity } => world.restock(quantity),
    }
}

/// From here on everything asked is answered. People do their part, or time passes; both end every order.
fn let_it_end(world: &mut World, people_act: bool) {
    world.restart();
    // No order has more to do than this: a few retries, a few riders, an end, and its settlement.
    for _round in 0..60 {
        for order in 0..world.orders() {
            for _request in 0..8 {
                world.ask(order, 0, Fate::Answered { lucky: true });
                world.answer_arrives(order, 0, false, false);
            }
            let current = world.order(order).clone();
            let acted = (people_act || current.next_due().is_none()) && world.someone_acts(order);
            if !acted && let Some(due) = world.order(order).next_due() {
                world.wait(due);
            }
        }
        if (0..world.orders()).all(|order| world.order(order).settled) {
            break;
        }
        // What was asked once and led to nothing, such as finding a rider when none was free, is asked again.
        world.restart();
    }
    for which in 0..=u8::MAX {
        world.a_straggler_arrives(which);
    }
    world.check_the_end();
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn every_order_ends_and_holds_nothing_when_the_world_answers_at_last(
        placements in prop::collection::vec(a_placement(), ORDERS),
        on_the_shelf in 0..10_u32,
        happenings in prop::collection::vec(a_happening(), 0..150),
        people_act in any::<bool>(),
    ) {
        let mut world = World::with(placements, on_the_shelf);
        for happening in happenings {
            happen(&mut world, happening);
        }
        let_it_end(&mut world, people_act);
    }
}

#[test]
fn without_any_trouble_every_preset_comes_to_its_happy_end() {
    for preset in crate::order::Preset::ALL {
        let placements: Vec<Placement> = vec![placement(preset); ORDERS];
        let mut world = World::with(placements, 100);
        let_it_end(&mut world, true);
        for order in 0..ORDERS {
            assert_eq!(world.order(order).status(), crate::order::Status::Completed, "{preset:?}");
        }
    }
}
