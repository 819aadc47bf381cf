//! What [`Views`](crate::store::Views) promises.

use super::{Place, append, append_one, id, on_every_engine};
use crate::order::{CustomerId, ItemId, OrderId, StoreId, Timestamp};
use crate::store::{
    Cursor, Engine, MessageFilter, MessageRow, MessageState, OrderRow, Position, Reader, Shard, StockRow,
};

on_every_engine!(
    a_row_only_moves_forward,
    my_page_is_read_newest_first_page_by_page,
    the_board_shows_one_store_and_one_status,
    offered_deliveries_and_what_needs_attention_are_listed,
    rows_and_cursor_are_saved_together,
    messages_are_found_by_order_by_customer_and_by_state,
    a_message_that_was_sent_stays_sent,
    stock_levels_are_those_of_counted_items,
    rebuilt_rows_take_the_place_of_the_old_ones_at_once,
    a_rebuild_that_was_left_anywhere_is_in_nobodys_way,
    the_same_rows_have_the_same_checksum,
    readers_ahead_of_the_journal_begin_anew,
    many_rows_are_saved_at_once,
    all_orders_are_listed_by_id,
);

fn alice() -> CustomerId {
    "alice".parse().unwrap()
}

fn row(n: u128, version: u32) -> OrderRow {
    OrderRow {
        order: OrderId::new(id(n)),
        version,
        customer: alice(),
        store: StoreId::new(id(1)),
        rider: None,
        status: "placed".into(),
        submitted: true,
        live: true,
        delivery_status: "none".into(),
        attention: None,
        placed_at: Timestamp::from_micros(n as i64 / 2),
        document: format!(r#"{{"version":{version}}}"#),
    }
}

async fn save(engine: &Engine, rows: &[OrderRow]) {
    engine.views.save_orders(rows, &[], &Cursor::start()).await.unwrap();
}

fn numbers(rows: &[OrderRow]) -> Vec<u128> {
    rows.iter().map(|row| row.order.uuid().as_u128()).collect()
}

async fn a_row_only_moves_forward(place: Place) {
    let engine = place.open().await;
    let newer = OrderRow {
        rider: Some("rider-7".parse().unwrap()),
        status: "picked_up".into(),
        attention: Some("late".into()),
        ..row(1, 7)
    };
    save(&engine, &[row(1, 3), newer.clone(), row(1, 6)]).await;
    save(&engine, &[row(1, 7), row(1, 1)]).await;
    assert_eq!(engine.views.my_page(&alice(), true, None, 10).await.unwrap(), [newer]);
}

async fn my_page_is_read_newest_first_page_by_page(place: Place) {
    let engine = place.open().await;
    let past = OrderRow { live: false, ..row(9, 1) };
    let other = OrderRow { customer: "bob".parse().unwrap(), ..row(8, 1) };
    save(&engine, &[row(3, 1), row(1, 1), row(2, 1), row(4, 1), past, other]).await;

    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = engine.views.my_page(&alice(), true, after, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.mark());
        seen.extend(numbers(&page));
    }
    // 2 and 3 were placed at the same moment: the id decides.
    assert_eq!(seen, [4, 3, 2, 1]);
    assert_eq!(numbers(&engine.views.my_page(&alice(), false, None, 2).await.unwrap()), [9]);
}

async fn the_board_shows_one_store_and_one_status(place: Place) {
    let engine = place.open().await;
    let store = StoreId::new(id(1));
    let ready = OrderRow { status: "ready".into(), ..row(2, 1) };
    let elsewhere = OrderRow { store: StoreId::new(id(2)), ..row(3, 1) };
    save(&engine, &[row(1, 1), ready, elsewhere, row(4, 1)]).await;
    let board = engine.views.store_board(store, None, None, 10).await.unwrap();
    assert_eq!(numbers(&board), [4, 2, 1]);
    let rest = engine.views.store_board(store, None, Some(board[0].mark()), 1).await.unwrap();
    assert_eq!(numbers(&rest), [2]);
    let placed = engine.views.store_board(store, Some("placed"), None, 10).await.unwrap();
    assert_eq!(numbers(&placed), [4, 1]);
}

async fn offered_deliveries_and_what_needs_attention_are_listed(place: Place) {
    let engine = place.open().await;
    let offered = |n, version| OrderRow { delivery_status: "offered".into(), ..row(n, version) };
    let late = OrderRow { attention: Some("late".into()), ..row(5, 1) };
    save(&engine, &[offered(1, 1), row(2, 1), offered(3, 1), late, offered(4, 1)]).await;
    save(&engine, &[row(3, 2)]).await;
    let listed = engine.views.offered(None, 10).await.unwrap();
    assert_eq!(numbers(&listed), [4, 1]);
    assert_eq!(numbers(&engine.views.offered(Some(listed[0].mark()), 10).await.unwrap()), [1]);
    assert_eq!(numbers(&engine.views.attention(None, 10).await.unwrap()), [5]);
}

