//! Regular expressions whose named groups are the fields of a record.
//!
//! Finding where every group of a long expression begins and ends costs far more than finding that
//! the line matches. So the groups that nobody asks for are taken out of the expression before it
//! is compiled for use: what stands in them must still match, but is neither found nor allocated.

mod record;
mod straight;

use regex::{CaptureLocations, Regex};
use regex_syntax::ast::{self, Ast};
use straight::{Found, Straight, UNSET};

pub(crate) use record::{Refused, record};

/// A compiled expression and the names of its groups.
#[derive(Debug, Clone)]
pub struct Pattern {
    regex: Regex,
    /// The same expression, where it can be matched straight on.
    straight: Option<Straight>,
    /// Names and numbers of the named groups, in the order in which they open.
    groups: Vec<(String, usize)>,
}

/// What matching line after line needs: a copy of the expression, whose caches nobody else waits
/// for, and room for the places of the groups.
#[derive(Debug, Clone)]
pub struct Matcher {
    regex: Regex,
    locations: CaptureLocations,
    /// Where groups begin and end, when the match was found straight on.
    slots: Vec<usize>,
    is_straight: bool,
}

impl Pattern {
    /// Compiles an expression.
    ///
    /// # Errors
    /// What is wrong with it, or that it has no named group.
    pub fn new(expression: &str) -> Result<Pattern, String> {
        let pattern = Pattern::compiled(expression)?;
        if pattern.groups.is_empty() {
            return Err(format!(
                "the pattern {expression:?} has no named group; write (?<name>...) around what \
                 becomes a field"
            ));
        }
        Ok(pattern)
    }

    fn compiled(expression: &str) -> Result<Pattern, String> {
        let regex = Regex::new(expression).map_err(|error| error.to_string())?;
        let named = regex.capture_names().enumerate();
        let groups = named
            .filter_map(|(number, name)| Some((name?.to_owned(), number)))
            .collect();
        let straight = Straight::of(expression);
        Ok(Pattern {
            regex,
            straight,
            groups,
        })
    }

    /// The pattern that matches the same lines, and finds no groups but these.
    ///
    /// # Errors
    /// When the expression without the other groups cannot be compiled.
    pub fn narrowed(&self, keep: impl Fn(&str) -> bool) -> Result<Pattern, String> {
        let parsed = ast::parse::Parser::new().parse(self.regex.as_str());
        let mut ast = parsed.map_err(|error| error.to_string())?;
        release(&mut ast, &keep);
        Pattern::compiled(&ast.to_string())
    }

    /// The names of the groups, in the order in which they open.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.groups.iter().map(|(name, _)| name.as_str())
    }

    /// Room for the places of a match, to be used for every line of a thread.
    pub fn matcher(&self) -> Matcher {
        Matcher {
            regex: self.regex.clone(),
            locations: self.regex.capture_locations(),
            slots: Vec::new(),
            is_straight: false,
        }
    }

    /// Matches a line, and says whether it does; [`Pattern::group`] then gives its parts.
    #[inline]
    pub fn read(&self, line: &str, matcher: &mut Matcher) -> bool {
        let Matcher {
            regex,
            locations,
            slots,
            is_straight,
        } = matcher;
        let found = self.straight.as_ref();
        let found = found.map_or(Found::Unsure, |straight| straight.read(line, slots));
        *is_straight = found != Found::Unsure;
        if *is_straight {
            return found == Found::Match;
        }
        match self.groups.is_empty() {
            true => regex.is_match(line),
            false => regex.captures_read(locations, line).is_some(),
        }
    }

    /// The part of the line that a group matched (by its place in [`Pattern::names`]); `None` when
    /// the match does not use the group.
    #[inline]
    pub fn group<'l>(&self, group: usize, line: &'l str, matcher: &Matcher) -> Option<&'l str> {
        let (_, number) = self.groups.get(group)?;
        let (start, end) = match matcher.is_straight {
            true => {
                let places = matcher.slots.get(2 * number..2 * number + 2)?;
                (places[0] != UNSET).then_some((places[0], places[1]))?
            }
            false => matcher.locations.get(*number)?,
        };
        line.get(start..end)
    }
}

/// Makes groups that are not kept into parentheses that only hold together.
fn release(ast: &mut Ast, keep: &impl Fn(&str) -> bool) {
    match ast {
        Ast::Group(group) => {
            let kept = match &group.kind {
                ast::GroupKind::CaptureName { name, .. } => keep(&name.name),
                ast::GroupKind::CaptureIndex(_) => false,
                ast::GroupKind::NonCapturing(_) => true,
            };
            if !kept {
                let (span, items) = (group.span, Vec::new());
                group.kind = ast::GroupKind::NonCapturing(ast::Flags { span, items });
            }
            release(&mut group.ast, keep);
        }
        Ast::Repetition(repeated) => release(&mut repeated.ast, keep),
        Ast::Alternation(parts) => parts.asts.iter_mut().for_each(|ast| release(ast, keep)),
        Ast::Concat(parts) => parts.asts.iter_mut().for_each(|ast| release(ast, keep)),
        Ast::Empty(_)
        | Ast::Flags(_)
        | Ast::Literal(_)
        | Ast::Dot(_)
        | Ast::Assertion(_)
        | Ast::ClassUnicode(_)
        | Ast::ClassPerl(_)
        | Ast::ClassBracketed(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(pattern: &Pattern, line: &str) -> Option<Vec<(String, Option<String>)>> {
        let mut matcher = pattern.matcher();
        pattern.read(line, &mut matcher).then(|| {
            let part = |(group, name): (usize, &str)| {
                let text = pattern.group(group, line, &matcher);
                (name.to_owned(), text.map(str::to_owned))
            };
            pattern.names().enumerate().map(part).collect()
        })
    }

    #[test]
    fn a_narrowed_pattern_finds_the_same_parts_of_the_same_lines() {
        let expressions = [
            r"^(?<a>\d+)-(?P<b>x|(y)+)? (?i:(?<c>[k-m]*))$",
            r"(?x) (?<a> \d ) # a comment with ( in it
              (?<b> [()\]] | (?<c>\() )",
            r"(?i)(?<a>k)(?<b>\p{Greek}|\x{6B})(?<c>.)",
            r"(?<a>a{2,3}?)(?<b>[[:alpha:]&&[^b]]*)(?-u:(?<c>\w))",
        ];
        let lines = [
            "12-x KLM",
            "1-yy ",
            "7- k",
            "3(",
            "3)",
            "kkx",
            "K\u{3b1}!",
            "aaacd",
            "aaa",
            "",
        ];
        for expression in expressions {
            let whole = Pattern::new(expression).unwrap();
            for keep in 0..8u32 {
                let kept = |name: &str| keep >> (name.as_bytes()[0] - b'a') & 1 == 1;
                let narrowed = whole.narrowed(kept).unwrap();
                assert_eq!(narrowed.names().count() as u32, keep.count_ones());
                for line in lines {
                    let expected = parts(&whole, line).map(|mut parts| {
                        parts.retain(|(name, _)| kept(name));
                        parts
                    });
                    assert_eq!(parts(&narrowed, line), expected, "{expression} on {line:?}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_pattern_of_a_record_is_an_error() {
        assert!(Pattern::new("(").unwrap_err().contains("unclosed group"));
        let error = Pattern::new(r"(\d+)").unwrap_err();
        assert!(error.contains("no named group"), "{error}");
    }
}
