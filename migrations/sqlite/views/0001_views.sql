-- What people look at. Everything here is made from the journal, together with the cursor that says how far, in
-- the same transaction. The file is in WAL mode with synchronous=NORMAL: a loss of power may take the last
-- transactions, never half of one, and then the cursor says so and the events are read once more. It is a
-- file of its own so that the journal's write lock, and its syncs, are not waited for here.

create table order_view (
    order_id        blob    primary key not null check (length(order_id) = 16),
    version         integer not null,                          -- of the order; a row only moves forward
    customer        text    not null,
    store           blob    not null check (length(store) = 16),
    rider           text,
    status          text    not null,
    live            integer not null check (live in (0, 1)),
    delivery_status text    not null,
    attention       text,                                      -- why an operator should look; null: no need
    placed_at       integer not null,                          -- microseconds since 1970 UTC
    document        text    not null,                          -- the order as JSON, for whoever may see all of it
    submitted       integer not null check (submitted in (0, 1))  -- an unpaid order is not on the store's board
) strict;

-- Lists are read newest first, page by page. The columns that never change come without an index of their own
-- being touched by an update.
create index order_view_my_page on order_view (customer, live, placed_at desc, order_id desc);
create index order_view_board on order_view (store, placed_at desc, order_id desc);
create index order_view_board_status on order_view (store, status, placed_at desc, order_id desc);
create index order_view_offered on order_view (placed_at desc, order_id desc) where delivery_status = 'offered';
create index order_view_attention on order_view (placed_at desc, order_id desc) where attention is not null;

create table stock_view (
    store     blob    not null check (length(store) = 16),
    item      blob    not null check (length(item) = 16),
    available integer check (available >= 0),                  -- null: not counted any more
    version   integer not null,                                -- of the store's stock; a row only moves forward
    primary key (store, item)
) strict, without rowid;

-- Who was told what. `state` and `attempts` are the sender's own; a row only moves forward in attempts.
-- An order has some ten of them, so this is the busiest table here: one b-tree, in which an order's messages lie together.
create table messages (
    order_id blob    not null check (length(order_id) = 16),
    version  integer not null,                                 -- of the event that is told
    customer text    not null,
    event    text    not null,
    text     text    not null,
    channel  text    not null,
    at       integer not null,                                 -- microseconds since 1970 UTC
    attempts integer not null check (attempts >= 0),
    state    text    not null check (state in ('waiting', 'sent', 'dead')),
    primary key (order_id, version)
) strict, without rowid;

-- Nearly all messages are sent at once, so what is left to do stays small.
create index messages_unsent on messages (state, order_id desc, version desc) where state <> 'sent';

-- How far each reader of the journal has come: 64 positions, one for each shard, as a JSON array.
create table cursors (
    reader text primary key not null,
    marks  text not null
) strict, without rowid;
