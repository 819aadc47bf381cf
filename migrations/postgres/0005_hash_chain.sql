-- See migrations/sqlite/journal/0004_hash_chain.sql.
alter table events add column hash bytea;
