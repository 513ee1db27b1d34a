//! What people read: tables, sizes, and texts of others that a terminal must not act upon.

use std::io::IsTerminal;
use std::time::{SystemTime, UNIX_EPOCH};

use nexus_core::format_byte_size;

/// Colours, on a terminal that wants them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    pub(crate) bold: &'static str,
    pub(crate) dim: &'static str,
    pub(crate) red: &'static str,
    pub(crate) green: &'static str,
    pub(crate) yellow: &'static str,
    pub(crate) plain: &'static str,
}

impl Style {
    /// Those of standard output.
    pub(crate) fn of_output() -> Self {
        if std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
            let (bold, dim, red) = ("\x1b[1m", "\x1b[2m", "\x1b[31m");
            Self { bold, dim, red, green: "\x1b[32m", yellow: "\x1b[33m", plain: "\x1b[0m" }
        } else {
            Self { bold: "", dim: "", red: "", green: "", yellow: "", plain: "" }
        }
    }

    /// An app's state has its colour.
    pub(crate) fn of_state(&self, state: &str) -> &'static str {
        match state {
            "running" => self.green,
            "failed" => self.red,
            "stopped" | "draining" => self.yellow,
            _ => self.dim,
        }
    }
}

/// A table; of the cells of each row those marked `true` in `right` stand at the right. `paint` gives a cell's colour.
pub(crate) fn columns(
    heads: &[&str],
    right: &[bool],
    rows: &[Vec<String>],
    style: Style,
    paint: impl Fn(usize, &str) -> &'static str,
) -> String {
    let width = |at: usize| {
        let cells = rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count());
        cells.chain(heads.get(at).map(|head| head.len())).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    let pad = |at: usize, cell: &str| {
        let space = " ".repeat(widths[at].saturating_sub(cell.chars().count()));
        match right.get(at) {
            Some(true) => (space, String::new()),
            _ => (String::new(), space),
        }
    };
    let mut out = String::from(style.dim);
    let line = |out: &mut String, cells: &[(usize, &str, &'static str)]| {
        let mut text = String::new();
        for (at, cell, color) in cells {
            let (before, after) = pad(*at, cell);
            let end = if color.is_empty() { "" } else { style.plain };
            let gap = if *at == 0 { "" } else { "   " };
            text.push_str(&format!("{gap}{before}{color}{cell}{end}{after}"));
        }
        out.push_str(text.trim_end());
        out.push('\n');
    };
    let cells: Vec<(usize, &str, &'static str)> =
        heads.iter().enumerate().map(|(at, head)| (at, *head, "")).collect();
    line(&mut out, &cells);
    out.insert_str(out.len() - 1, style.plain);
    for row in rows {
        let cells: Vec<(usize, &str, &'static str)> =
            row.iter().enumerate().map(|(at, cell)| (at, cell.as_str(), paint(at, cell))).collect();
        line(&mut out, &cells);
    }
    out
}

/// A size for people: in the largest unit in which it has three digits at most.
pub(crate) fn bytes(bytes: u64) -> String {
    match bytes {
        0..1024 => format_byte_size(bytes),
        1024..1_048_576 => format!("{:.1} KB", bytes as f64 / 1024.0),
        1_048_576..1_073_741_824 => format!("{:.1} MB", bytes as f64 / 1_048_576.0),
        _ => format!("{:.2} GB", bytes as f64 / 1_073_741_824.0),
    }
}

/// How long ago that was, in seconds since 1970.
pub(crate) fn since(then: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    match now.saturating_sub(then) {
        seconds @ 0..120 => format!("{seconds} s ago"),
        seconds @ 120..7200 => format!("{} min ago", seconds / 60),
        seconds @ 7200..172_800 => format!("{} h ago", seconds / 3600),
        seconds => format!("{} days ago", seconds / 86_400),
    }
}

/// Somebody else's text without what a terminal acts upon; lines stay lines.
pub(crate) fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' => out.push(c),
            c if steers(c) => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    out
}

/// Controls (C0, DEL, C1), line separators, and what turns the direction of text.
fn steers(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{61c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Style = Style { bold: "", dim: "", red: "", green: "", yellow: "", plain: "" };

    #[test]
    fn a_tables_columns_are_as_wide_as_their_widest_cell() {
        let row = |a: &str, b: &str| vec![a.to_owned(), b.to_owned()];
        let rows = [row("shop", "1"), row("a", "100")];
        let text = columns(&["APP", "N"], &[false, true], &rows, NONE, |_, _| "");
        assert_eq!(text, "APP      N\nshop     1\na      100\n");
    }

    #[test]
    fn sizes_and_texts_are_for_people() {
        assert_eq!((bytes(0), bytes(1536)), ("0 B".into(), "1.5 KB".into()));
        assert_eq!((bytes(5 << 20), bytes(3 << 30)), ("5.0 MB".into(), "3.00 GB".into()));
        assert_eq!(plain("a\u{1b}[31m\nb\t\u{9b}"), "a\\u{1b}[31m\nb\t\\u{9b}");
        for turning in
            ['\u{61c}', '\u{200e}', '\u{200f}', '\u{202a}', '\u{202e}', '\u{2066}', '\u{2069}', '\u{2028}']
        {
            assert_eq!(plain(&format!("a{turning}b")), format!("a\\u{{{:x}}}b", u32::from(turning)));
        }
        assert_eq!(plain("äß☃ 🙂"), "äß☃ 🙂");
        assert!(since(0).ends_with("days ago") && since(u64::MAX) == "0 s ago");
    }
}
