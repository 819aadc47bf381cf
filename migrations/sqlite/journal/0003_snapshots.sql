-- A book (a store's stock, a rider's deliveries) as it stood at some of its versions, so that whoever needs it need not
-- fold it from its first entry. A cache: what is lost, wrong or unreadable here is made again from the events. A few are
-- kept of each book, the closer together the newer they are.
create table snapshots (
    stream  blob    not null check (length(stream) = 16),
    version integer not null check (version between 1 and 4294967295),
    at      integer not null,                                  -- microseconds since 1970 UTC: when it was taken
    state   text    not null,                                  -- JSON
    primary key (stream, version)
) strict;
