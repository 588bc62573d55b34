//! Chunks of given lengths: the grid that Zarr calls `rectilinear`.
//!
//! Their lengths come with how often they follow each other, so a few bytes of a description can claim
//! any number of chunks. Lengths are kept as they are written, and chunks counted before they are
//! listed; the library that knows the codecs is told of a grid of one shape instead.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, SeqAccess, Visitor};

use crate::grid::ChunkGrid;

/// Chunks of one axis that a grid may list: their lengths are held, a few times over while it is made.
pub(super) const LISTED_MAX: usize = 1 << 18;

/// Lengths along each axis.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct GivenLengths(Vec<Along>);

#[derive(Debug, PartialEq, Eq)]
enum Along {
    /// All alike, as many as the axis needs.
    Alike(u64),
    /// Each with how many of it follow each other.
    Runs(Vec<(u64, u64)>),
}

/// The chunks of an array, and how long the last one along each axis is where it is stored: it may
/// reach beyond the array.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct GivenGrid {
    pub(super) grid: ChunkGrid,
    pub(super) last: Vec<usize>,
}

impl GivenLengths {
    /// Those of a grid that is to be stored: no chunk reaches beyond the array.
    pub(super) fn of(grid: &ChunkGrid) -> Self {
        let along = |axis: usize| {
            let mut runs = Runs::default();
            let lengths = grid.chunk_lengths(axis).into_iter();
            lengths.for_each(|length| runs.push(length as u64, 1));
            Along::Runs(runs.0)
        };
        GivenLengths((0..grid.shape().len()).map(along).collect())
    }

    /// The chunks of an array of a shape.
    ///
    /// # Errors
    /// Lengths that are not of its axes, or too many of them, as a sentence.
    pub(super) fn grid(&self, shape: &[usize]) -> Result<GivenGrid, String> {
        if self.0.len() != shape.len() {
            return Err(format!(
                "its chunks have lengths along {} axes, and the array has {}",
                self.0.len(),
                shape.len()
            ));
        }
        let (mut lists, mut last) = (Vec::new(), Vec::new());
        for (axis, (along, &length)) in self.0.iter().zip(shape).enumerate() {
            let alike;
            let runs = match along {
                &Along::Alike(each) => {
                    alike = [(each, u64::MAX)];
                    &alike[..]
                }
                Along::Runs(runs) => runs,
            };
            let (list, end) = listed(runs, length)
                .map_err(|message| format!("its chunks along axis {axis} {message}"))?;
            lists.push(list);
            last.push(end);
        }
        let grid = ChunkGrid::irregular(shape, &lists)?;
        Ok(GivenGrid { grid, last })
    }
}

/// The lengths of as many chunks as an axis needs, of which the last is cut off at its end; and how
/// long that one is as it is stored.
fn listed(runs: &[(u64, u64)], length: usize) -> Result<(Vec<usize>, usize), String> {
    let (mut list, mut left, mut last) = (Vec::new(), length as u64, 1);
    for &(each, times) in runs {
        if each == 0 || times == 0 {
            return Err("are of no elements".to_owned());
        }
        let needed = left.div_ceil(each).min(times);
        if needed > (LISTED_MAX - list.len()) as u64 {
            return Err(format!(
                "are more than {LISTED_MAX}, and their lengths are listed"
            ));
        }
        for _ in 0..needed {
            // no longer than the axis
            list.push(each.min(left) as usize);
            last = each;
            left -= each.min(left);
        }
    }
    if left > 0 {
        return Err(format!(
            "have {} of {length} elements",
            length as u64 - left
        ));
    }
    let last = usize::try_from(last).map_err(|_| "are too long for this machine".to_owned())?;
    Ok((list, last))
}

/// Lengths as they come, equal ones together.
#[derive(Default)]
struct Runs(Vec<(u64, u64)>);

impl Runs {
    fn push(&mut self, length: u64, times: u64) {
        match self.0.last_mut() {
            Some((same, count)) if *same == length => *count = count.saturating_add(times),
            _ => self.0.push((length, times)),
        }
    }
}

/// Reads the lengths along all axes.
pub(super) struct ReadLengths;

/// Reads the lengths along one axis.
struct ReadAlong;

/// Reads a length, or a pair of one and how often it follows itself.
struct ReadRun;

macro_rules! read {
    ($reader:ident -> $value:ty) => {
        impl<'de> DeserializeSeed<'de> for $reader {
            type Value = $value;

            fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<$value, D::Error> {
                from.deserialize_any(self)
            }
        }
    };
}
read!(ReadLengths -> GivenLengths);
read!(ReadAlong -> Along);
read!(ReadRun -> (u64, u64));