async fn rows_and_cursor_are_saved_together(place: Place) {
    let engine = place.open().await;
    assert_eq!(engine.views.cursor(Reader::OrderView).await.unwrap(), Cursor::start());
    let mut cursor = Cursor::start();
    for (shard, position) in [(0, 7), (63, 9)] {
        cursor.advance(Position { shard: Shard::new(shard).unwrap(), position });
    }
    engine.views.save_orders(&[row(1, 1)], &[], &cursor).await.unwrap();
    assert_eq!(engine.views.cursor(Reader::OrderView).await.unwrap(), cursor);
    assert_eq!(engine.views.cursor(Reader::Messages).await.unwrap(), Cursor::start());
    engine.views.save_messages(&[], &cursor).await.unwrap();
    engine.views.save_cursor(Reader::KafkaBridge, &cursor).await.unwrap();
    for reader in [Reader::Messages, Reader::KafkaBridge] {
        assert_eq!(engine.views.cursor(reader).await.unwrap(), cursor);
    }
}

fn message(n: u128, version: u32, customer: &str, state: MessageState) -> MessageRow {
    MessageRow {
        order: OrderId::new(id(n)),
        version,
        customer: customer.parse().unwrap(),
        event: "order_accepted".into(),
        text: "조리를 시작했습니다".into(),
        channel: "log".into(),
        at: Timestamp::from_micros(n as i64),
        attempts: 1,
        state,
    }
}

async fn messages_are_found_by_order_by_customer_and_by_state(place: Place) {
    let engine = place.open().await;
    use MessageState::{Dead, Sent, Waiting};
    let messages = [
        message(1, 1, "alice", Sent),
        message(1, 2, "alice", Dead),
        message(2, 1, "bob", Sent),
        message(3, 1, "alice", Waiting),
    ];
    engine.views.save_orders(&[row(1, 1), row(3, 1)], &[], &Cursor::start()).await.unwrap();
    engine.views.save_messages(&messages, &Cursor::start()).await.unwrap();
    let find = async |filter: MessageFilter, after: Option<&MessageRow>| {
        let found = engine.views.messages(&filter, after.map(MessageRow::mark), 10).await.unwrap();
        found
            .into_iter()
            .map(|found| messages.iter().position(|message| *message == found).unwrap())
            .collect::<Vec<_>>()
    };
    let order = Some(OrderId::new(id(1)));
    let customer = Some(alice());
    assert_eq!(find(MessageFilter::default(), None).await, [3, 2, 1, 0]);
    assert_eq!(find(MessageFilter::default(), Some(&messages[2])).await, [1, 0]);
    assert_eq!(find(MessageFilter { order, ..Default::default() }, None).await, [1, 0]);
    assert_eq!(find(MessageFilter { order, ..Default::default() }, Some(&messages[1])).await, [0]);
    assert_eq!(find(MessageFilter { customer: customer.clone(), ..Default::default() }, None).await, [3, 1, 0]);
    assert_eq!(find(MessageFilter { state: Some(Dead), ..Default::default() }, None).await, [1]);
    assert_eq!(find(MessageFilter { order, customer, state: Some(Waiting) }, None).await, [0; 0]);
}

async fn a_message_that_was_sent_stays_sent(place: Place) {
    let engine = place.open().await;
    let sent = message(1, 1, "alice", MessageState::Sent);
    let unsent = MessageRow { attempts: 0, state: MessageState::Waiting, ..sent.clone() };
    for row in [&unsent, &sent, &unsent] {
        engine.views.save_messages(std::slice::from_ref(row), &Cursor::start()).await.unwrap();
    }
    assert_eq!(engine.views.messages(&MessageFilter::default(), None, 10).await.unwrap(), [sent]);
}

async fn stock_levels_are_those_of_counted_items(place: Place) {
    let engine = place.open().await;
    let level = |item, available, version| StockRow {
        store: StoreId::new(id(1)),
        item: ItemId::new(id(item)),
        available,
        version,
    };
    let rows = [level(1, Some(5), 2), level(1, Some(9), 1), level(2, Some(1), 3), level(2, None, 4)];
    engine.views.save_orders(&[], &rows, &Cursor::start()).await.unwrap();
    assert_eq!(engine.views.stock_levels(StoreId::new(id(1))).await.unwrap(), [level(1, Some(5), 2)]);
    assert_eq!(engine.views.stock_levels(StoreId::new(id(2))).await.unwrap(), []);
}

