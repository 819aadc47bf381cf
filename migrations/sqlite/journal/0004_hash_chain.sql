-- Each event's own hash over itself and the hash of the event before it in its stream: what is changed later shows. Null in
-- events that were written before there were hashes. Without a check: making one would read the whole table.
alter table events add column hash blob;
