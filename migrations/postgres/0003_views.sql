-- What people look at, made from the journal: see migrations/sqlite/views/0001_views.sql. It is in the journal's
-- database because this engine has no write lock that the two would wait for. Rows are written again and again while an
-- order is under way: half a page of room keeps the versions of a row together.
create table order_view (
    order_id        uuid    primary key,
    version         bigint  not null,                           -- of the order; a row only moves forward
    customer        text    not null,
    store           uuid    not null,
    rider           text,
    status          text    not null,
    live            boolean not null,
    delivery_status text    not null,
    attention       text,                                       -- why an operator should look; null: no need
    placed_at       bigint  not null,                           -- microseconds since 1970 UTC
    document        text    not null,                           -- the order as JSON, for whoever may see all of it
    submitted       boolean not null                            -- an unpaid order is not on the store's board
) with (fillfactor = 50);

create index order_view_my_page on order_view (customer, live, placed_at desc, order_id desc);
create index order_view_board on order_view (store, placed_at desc, order_id desc);
create index order_view_board_status on order_view (store, status, placed_at desc, order_id desc);
create index order_view_offered on order_view (placed_at desc, order_id desc) where delivery_status = 'offered';
create index order_view_attention on order_view (placed_at desc, order_id desc) where attention is not null;

create table stock_view (
    store     uuid   not null,
    item      uuid   not null,
    available bigint check (available >= 0),                    -- null: not counted any more
    version   bigint not null,                                  -- of the store's stock; a row only moves forward
    primary key (store, item)
) with (fillfactor = 50);

create table messages (
    order_id uuid   not null,
    version  bigint not null,                                   -- of the event that is told
    customer text   not null,
    event    text   not null,
    text     text   not null,
    channel  text   not null,
    at       bigint not null,                                   -- microseconds since 1970 UTC
    attempts bigint not null check (attempts >= 0),
    state    text   not null check (state in ('waiting', 'sent', 'dead')),
    primary key (order_id, version)
);

create index messages_unsent on messages (state, order_id desc, version desc) where state <> 'sent';

-- How far each reader of the journal has come: 64 positions, one for each shard.
create table cursors (
    reader text     primary key,
    marks  bigint[] not null check (array_length(marks, 1) = 64)
) with (fillfactor = 10);