async fn rebuilt_rows_take_the_place_of_the_old_ones_at_once(place: Place) {
    let engine = place.open().await;
    let mut cursor = Cursor::start();
    cursor.advance(Position { shard: Shard::new(3).unwrap(), position: 5 });
    let stock = StockRow { store: StoreId::new(id(1)), item: ItemId::new(id(1)), available: Some(5), version: 1 };
    engine.views.save_orders(&[row(1, 1), row(2, 2)], std::slice::from_ref(&stock), &cursor).await.unwrap();
    engine.views.save_messages(&[message(1, 1, "alice", MessageState::Sent)], &cursor).await.unwrap();
    let listed = async || numbers(&engine.views.my_page(&alice(), true, None, 10).await.unwrap());

    // Three times: what one leaves behind must not be in the way of the next. An abandoned one neither.
    for kept in [2, 1, 2] {
        engine.views.begin_rebuild().await.unwrap();
        engine.views.save_rebuilt(&[row(9, 1)], &[]).await.unwrap();
        engine.views.begin_rebuild().await.unwrap();
        engine.views.save_rebuilt(&[row(kept, 2), row(kept, 1)], std::slice::from_ref(&stock)).await.unwrap();
        let before = listed().await;
        assert!(!before.contains(&9), "what is being rebuilt is not seen");
        let swapped = engine.views.swap_in_rebuilt().await.unwrap();
        save(&engine, &[row(7, 1)]).await;
        let sums = swapped.checksums().await.unwrap();
        assert!(!sums.agree(), "the old ones had other rows");
        assert_eq!(listed().await, [7, kept]);
        assert_eq!(engine.views.stock_levels(stock.store).await.unwrap(), std::slice::from_ref(&stock));
    }
    assert_eq!(engine.views.cursor(Reader::Messages).await.unwrap(), cursor);
    assert_eq!(engine.views.messages(&MessageFilter::default(), None, 10).await.unwrap().len(), 1);
}

async fn a_rebuild_that_was_left_anywhere_is_in_nobodys_way(place: Place) {
    let mut engine = place.open().await;
    save(&engine, &[row(1, 1)]).await;
    for left_at in 0..6 {
        engine.views.begin_rebuild().await.unwrap();
        if left_at >= 1 {
            engine.views.save_rebuilt(&[row(1, 1)], &[]).await.unwrap();
        }
        if left_at >= 2 {
            // Swapped, and nobody compares the two or throws the old ones away.
            drop(engine.views.swap_in_rebuilt().await.unwrap());
        }
        if left_at % 2 == 1 {
            drop(engine);
            engine = place.open().await;
        }
        engine.views.begin_rebuild().await.unwrap();
        engine.views.save_rebuilt(&[row(1, 1)], &[]).await.unwrap();
        let sums = engine.views.swap_in_rebuilt().await.unwrap().checksums().await.unwrap();
        assert!(sums.agree(), "left at {left_at}: {sums:?}");
        engine.views.drop_leftovers().await.unwrap();
        assert_eq!(numbers(&engine.views.my_page(&alice(), true, None, 10).await.unwrap()), [1]);
    }
}

async fn the_same_rows_have_the_same_checksum(place: Place) {
    let engine = place.open().await;
    let rows = [row(1, 1), row(2, 1), row(3, 4)];
    save(&engine, &rows).await;
    engine.views.begin_rebuild().await.unwrap();
    for row in rows.iter().rev() {
        engine.views.save_rebuilt(std::slice::from_ref(row), &[]).await.unwrap();
    }
    let sums = engine.views.swap_in_rebuilt().await.unwrap().checksums().await.unwrap();
    assert!(sums.agree() && sums.new.len() == 64, "{sums:?}");
}

async fn readers_ahead_of_the_journal_begin_anew(place: Place) {
    let mut engine = place.open().await;
    let committed = append_one(&mut engine.writer, append(1, 0, 2)).await;
    let mut head = Cursor::start();
    head.advance(committed.last);
    let mut ahead = head.clone();
    ahead.advance(Position { position: committed.last.position + 1, ..committed.last });
    let cursors = async |engine: &Engine| {
        let mut cursors = Vec::new();
        for reader in Reader::ALL {
            cursors.push(engine.views.cursor(reader).await.unwrap());
        }
        cursors
    };
    for (saved, then) in [
        (&head, [head.clone(), head.clone(), head.clone()]),
        (&ahead, [Cursor::start(), head.clone(), Cursor::start()]),
    ] {
        engine.views.save_orders(&[row(1, 1)], &[], saved).await.unwrap();
        engine.views.save_messages(&[], saved).await.unwrap();
        engine.views.save_cursor(Reader::KafkaBridge, saved).await.unwrap();
        drop(engine);
        engine = place.open().await;
        assert_eq!(cursors(&engine).await, then);
    }
    assert_eq!(engine.views.my_page(&alice(), true, None, 10).await.unwrap(), [], "the rows are made again");
}

async fn many_rows_are_saved_at_once(place: Place) {
    let engine = place.open().await;
    let rows: Vec<OrderRow> = (0..300).map(|n| row(n, 1)).collect();
    save(&engine, &rows).await;
    assert_eq!(engine.views.my_page(&alice(), true, None, 1_000).await.unwrap().len(), 300);
}

async fn all_orders_are_listed_by_id(place: Place) {
    let engine = place.open().await;
    let past = OrderRow { live: false, submitted: false, ..row(2, 1) };
    save(&engine, &[row(4, 1), row(1, 1), past, row(3, 1)]).await;
    let page = async |after: Option<u128>| {
        let after = after.map(|n| OrderId::new(id(n)));
        numbers(&engine.views.orders_by_id(after, 3).await.unwrap())
    };
    assert_eq!(page(None).await, [1, 2, 3]);
    assert_eq!(page(Some(3)).await, [4]);
    assert_eq!(page(Some(4)).await, [0_u128; 0]);
}
