//! Regular expressions whose named groups are the fields of a record.
//!
//! Finding where every group of a long expression begins and ends costs far more than finding that
//! the line matches. So the groups that nobody asks for are taken out of the expression before it
//! is compiled for use: what stands in them must still match, but is neither found nor allocated.
//!
//! Most patterns of logs are fields with separators between them: wherever a choice is made, the
//! next byte says which way it goes. From a given place on, one pass over the line then finds the
//! match and its groups, so a line is first tried at its start. Only where that finds nothing is the
//! line searched, which takes a pass for where a match begins and ends and one for its groups.

mod record;

use std::sync::Arc;

use regex::{CaptureLocations, Regex};
use regex_automata::dfa::onepass::{self, DFA};
use regex_automata::util::primitives::NonMaxUsize;
use regex_automata::{Anchored, Input};
use regex_syntax::ast::{self, Ast};

pub(crate) use record::{Refused, record};

/// A compiled expression and the names of its groups.
#[derive(Debug, Clone)]
pub struct Pattern {
    regex: Regex,
    /// The expression as an automaton, where one pass from a given place finds it.
    one_pass: Option<Arc<DFA>>,
    /// Names and numbers of the named groups, in the order in which they open.
    groups: Vec<(String, usize)>,
}

/// What matching line after line needs: a copy of the expression, whose caches nobody else waits
/// for, and room for the places of the groups.
#[derive(Debug, Clone)]
pub struct Matcher {
    regex: Regex,
    locations: CaptureLocations,
    one_pass: Option<OnePass>,
    /// Whether the last match was found at the line's start, in one pass.
    is_one_pass: bool,
}

#[derive(Debug, Clone)]
struct OnePass {
    cache: onepass::Cache,
    /// Where groups begin and end.
    slots: Vec<Option<NonMaxUsize>>,
}

/// A larger automaton is not worth its memory: the expression is searched for instead.
const ONE_PASS_BYTES_MAX: usize = 1 << 20;

