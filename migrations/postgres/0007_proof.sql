-- What is written to find out whether the journal can be written again, after it could not: 64 KiB by chance, over those
-- of the last time. They mean nothing.
create table proof (
    id    integer primary key check (id = 1),
    bytes bytea   not null
);

alter table proof alter column bytes set storage external;

insert into proof (id, bytes) values (1, '');
