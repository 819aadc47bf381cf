//! A report for people.

use std::fmt::{self, Display, Formatter, Write as _};

use super::report::{CommandFigures, Report, Times, Verdict};

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let orders = &self.orders;
        match orders.offered_per_s {
            Some(rate) => writeln!(
                f,
                "open loop, {rate} orders/s offered for {:.1} s; times are from the intended moment",
                self.measured_s
            )?,
            None => writeln!(
                f,
                "closed loop, measured for {:.1} s; it waits for the server, so its times are those of patient people",
                self.measured_s
            )?,
        }
        writeln!(f, "mix {} (seed {})\n", self.mix, self.seed)?;
        heading(f)?;
        for figures in &self.commands {
            row(f, figures)?;
        }
        writeln!(
            f,
            "\norders     {:>9} wished   {:>9.1}/s placed   {:>9.1}/s brought to their end   {:.1}/s commands",
            orders.wished, orders.placed_per_s, orders.finished_per_s, self.commands_per_s
        )?;
        writeln!(
            f,
            "available  {:>8.3}% at once   {:>8.3}% in the end   {:>6} payments deferred   {:>6} left half-way",
            orders.available_at_once * 100.0,
            orders.available * 100.0,
            orders.deferred,
            orders.left_half_way
        )?;
        counts(f, "refused", &self.refused)?;
        if !self.refused.is_empty() {
            writeln!(f, "           {}", times("to refuse", &self.to_refuse))?;
        }
        counts(f, "unknown", &self.unknown)?;
        counts(f, "denied", &self.denied)?;
        self.promises(f)?;
        let bound = self.late_at_most_ms;
        writeln!(f, "{} (may be {bound} 99 times in 100)", times("generator late by", &self.lateness))?;
        match self.verdict {
            Verdict::Good => writeln!(f, "\nGOOD: every promise that was looked at was kept."),
            Verdict::Broken => writeln!(f, "\nBROKEN: {}.", self.because.join("; ")),
            Verdict::Invalid => writeln!(f, "\nINVALID, believe none of it: {}.", self.because.join("; ")),
        }
    }
}

impl Report {
    fn promises(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let checked = &self.checked;
        writeln!(
            f,
            "checked    {:>9} wishes   {} orders listed   {} lost   {} duplicated   {} refused yet there   {} set back   \
             {} unresolved   lists right after {:.1} s",
            checked.wishes,
            checked.listed,
            checked.lost,
            checked.duplicated,
            checked.refused_yet_there,
            checked.set_back,
            checked.unresolved,
            checked.lists_took_s
        )?;
        let Some(watchers) = &self.watchers else { return Ok(()) };
        writeln!(
            f,
            "watchers   {:>9} of them   {} frames   {} gaps   {} repeats   {} ends missing   {} reconnects",
            watchers.watchers, watchers.frames, watchers.gaps, watchers.repeats, watchers.missing, watchers.reconnects
        )?;
        writeln!(f, "           {}", times("event to frame", &watchers.delay))
    }
}

fn heading(f: &mut Formatter<'_>) -> fmt::Result {
    writeln!(
        f,
        "{:<19}{:>9}{:>8}{:>9}{:>9}{:>10}{:>9}{:>9}{:>9}{:>9}",
        "", "done", "denied", "refused", "unknown", "p50 ms", "p90", "p99", "p99.9", "max"
    )
}

fn row(f: &mut Formatter<'_>, figures: &CommandFigures) -> fmt::Result {
    let CommandFigures { command, done, denied, refused, unknown, took, .. } = figures;
    writeln!(
        f,
        "{command:<19}{done:>9}{denied:>8}{refused:>9}{unknown:>9}{:>10.2}{:>9.2}{:>9.2}{:>9.2}{:>9.2}",
        took.p50, took.p90, took.p99, took.p999, took.max
    )
}

fn counts(f: &mut Formatter<'_>, what: &str, counts: &std::collections::BTreeMap<String, u64>) -> fmt::Result {
    if counts.is_empty() {
        return Ok(());
    }
    let each: Vec<String> = counts.iter().map(|(kind, count)| format!("{count} x {kind}")).collect();
    writeln!(f, "{what:<10} {}", each.join("   "))
}

fn times(what: &str, times: &Times) -> String {
    let mut text = String::new();
    let Times { p50, p99, p999, max, .. } = times;
    let written = write!(text, "{what}: p50 {p50:.2} ms, p99 {p99:.2}, p99.9 {p999:.2}, max {max:.2}");
    written.expect("a text takes all");
    text
}