impl Pattern {
    /// Compiles an expression.
    ///
    /// ```
    /// use flagstone_bag::Pattern;
    /// assert!(Pattern::new(r"^(?<client>\S+) (?<bytes>\d+)$").is_ok());
    /// assert!(Pattern::new(r"^(\S+)$").unwrap_err().contains("no named group"));
    /// ```
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
        let config = DFA::config().size_limit(Some(ONE_PASS_BYTES_MAX));
        // an expression that is not of that kind is an error, and no harm
        let one_pass = DFA::builder().configure(config).build(expression);
        Ok(Pattern {
            regex,
            one_pass: one_pass.ok().map(Arc::new),
            groups,
        })
    }

    /// The pattern that matches the same lines, and finds no groups but these.
    ///
    /// ```
    /// use flagstone_bag::Pattern;
    /// let pattern = Pattern::new(r"^(?<client>\S+) (?<bytes>\d+)$")?;
    /// let bytes = pattern.narrowed(|name| name == "bytes")?;
    /// assert_eq!(bytes.names().collect::<Vec<_>>(), ["bytes"]);
    /// assert!(!bytes.read("only-a-client", &mut bytes.matcher()));
    /// # Ok::<(), String>(())
    /// ```
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
    ///
    /// ```
    /// use flagstone_bag::Pattern;
    /// let pattern = Pattern::new(r"^(?<client>\S+) (?<bytes>\d+)$")?;
    /// assert_eq!(pattern.names().collect::<Vec<_>>(), ["client", "bytes"]);
    /// # Ok::<(), String>(())
    /// ```
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.groups.iter().map(|(name, _)| name.as_str())
    }

    /// Room for the places of a match, to be used for every line of a thread.
    ///
    /// ```
    /// use flagstone_bag::Pattern;
    /// let pattern = Pattern::new(r"^(?<client>\S+) (?<bytes>\d+)$")?;
    /// let mut matcher = pattern.matcher();
    /// let matching = ["a 1", "b", "c 3"].map(|line| pattern.read(line, &mut matcher));
    /// assert_eq!(matching, [true, false, true]);
    /// # Ok::<(), String>(())
    /// ```
    pub fn matcher(&self) -> Matcher {
        Matcher {
            regex: self.regex.clone(),
            locations: self.regex.capture_locations(),
            one_pass: self.one_pass.as_ref().map(|dfa| OnePass {
                cache: dfa.create_cache(),
                slots: vec![None; dfa.get_nfa().group_info().slot_len()],
            }),
            is_one_pass: false,
        }
    }

    /// Matches a line, and says whether it does; [`Pattern::group`] then gives its parts.
    ///
    /// ```
    /// use flagstone_bag::Pattern;
    /// let pattern = Pattern::new(r"^(?<client>\S+) (?<bytes>\d+)$")?;
    /// let mut matcher = pattern.matcher();
    /// assert!(pattern.read("10.0.0.1 70", &mut matcher));
    /// assert!(!pattern.read("10.0.0.1", &mut matcher));
    /// # Ok::<(), String>(())
    /// ```
    #[inline]
    pub fn read(&self, line: &str, matcher: &mut Matcher) -> bool {
        if let (Some(dfa), Some(own)) = (&self.one_pass, &mut matcher.one_pass) {
            let from_start = Input::new(line).anchored(Anchored::Yes);
            let found = dfa.try_search_slots(&mut own.cache, &from_start, &mut own.slots);
            matcher.is_one_pass = matches!(found, Ok(Some(_)));
            if matcher.is_one_pass {
                return true;
            }
        }
        match self.groups.is_empty() {
            true => matcher.regex.is_match(line),
            false => {
                let Matcher {
                    regex, locations, ..
                } = matcher;
                regex.captures_read(locations, line).is_some()
            }
        }
    }

    /// The part of the line that a group matched (by its place in [`Pattern::names`]); `None` when
    /// the match does not use the group.
    ///
    /// ```
    /// use flagstone_bag::Pattern;
    /// let pattern = Pattern::new(r"^(?<client>\S+) (?<bytes>\d+)$")?;
    /// let (mut matcher, line) = (pattern.matcher(), "10.0.0.1 70");
    /// assert!(pattern.read(line, &mut matcher));
    /// assert_eq!(pattern.group(1, line, &matcher), Some("70"));
    /// assert_eq!(pattern.group(2, line, &matcher), None);
    /// # Ok::<(), String>(())
    /// ```
    #[inline]
    pub fn group<'l>(&self, group: usize, line: &'l str, matcher: &Matcher) -> Option<&'l str> {
        let (_, number) = self.groups.get(group)?;
        let (start, end) = match (&matcher.one_pass, matcher.is_one_pass) {
            (Some(own), true) => {
                let place = |slot: usize| own.slots.get(slot).copied().flatten();
                (place(2 * number)?.get(), place(2 * number + 1)?.get())
            }
            _ => matcher.locations.get(*number)?,
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
    use proptest::prelude::*;

    use super::*;

    fn parts_of(pattern: &Pattern, line: &str) -> Option<Vec<(String, Option<String>)>> {
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
                    let expected = parts_of(&whole, line).map(|mut parts| {
                        parts.retain(|(name, _)| kept(name));
                        parts
                    });
                    assert_eq!(
                        parts_of(&narrowed, line),
                        expected,
                        "{expression} on {line:?}"
                    );
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]
        #[test]
        fn a_match_in_one_pass_is_the_match_of_the_search(
            parts in prop::collection::vec(
                prop::sample::select(vec![
                    "a", "b", "é", " ", "(?<g>a)", "(?<g>b+)", r"(?<g>\w*)", r"(?<g>\d{1,2})",
                    r"(?<g>\S+)", "[^b]*", "(?:a|b )", "(?:(?<g>a)|(?<h>b))", "(?<g>c)?",
                    "(?: (?<g>b))?", "a??", "b+?", "(?i:k)", ".", "(?<g>[ac]{2})", "$", "c{0,2}",
                    "[é-ü]", "(?<g>.*)", "(?:[a-b]*c)?", r"\b",
                ]),
                1..6,
            ),
            anchored in any::<bool>(),
            lines in prop::collection::vec("[ab c1ékK]{0,8}", 8),
        ) {
            let mut expression = String::from(if anchored { "^" } else { "" });
            for (number, part) in parts.iter().enumerate() {
                let [g, h] = ["g", "h"].map(|name| format!("?<{name}{number}>"));
                expression += &part.replace("?<g>", &g).replace("?<h>", &h);
            }
            let pattern = Pattern::compiled(&expression).unwrap();
            let regex = Regex::new(&expression).unwrap();
            for line in &lines {
                let expected = regex.captures(line).map(|found| {
                    let text = |name: &str| found.name(name).map(|text| text.as_str().to_owned());
                    pattern.names().map(|name| (name.to_owned(), text(name))).collect::<Vec<_>>()
                });
                assert_eq!(parts_of(&pattern, line), expected, "{expression} on {line:?}");
            }
        }
    }

    #[test]
    fn patterns_of_logs_take_one_pass() {
        for expression in [
            r"^\d+:\d+ (?<a>\d+\.\d+\.\d+\.\d+):\d+ (?<b>\d+\.\d+\.\d+\.\d+):\d+ ",
            r#"^(?<host>\S+) \S+ \S+ \[(?<time>[^\]]*)\] "(?<verb>\S+) (?<rest>[^"]*)" (\d{3})"#,
        ] {
            assert!(
                Pattern::new(expression).unwrap().one_pass.is_some(),
                "{expression}"
            );
        }
    }

    #[test]
    fn what_is_no_pattern_of_a_record_is_an_error() {
        assert!(Pattern::new("(").unwrap_err().contains("unclosed group"));
        let error = Pattern::new(r"(\d+)").unwrap_err();
        assert!(error.contains("no named group"), "{error}");
    }
}
