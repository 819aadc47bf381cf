//! The way of a log line to standard error: a queue, and a thread of its own that writes.
//!
//! Somebody else reads the log: a pipe whose reader has gone or sleeps, a disk that is full. None of that may stop or end
//! what is logged about. Whoever logs a line only queues it. A line that finds the queue full, or cannot be written, is
//! dropped and counted (`log_lines_lost_total`); the next one that can be written comes after one that says how many
//! were lost.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// Bytes that wait to be written: some 20,000 lines, more than a server logs at `info` while its log is rotated.
const MAX_QUEUED: usize = 4 * 1024 * 1024;

/// How often a descriptor that does not block is tried again while its reader sleeps.
const RETRY_DELAY: Duration = Duration::from_millis(20);

/// Says how many lines were lost, as a line of the log.
pub(super) type Notice = fn(u64) -> String;

#[derive(Clone)]
pub(super) struct LogWriter(Arc<Shared>);

struct Shared {
    queue: Mutex<Queue>,
    /// There is something to write.
    more: Condvar,
    /// Everything was written, or given up.
    idle: Condvar,
}

#[derive(Default)]
struct Queue {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    /// The thread has a line in hand.
    writing: bool,
    /// Lines that were dropped and not told of yet.
    lost: u64,
}

impl LogWriter {
    /// Starts the thread that writes. It lives as long as the process.
    pub(super) fn start(out: impl Write + Send + 'static, notice: Notice) -> io::Result<Self> {
        let shared = Arc::new(Shared { queue: Mutex::default(), more: Condvar::new(), idle: Condvar::new() });
        let writing = shared.clone();
        thread::Builder::new().name("log".into()).spawn(move || writing.write_all(out, notice))?;
        Ok(Self(shared))
    }

    /// Waits until everything that was logged is written or lost, at most so long: the reader may sleep for ever.
    pub(super) fn flush(&self, within: Duration) {
        let queue = self.0.lock();
        let busy = |queue: &mut Queue| queue.writing || !queue.lines.is_empty();
        drop(self.0.idle.wait_timeout_while(queue, within, busy));
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, line: Vec<u8>) {
        let mut queue = self.lock();
        if queue.bytes + line.len() > MAX_QUEUED {
            queue.lose();
            return;
        }
        queue.bytes += line.len();
        queue.lines.push_back(line);
        drop(queue);
        self.more.notify_one();
    }

    fn write_all(&self, mut out: impl Write, notice: Notice) {
        let mut cut_short = false;
        loop {
            let (line, lost) = self.next();
            let mut text = Vec::with_capacity(line.len());
            if cut_short {
                text.push(b'\n');
            }
            if lost > 0 {
                text.extend(notice(lost).into_bytes());
            }
            text.extend(line);
            match write_whole(&mut out, &text) {
                Ok(()) => {
                    cut_short = false;
                    self.lock().lost -= lost;
                }
                Err(written) => {
                    cut_short |= written > 0;
                    self.lock().lose();
                }
            }
        }
    }

    /// The next line, and how many were lost before it.
    fn next(&self) -> (Vec<u8>, u64) {
        let mut queue = self.lock();
        queue.writing = false;
        loop {
            if let Some(line) = queue.lines.pop_front() {
                queue.bytes -= line.len();
                queue.writing = true;
                return (line, queue.lost);
            }
            self.idle.notify_all();
            queue = self.more.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Queue {
    fn lose(&mut self) {
        self.lost += 1;
        metrics::counter!("log_lines_lost_total").increment(1);
    }
}

/// All of it, or how much of it was written before it failed.
fn write_whole(out: &mut impl Write, text: &[u8]) -> Result<(), usize> {
    let mut written = 0;
    while written < text.len() {
        match out.write(&text[written..]) {
            Ok(0) => return Err(written),
            Ok(more) => written += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(RETRY_DELAY),
            Err(_) => return Err(written),
        }
    }
    Ok(())
}

/// One line, on its way when it is dropped.
pub(super) struct Line {
    text: Vec<u8>,
    shared: Arc<Shared>,
}

impl Write for Line {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if !self.text.is_empty() {
            self.shared.push(std::mem::take(&mut self.text));
        }
    }
}

impl MakeWriter<'_> for LogWriter {
    type Writer = Line;

    fn make_writer(&self) -> Line {
        Line { text: Vec::new(), shared: self.0.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    /// Somewhere to write that takes what the test lets it take.
    #[derive(Clone, Default)]
    struct Paper(Arc<(Mutex<State>, Condvar)>);

    #[derive(Default)]
    struct State {
        written: String,
        full: bool,
        stuck: bool,
    }

    impl Paper {
        fn set(&self, change: impl FnOnce(&mut State)) {
            change(&mut self.0.0.lock().unwrap());
            self.0.1.notify_all();
        }

        fn written(&self) -> String {
            self.0.0.lock().unwrap().written.clone()
        }
    }

    impl Write for Paper {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            let mut state = self.0.1.wait_while(self.0.0.lock().unwrap(), |state| state.stuck).unwrap();
            if state.full {
                return Err(ErrorKind::BrokenPipe.into());
            }
            state.written.push_str(std::str::from_utf8(text).unwrap());
            Ok(text.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn log_on(paper: &Paper) -> LogWriter {
        LogWriter::start(paper.clone(), |lost| format!("{lost} lost\n")).unwrap()
    }

    fn log(writer: &LogWriter, text: &str) {
        writeln!(writer.make_writer(), "{text}").unwrap();
    }

    #[test]
    fn lines_are_written_whole_and_in_sequence() {
        let paper = Paper::default();
        let writer = log_on(&paper);
        let lines: Vec<String> = (0..500).map(|n| format!("line {n}")).collect();
        lines.iter().for_each(|line| log(&writer, line));
        writer.flush(LONG);
        assert_eq!(paper.written().lines().collect::<Vec<_>>(), lines);
    }

    #[test]
    fn what_cannot_be_written_is_lost_and_told_once_it_can() {
        let paper = Paper::default();
        let writer = log_on(&paper);
        log(&writer, "before");
        writer.flush(LONG);
        paper.set(|state| state.full = true);
        ["one", "two", "three"].iter().for_each(|line| log(&writer, line));
        writer.flush(LONG);
        paper.set(|state| state.full = false);
        ["after", "later"].iter().for_each(|line| log(&writer, line));
        writer.flush(LONG);
        assert_eq!(paper.written(), "before\n3 lost\nafter\nlater\n");
    }

    #[test]
    fn a_reader_that_sleeps_holds_nobody_up_and_takes_bounded_memory() {
        let paper = Paper::default();
        let writer = log_on(&paper);
        paper.set(|state| state.stuck = true);
        let line = "x".repeat(1023);
        let room = MAX_QUEUED / 1024;
        (0..2 * room).for_each(|_| log(&writer, &line));
        writer.flush(Duration::from_millis(1));
        assert!(writer.0.lock().bytes <= MAX_QUEUED);

        paper.set(|state| state.stuck = false);
        writer.flush(LONG);
        log(&writer, "last");
        writer.flush(LONG);

        let written = paper.written();
        let lines = written.lines().filter(|text| *text == line).count();
        // The thread may have had one in hand.
        assert!((room..=room + 1).contains(&lines), "{lines} of {room}");
        let told: usize = written.lines().filter_map(|text| text.strip_suffix(" lost")?.parse::<usize>().ok()).sum();
        assert_eq!(lines + told, 2 * room);
    }
}
