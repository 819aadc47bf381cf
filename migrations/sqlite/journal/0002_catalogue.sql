-- What the stores sell and who carries for them: read whole at start, changed rarely. It is in the journal's file
-- because it is no less the truth than the events are: an order is priced by it.
-- `revision` counts the changes of a row; a change says which revision it was made on, and loses if that is gone.
create table stores (
    id           blob    primary key not null check (length(id) = 16),
    owner        text    not null,
    name         text    not null,
    place_text   text    not null,
    lat          real    not null,
    lng          real    not null,
    phone        text,
    policy       text    not null,                             -- JSON: a preset's name, or a preset with other fields
    open         integer not null check (open in (0, 1)),
    paused_until integer,                                      -- microseconds since 1970 UTC
    revision     integer not null check (revision >= 1),
    created_at   integer not null
) strict, without rowid;

-- The owner chooses the id of an item, so it is one only within the store.
create table menu_items (
    store     blob    not null references stores (id),
    id        blob    not null check (length(id) = 16),
    name      text    not null,
    amount    integer not null check (amount >= 0),            -- minor units
    currency  text    not null check (length(currency) = 3),
    available integer not null check (available in (0, 1)),
    revision  integer not null check (revision >= 1),
    primary key (store, id)
) strict, without rowid;

create table store_riders (
    store blob not null references stores (id),
    rider text not null,
    primary key (store, rider)
) strict, without rowid;
