//! The statements of a batch as texts that are sent whole.
//!
//! One text for each number of rows, so that SQLite's statement cache knows them all: a text costs about a third of a
//! millisecond when it is first seen, some 40 KB afterwards, and a hop to SQLite's thread each time.

use std::sync::OnceLock;

/// The most rows of one text. Beyond, the rows themselves are nearly all of the cost.
pub(super) const ROWS: usize = 128;

/// How many texts there can be, for the size of the statement cache: alone or as the last part in each number of
/// rows, and the first and the middle parts, which are always full.
pub(super) const TEXTS: usize = 2 * ROWS + 2;

pub(super) const COLUMNS: usize = 13;

/// `or fail`, here and below: a refused row ends in a rollback of it all, so SQLite need not keep what it takes to undo one
/// statement.
const INSERT: &str = "insert or fail into events
     (shard, position, stream, version, kind, at, by_whom, command, fingerprint, epoch, name, data, hash) values ";

/// What follows the rows. The first statement takes as many positions of each shard as were given out, and demands that
/// shard and epoch still stand where this writer left them: otherwise the position becomes null, which the table
/// refuses, and with it the whole batch.
const REST: &str = ";
update or fail shards
   set next_position = case when epoch = $EPOCH and next_position = (j.value ->> 1) then next_position + (j.value ->> 2) end
  from json_each($TAKEN) j where shard = (j.value ->> 0);
insert or fail into answers (key, fingerprint, at, stream, version)
select unhex(value ->> 0), value ->> 1, value ->> 2, unhex(value ->> 3), value ->> 4 from json_each($ANSWERS);
insert into milestones (id, marks) select $MILESTONE, $MARKS where $MILESTONE is not null;
insert into deadlines (stream, kind, shard, due_at)
select unhex(value ->> 0), value ->> 1, value ->> 2, value ->> 3 from json_each($OPEN) where true
    on conflict (stream) do update set due_at = excluded.due_at;
delete from deadlines where stream in (select unhex(value) from json_each($CLOSED));
commit";

/// The parameters of [`REST`], in the sequence in which they are bound.
pub(super) const PARAMETERS: [&str; 7] = ["$TAKEN", "$EPOCH", "$ANSWERS", "$MILESTONE", "$MARKS", "$OPEN", "$CLOSED"];

/// Which text: what it has around its rows.
#[derive(Clone, Copy)]
pub(super) struct Text {
    pub(super) begins: bool,
    pub(super) rows: usize,
    pub(super) ends: bool,
}

impl Text {
    pub(super) fn get(self) -> &'static str {
        static TEXTS: [[OnceLock<String>; ROWS]; 4] = [const { [const { OnceLock::new() }; ROWS] }; 4];
        let kind = usize::from(self.begins) * 2 + usize::from(self.ends);
        TEXTS[kind][self.rows - 1].get_or_init(|| self.make())
    }

    fn make(self) -> String {
        let row = format!("({})", ["?"; COLUMNS].join(", "));
        let begin = if self.begins { "begin immediate; " } else { "" };
        let rest = if self.ends { rest_after(self.rows * COLUMNS) } else { String::new() };
        format!("{begin}{INSERT}{}{rest}", vec![row; self.rows].join(", "))
    }
}

/// Named parameters stand for places in one list of values, which begins with those of the rows.
fn rest_after(values: usize) -> String {
    PARAMETERS
        .iter()
        .enumerate()
        .fold(REST.to_owned(), |text, (n, name)| text.replace(name, &format!("${}", values + n + 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_values_of_the_rest_come_after_those_of_the_rows() {
        let text = Text { begins: true, rows: 2, ends: true }.get();
        assert_eq!(text.matches('?').count(), 2 * COLUMNS);
        for n in 1..=PARAMETERS.len() {
            assert!(text.contains(&format!("${}", 2 * COLUMNS + n)), "{n} in {text}");
        }
        assert!(text.starts_with("begin immediate; ") && text.ends_with("commit"));
    }
}
