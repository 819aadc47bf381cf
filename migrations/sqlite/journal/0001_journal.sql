-- The append-only journal: the source of truth. Everything else can be made from it again.
-- The file is written in WAL mode with synchronous=FULL, by one connection.

-- The key is the place in commit order, without a gap: the writer takes one past the largest, and there is one
-- writer. Every batch so fills the last pages of the b-tree, whichever shards its events belong to; keyed by (shard,
-- position) a batch would touch a page for each shard, which was measured a third slower. The price is that a shard's
-- events are not together: see `milestones`. The table keeps its rowid, because rows of about 300 bytes in a b-tree
-- over (stream, version) were measured slower by a third too.
create table events (
    id          integer primary key,
    shard       integer not null check (shard between 0 and 63),
    position    integer not null check (position >= 1),        -- within the shard, without a gap
    stream      blob    not null check (length(stream) = 16),
    version     integer not null check (version between 1 and 4294967295),
    kind        integer not null check (kind in (1, 2, 3)),
    at          integer not null,                              -- microseconds since 1970 UTC
    by_whom     text    not null,
    command     blob    not null check (length(command) = 16),
    fingerprint integer,
    epoch       integer not null,                              -- of the writer, to show afterwards who wrote what
    name        text    not null,
    data        text    not null
) strict;

-- Decides races: of two decisions made on the same version, one is written.
create unique index events_by_stream on events (stream, version);

-- The unique index refuses a version twice; this refuses to leave one out. It is checked here, not by the
-- writer, because here it costs one look-up in an index page that the insert needs anyway.
create trigger events_leave_no_version_out before insert on events when new.version > 1
begin
    select raise(fail, 'events: the version before this one is missing')
     where not exists (select 1 from events where stream = new.stream and version = new.version - 1);
end;

create trigger events_never_change before update on events
begin
    select raise(abort, 'events: what happened does not change');
end;

create trigger events_are_never_deleted before delete on events
begin
    select raise(abort, 'events: what happened does not change');
end;

-- Where the shards stood after the event `id`: a JSON array of 64 positions, every few hundred events. A reader's
-- cursor is 64 positions too, so the last milestone that it has passed in every shard says from where on to look.
create table milestones (
    id    integer primary key,
    marks text    not null
) strict;

-- One row for each shard gives the positions and fences: the statement that takes positions demands the
-- writer's epoch, so a writer that was replaced can write nothing more, however late it wakes up. `owner` tells
-- a writer whose epoch-changing commit was lost on the way whether the row is still its own.
create table shards (
    shard         integer primary key check (shard between 0 and 63),
    epoch         integer not null check (epoch >= 0),
    owner         blob    check (length(owner) = 16),
    next_position integer not null check (next_position >= 1)
) strict;

insert into shards (shard, epoch, next_position)
with recursive numbers (n) as (select 0 union all select n + 1 from numbers where n < 63)
select n, 0, 1 from numbers;

-- Exactly the streams that are not finished: what must be woken at start, and what is due when. A finished
-- stream leaves, so that the size of this table is the live load and not the history.
create table deadlines (
    stream blob    primary key not null check (length(stream) = 16),
    kind   integer not null check (kind in (1, 2, 3)),
    shard  integer not null check (shard between 0 and 63),
    due_at integer                                             -- microseconds since 1970 UTC; null: wakes by a command alone
) strict, without rowid;

-- What was answered to a request with an idempotency key: either a stream at a version, or a status and a body.
-- Written in the transaction of what it answers for. Without rowid because the key is random: one b-tree to
-- touch instead of two.
create table answers (
    key         blob    primary key not null check (length(key) = 16),
    fingerprint integer not null,
    at          integer not null,
    stream      blob    check (length(stream) = 16),
    version     integer,
    status      integer check (status between 100 and 599),
    body        text,
    check ((stream is null) = (version is null)),
    check ((status is null) = (body is null)),
    check ((stream is null) <> (status is null))
) strict, without rowid;

-- Old answers are forgotten oldest first.
create index answers_by_age on answers (at);
