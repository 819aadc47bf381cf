-- What the sandbox payment provider has done. A provider keeps its own books; the sandbox keeps them where the journal is,
-- because orders believe what they were told, and whoever moves the database must not leave the money behind. Nothing
-- else reads it.
create table sandbox_ledger (
    key       uuid   primary key,   -- of the request: under one key a thing is done once
    of_key    uuid   not null,      -- of the authorization or purchase that it is about; its own for those two
    order_id  uuid   not null,
    operation text   not null,
    amount    bigint not null
);

create index sandbox_ledger_order on sandbox_ledger (order_id);
