-- What the stores sell and who carries for them: see migrations/sqlite/journal/0002_catalogue.sql.
create table stores (
    id           uuid             primary key,
    owner        text             not null,
    name         text             not null,
    place_text   text             not null,
    lat          double precision not null,
    lng          double precision not null,
    phone        text,
    policy       text             not null,                     -- JSON: a preset's name, or a preset with other fields
    open         boolean          not null,
    paused_until bigint,                                        -- microseconds since 1970 UTC
    revision     bigint           not null check (revision >= 1),
    created_at   bigint           not null
);

create table menu_items (
    store     uuid    not null references stores (id),
    id        uuid    not null,
    name      text    not null,
    amount    bigint  not null check (amount >= 0),             -- minor units
    currency  text    not null check (length(currency) = 3),
    available boolean not null,
    revision  bigint  not null check (revision >= 1),
    primary key (store, id)
);

create table store_riders (
    store uuid not null references stores (id),
    rider text not null,
    primary key (store, rider)
);
