-- The append-only journal: the source of truth. Everything else can be made from it again. The tables and columns are
-- those of migrations/sqlite, and what is said there about them holds here; said here is what differs.

-- `id` is the place in commit order, without a gap. The writer counts it; no sequence does, because a sequence keeps the
-- numbers of what was rolled back. The text of an event stays text: jsonb costs a quarter of the throughput, and takes
-- no \u0000.
create table events (
    id          bigint   not null,
    position    bigint   not null check (position >= 1),        -- within the shard, without a gap
    at          bigint   not null,                              -- microseconds since 1970 UTC
    version     bigint   not null check (version between 1 and 4294967295),
    fingerprint bigint,
    epoch       bigint   not null,                              -- of the writer, to show afterwards who wrote what
    stream      uuid     not null,
    command     uuid     not null,
    shard       smallint not null check (shard between 0 and 63),
    kind        smallint not null check (kind in (1, 2, 3)),
    by_whom     text     not null,
    name        text     not null,
    data        text     not null,
    constraint events_by_id primary key (id),
    -- Decides races: of two decisions made on the same version, one is written. That no version is left out is checked
    -- by the statement that appends; a trigger for each row would cost more than all else.
    constraint events_by_stream unique (stream, version)
);

create function refuse_to_change_what_happened() returns trigger language plpgsql as
$$ begin raise exception 'events: what happened does not change'; end $$;

create trigger events_never_change before update or delete or truncate on events
    for each statement execute function refuse_to_change_what_happened();

-- Where the shards stood after the event `id`: 64 positions.
create table milestones (
    id    bigint   primary key,
    marks bigint[] not null check (array_length(marks, 1) = 64)
);

-- One row for each shard gives the positions and fences. A writer that asks for positions under another epoch is given
-- the position 0, which the constraint refuses: so its whole statement fails, whatever else is in it.
-- Every append writes some of these rows anew: room in the page lets the old versions be cleared away on the spot.
create table shards (
    shard         smallint primary key check (shard between 0 and 63),
    epoch         bigint   not null check (epoch >= 0),
    owner         uuid,
    next_position bigint   not null constraint shards_give_positions_to_their_owner check (next_position >= 1)
) with (fillfactor = 10);

insert into shards (shard, epoch, next_position) select n, 0, 1 from generate_series(0, 63) n;

-- Exactly the streams that are not finished. No index holds `due_at`, so that an order whose deadline moves is changed
-- in its page.
create table deadlines (
    stream uuid     primary key,
    kind   smallint not null check (kind in (1, 2, 3)),
    shard  smallint not null check (shard between 0 and 63),
    due_at bigint                                               -- microseconds since 1970 UTC; null: wakes by a command alone
) with (fillfactor = 50);

create table answers (
    key         uuid     primary key,
    fingerprint bigint   not null,
    at          bigint   not null,
    stream      uuid,
    version     bigint,
    status      smallint check (status between 100 and 599),
    body        text,
    check ((stream is null) = (version is null)),
    check ((status is null) = (body is null)),
    check ((stream is null) <> (status is null))
);

-- Old answers are forgotten oldest first.
create index answers_by_age on answers (at);
