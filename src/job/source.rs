//! The text a person wrote, in a file or behind a flag, and places in it.
//!
//! Must not know: what the text means.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use serde::Serialize;
use unicode_width::UnicodeWidthChar;

/// A tab is drawn as this many blanks, as the compilers do, so that carets stay under their text.
const TAB: &str = "    ";

/// Where something was written: `jobs/x.toml:7:13`, or `--set`. Lines and columns count from 1, columns in
/// characters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Place(String);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One text that a person wrote.
#[derive(Debug)]
pub(super) enum Source {
    /// A file: its lines have numbers.
    File { path: String, text: String },
    /// A flag of the command line and its value.
    Flag { name: String, text: String },
}

/// A place in a source, or the whole of it.
#[derive(Clone, Debug)]
pub(super) struct Spot {
    source: Arc<Source>,
    span: Option<Range<usize>>,
}

/// One line of a source as it is drawn, and what is underlined in it, both in columns of the terminal.
#[derive(Clone, Debug)]
pub(super) struct Excerpt {
    pub(super) line_no: Option<usize>,
    pub(super) line: String,
    pub(super) indent: usize,
    pub(super) width: usize,
}

impl Source {
    fn text(&self) -> &str {
        match self {
            Self::File { text, .. } | Self::Flag { text, .. } => text,
        }
    }
}

impl Spot {
    /// The whole source, for what cannot be pointed at because it is missing.
    pub(super) fn whole(source: &Arc<Source>) -> Self {
        Self { source: Arc::clone(source), span: None }
    }

    /// The bytes of `span`. A span that does not fit the text is moved to the nearest character that does.
    pub(super) fn at(source: &Arc<Source>, span: &Range<usize>) -> Self {
        let start = floor_char_boundary(source.text(), span.start);
        let end = floor_char_boundary(source.text(), span.end).max(start);
        Self { source: Arc::clone(source), span: Some(start..end) }
    }

    /// A flag and the whole of its value.
    pub(super) fn flag(name: &str, text: &str) -> Self {
        let source = Arc::new(Source::Flag { name: name.to_owned(), text: text.to_owned() });
        if text.is_empty() {
            return Self::whole(&source);
        }
        Self::at(&source, &(0..text.len()))
    }

    /// A part of the same source.
    pub(super) fn part(&self, span: &Range<usize>) -> Self {
        Self::at(&self.source, span)
    }

    /// First byte; what has no place of its own comes last.
    pub(super) fn start(&self) -> usize {
        self.span.as_ref().map_or(usize::MAX, |span| span.start)
    }

    /// The line, from 1; none for a whole source.
    pub(super) fn line_no(&self) -> Option<usize> {
        let start = self.span.as_ref()?.start;
        Some(1 + self.source.text()[..start].matches('\n').count())
    }

    /// Where this is, in words.
    pub(super) fn place(&self) -> Place {
        Place(match (&*self.source, self.line_no()) {
            (Source::Flag { name, .. }, _) => name.clone(),
            (Source::File { path, .. }, None) => path.clone(),
            (Source::File { path, .. }, Some(line_no)) => format!("{path}:{line_no}:{}", self.column()),
        })
    }

    /// The line with what is underlined. Of a span over several lines only the first is drawn.
    pub(super) fn excerpt(&self) -> Option<Excerpt> {
        let span = self.span.clone()?;
        let text = self.source.text();
        let line_start = self.line_start();
        let line_end = text[line_start..].find('\n').map_or(text.len(), |at| line_start + at);
        let shown_end = span.end.min(line_end);
        Some(Excerpt {
            line_no: match &*self.source {
                Source::File { .. } => self.line_no(),
                Source::Flag { .. } => None,
            },
            line: drawn(text[line_start..line_end].trim_end_matches('\r')),
            indent: width(&text[line_start..span.start]),
            width: width(&text[span.start..shown_end.max(span.start)]).max(1),
        })
    }

    fn line_start(&self) -> usize {
        let start = self.span.as_ref().map_or(0, |span| span.start);
        self.source.text()[..start].rfind('\n').map_or(0, |at| at + 1)
    }

    fn column(&self) -> usize {
        let start = self.span.as_ref().map_or(0, |span| span.start);
        1 + self.source.text()[self.line_start()..start].chars().count()
    }
}

fn floor_char_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// The text as a terminal may show it: no tab, and nothing that could move the cursor or turn the direction
/// of reading.
pub(super) fn drawn(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\t' => out.push_str(TAB),
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => out.push(char::REPLACEMENT_CHARACTER),
            c if c.is_control() => out.push(char::REPLACEMENT_CHARACTER),
            c => out.push(c),
        }
    }
    out
}

fn width(text: &str) -> usize {
    drawn(text).chars().filter_map(UnicodeWidthChar::width).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spot(text: &str, span: Range<usize>) -> Spot {
        let source = Arc::new(Source::File { path: "x.toml".into(), text: text.into() });
        Spot::at(&source, &span)
    }

    #[test]
    fn the_column_counts_characters_and_the_indent_counts_cells() {
        let spot = spot("a\n\t日本 x", 10..11);
        assert_eq!(spot.place().to_string(), "x.toml:2:5");
        let excerpt = spot.excerpt().unwrap();
        assert_eq!((excerpt.indent, excerpt.width), (4 + 4 + 1, 1));
        assert_eq!(excerpt.line, "    日本 x");
    }

    #[test]
    fn a_span_inside_a_character_or_behind_the_end_is_moved_not_a_panic() {
        assert_eq!(spot("日", 1..2).place().to_string(), "x.toml:1:1");
        assert_eq!(spot("a\n", 9..12).place().to_string(), "x.toml:2:1");
    }

    #[test]
    fn of_a_span_over_lines_only_the_first_is_underlined() {
        let excerpt = spot("a = '''\nlong\n'''", 4..16).excerpt().unwrap();
        assert_eq!((excerpt.line.as_str(), excerpt.width), ("a = '''", 3));
    }

    #[test]
    fn an_escape_sequence_in_the_file_never_reaches_the_terminal() {
        assert_eq!(drawn("a\u{1b}[31m\u{202e}b"), "a\u{fffd}[31m\u{fffd}b");
    }
}