impl<'de> Visitor<'de> for ReadLengths {
    type Value = GivenLengths;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of lengths for each axis")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut axes: A) -> Result<GivenLengths, A::Error> {
        let mut lengths = Vec::new();
        while let Some(along) = axes.next_element_seed(ReadAlong)? {
            if lengths.len() == crate::grid::shape::NDIM_MAX {
                return Err(A::Error::custom(
                    "there are chunk lengths along too many axes",
                ));
            }
            lengths.push(along);
        }
        Ok(GivenLengths(lengths))
    }
}

impl<'de> Visitor<'de> for ReadAlong {
    type Value = Along;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the length of chunks, or a list of such")
    }

    fn visit_u64<E>(self, length: u64) -> Result<Along, E> {
        Ok(Along::Alike(length))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Along, A::Error> {
        let mut runs = Runs::default();
        while let Some((length, times)) = list.next_element_seed(ReadRun)? {
            runs.push(length, times);
            if runs.0.len() > LISTED_MAX {
                return Err(A::Error::custom(format!(
                    "there are more than {LISTED_MAX} lengths of chunks along an axis"
                )));
            }
        }
        Ok(Along::Runs(runs.0))
    }
}

impl<'de> Visitor<'de> for ReadRun {
    type Value = (u64, u64);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a length, or a pair of a length and how often it comes")
    }

    fn visit_u64<E>(self, length: u64) -> Result<(u64, u64), E> {
        Ok((length, 1))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut pair: A) -> Result<(u64, u64), A::Error> {
        let wrong = || A::Error::custom("a run of chunks is a pair of a length and a number");
        let length = pair.next_element()?.ok_or_else(wrong)?;
        let times = pair.next_element()?.ok_or_else(wrong)?;
        match pair.next_element::<u64>()? {
            None => Ok((length, times)),
            Some(_) => Err(wrong()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> GivenLengths {
        let mut reader = serde_json::Deserializer::from_str(text);
        ReadLengths.deserialize(&mut reader).unwrap()
    }

    fn lists(text: &str, shape: &[usize]) -> Result<(Vec<Vec<usize>>, Vec<usize>), String> {
        let given = read(text).grid(shape)?;
        let lists = (0..shape.len()).map(|axis| given.grid.chunk_lengths(axis));
        Ok((lists.collect(), given.last))
    }

    #[test]
    fn lengths_are_those_of_the_format() {
        let text = "[4, [1, 2, 3], [[4, 2]], [[1, 3], 3], [4, 4, 4]]";
        let (all, last) = lists(text, &[6, 6, 6, 6, 6]).unwrap();
        let expected: [&[usize]; 5] = [&[4, 2], &[1, 2, 3], &[4, 2], &[1, 1, 1, 3], &[4, 2]];
        assert_eq!(all, expected);
        // as they are stored: the last reach beyond the array
        assert_eq!(last, [4, 3, 4, 3, 4]);
        assert_eq!(
            lists("[[2, 10]]", &[3]).unwrap(),
            (vec![vec![2, 1]], vec![10])
        );
        let grid = ChunkGrid::irregular(&[7, 3], &[vec![3, 3, 1], vec![1, 2]]).unwrap();
        assert_eq!(GivenLengths::of(&grid), read("[[[3, 2], 1], [1, 2]]"));
    }

    #[test]
    fn claims_of_many_chunks_are_counted_and_not_listed() {
        let most = LISTED_MAX;
        for (text, length, part) in [
            ("[[[1, 1000000000000000]]]", 1 << 40, "are more than"),
            ("[1]", most + 1, "are more than"),
            ("[[[9223372036854775808, 3]]]", 10, ""),
            ("[[[1, 1000000000000000]]]", 10, ""),
            ("[[3, 3]]", 7, "have 6 of 7 elements"),
            ("[[3, 0, 4]]", 7, "are of no elements"),
            ("[[[3, 0], 7]]", 7, "are of no elements"),
            ("[0]", 7, "are of no elements"),
            ("[[]]", 7, "have 0 of 7 elements"),
            ("[7, 7]", 7, "along 2 axes, and the array has 1"),
        ] {
            match lists(text, &[length]) {
                Ok((list, _)) => assert!(part.is_empty() && list[0].len() <= length, "{text}"),
                Err(error) => assert!(!part.is_empty() && error.contains(part), "{text}: {error}"),
            }
        }
        let long = format!("[[{}1]]", "1,2,".repeat(most / 2));
        let mut reader = serde_json::Deserializer::from_str(&long);
        let error = ReadLengths
            .deserialize(&mut reader)
            .unwrap_err()
            .to_string();
        assert!(error.contains("more than 262144 lengths"), "{error}");
    }
}
