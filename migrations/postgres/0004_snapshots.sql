-- Books as they stood at some of their versions: see migrations/sqlite/journal/0003_snapshots.sql.
create table snapshots (
    stream  uuid   not null,
    version bigint not null check (version between 1 and 4294967295),
    at      bigint not null,                                    -- microseconds since 1970 UTC: when it was taken
    state   text   not null,                                    -- JSON
    primary key (stream, version)
);
