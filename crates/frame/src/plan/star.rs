//! `*` with what SQL dialects let one say about it: columns left out, replaced, renamed, chosen.
//!
//! Each option means something or is refused: one that is parsed and left out would give other
//! columns than were asked for.

use std::collections::HashSet;

use datafusion_common::{Column, DFSchema};
use datafusion_expr::Expr;
use datafusion_sql::sqlparser::ast::{
    ExcludeSelectItem, Ident, ObjectName, RenameSelectItem, ReplaceSelectElement,
    WildcardAdditionalOptions,
};
use flagstone_common::{Error, Result};

use super::balance::balanced;
use super::sql::{of_rows, to_expr};

/// Looks at the options before the columns are known.
pub(super) fn check(options: &WildcardAdditionalOptions) -> Result<()> {
    if let Some(alias) = &options.opt_alias {
        return Err(Error::invalid(format!(
            "* is several columns, which cannot all be called {alias}: rename columns with \
             * rename (a as b)"
        )));
    }
    let replaced = options.opt_replace.iter().flat_map(|list| &list.items);
    replaced
        .into_iter()
        .try_for_each(|item| of_rows(&balanced(item.expr.clone())?))
}

/// The columns that `*` stands for.
pub(super) fn columns(options: WildcardAdditionalOptions, schema: &DFSchema) -> Result<Vec<Expr>> {
    check(&options)?;
    let WildcardAdditionalOptions {
        wildcard_token: _,
        opt_ilike,
        opt_exclude,
        opt_except,
        opt_replace,
        opt_rename,
        opt_alias: _,
    } = options;
    let known: HashSet<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
    let find = |name: String, what: &str| match known.contains(name.as_str()) {
        true => Ok(name),
        false => Err(Error::invalid(format!(
            "there is no column {name:?} to {what}: name one of the columns as it is written, capitals \
             too"
        ))),
    };
    let mut left_out = HashSet::new();
    let excluded = match opt_exclude {
        None => Vec::new(),
        Some(ExcludeSelectItem::Single(name)) => vec![dotted(&name)],
        Some(ExcludeSelectItem::Multiple(names)) => names.iter().map(dotted).collect(),
    };
    let excepted = opt_except.into_iter().flat_map(|except| {
        let more = except.additional_elements;
        std::iter::once(except.first_element).chain(more)
    });
    for name in excluded.into_iter().chain(excepted.map(|name| name.value)) {
        left_out.insert(find(name, "leave out")?);
    }
    let mut replaced = Vec::new();
    for item in opt_replace.into_iter().flat_map(|list| list.items) {
        let ReplaceSelectElement {
            expr, column_name, ..
        } = *item;
        let name = find(column_name.value, "replace")?;
        replaced.push((name, to_expr(expr, schema)?));
    }
    let renamed = match opt_rename {
        None => Vec::new(),
        Some(RenameSelectItem::Single(one)) => vec![one],
        Some(RenameSelectItem::Multiple(some)) => some,
    };
    let mut names = Vec::new();
    for item in renamed {
        names.push((find(item.ident.value, "rename")?, item.alias.value));
    }
    once(replaced.iter().map(|(name, _)| name), "replaced")?;
    once(names.iter().map(|(name, _)| name), "renamed")?;
    let changed = replaced.iter().map(|(name, _)| name);
    for name in changed.chain(names.iter().map(|(name, _)| name)) {
        if left_out.contains(name) {
            return Err(Error::invalid(format!(
                "the column {name:?} is left out of * and changed as well: do one of them"
            )));
        }
    }
    let pattern = opt_ilike.map(|ilike| ilike.pattern.to_lowercase());
    let is_chosen = |name: &str| {
        let mut patterns = pattern.iter();
        !left_out.contains(name) && patterns.all(|pattern| like(&name.to_lowercase(), pattern))
    };
    let mut exprs = Vec::new();
    for (qualifier, field) in schema.iter() {
        let name = field.name();
        if !is_chosen(name) {
            continue;
        }
        let own = names.iter().find(|(known, _)| known == name);
        let own = own.map_or(name, |(_, own)| own);
        let value = replaced.iter().find(|(known, _)| known == name);
        exprs.push(match value {
            Some((_, value)) => value.clone().alias(own),
            None => {
                let column = Expr::Column(Column::new(qualifier.cloned(), name));
                match own == name {
                    true => column,
                    false => column.alias(own),
                }
            }
        });
    }
    if exprs.is_empty() && !schema.fields().is_empty() {
        return Err(Error::invalid(
            "no column is left of *: its options leave all of them out",
        ));
    }
    Ok(exprs)
}

fn once<'n>(names: impl Iterator<Item = &'n String>, what: &str) -> Result<()> {
    let mut seen = HashSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(Error::invalid(format!(
                "the column {name:?} is {what} twice: once is enough"
            )));
        }
    }
    Ok(())
}

fn dotted(name: &ObjectName) -> String {
    let ident = |part: &datafusion_sql::sqlparser::ast::ObjectNamePart| {
        let ident: Option<&Ident> = part.as_ident();
        ident.map_or_else(|| part.to_string(), |ident| ident.value.clone())
    };
    name.0.iter().map(ident).collect::<Vec<_>>().join(".")
}

/// What a pattern asks of a text.
#[derive(Clone, Copy, PartialEq)]
enum Sign {
    /// `%`: any characters.
    Any,
    /// `_`: one character.
    One,
    Is(char),
}

/// Whether a text is like a pattern of `%` and `_`; a backslash takes their meaning.
///
/// Where a character does not fit, the last `%` takes one more: what an earlier one takes matters
/// no longer once all up to the last was found.
fn like(text: &str, pattern: &str) -> bool {
    let mut characters = pattern.chars();
    let signs = std::iter::from_fn(|| {
        Some(match characters.next()? {
            '%' => Sign::Any,
            '_' => Sign::One,
            '\\' => Sign::Is(characters.next().unwrap_or('\\')),
            other => Sign::Is(other),
        })
    });
    let signs: Vec<Sign> = signs.collect();
    let text: Vec<char> = text.chars().collect();
    let (mut at, mut sign) = (0, 0);
    // behind the last `%`, and how far it reaches
    let mut last: Option<(usize, usize)> = None;
    while at < text.len() {
        match signs.get(sign) {
            Some(Sign::Any) => {
                sign += 1;
                last = Some((sign, at));
                continue;
            }
            Some(Sign::One) => {}
            Some(Sign::Is(character)) if *character == text[at] => {}
            _ => {
                let Some((behind, end)) = &mut last else {
                    return false;
                };
                *end += 1;
                (sign, at) = (*behind, *end);
                continue;
            }
        }
        sign += 1;
        at += 1;
    }
    signs[sign..].iter().all(|sign| *sign == Sign::Any)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_choose_names() {
        for (text, pattern, is) in [
            ("price", "pr%", true),
            ("price", "%ice", true),
            ("price", "p%i%e", true),
            ("price", "p_ice", true),
            ("price", "p_ce", false),
            ("", "%", true),
            ("a_b", "a\\_b", true),
            ("axb", "a\\_b", false),
            ("", "", true),
            ("a", "", false),
            ("", "%%", true),
            ("", "_", false),
            ("price", "price%", true),
            ("price", "pric", false),
            ("price", "prices", false),
            ("abab", "%ab", true),
            ("ababc", "%ab_", true),
            ("aab", "%ab%b", false),
            ("aabb", "%ab%b", true),
            ("größe", "gr__e", true),
            ("größe", "%ß%", true),
            ("a\\", "a\\", true),
            ("a%", "a\\%", true),
            ("ab", "a\\%", false),
        ] {
            assert_eq!(like(text, pattern), is, "{text} {pattern}");
        }
    }

    #[test]
    fn long_names_and_patterns_end() {
        let name = "a".repeat(20_000);
        assert!(!like(&name, &format!("{}b", "%a".repeat(40))));
        assert!(like(&name, &format!("{}%", "%a".repeat(40))));
        assert!(like(&name, &name) && like(&name, &"_".repeat(20_000)));
        assert!(!like(&name, &format!("%{}b", "a".repeat(100))));
    }
}
