//! Chunks as the user wants them: lengths, lists, bytes.

use super::ChunkGrid;

/// How an array is to be cut into chunks.
///
/// ```
/// use flagstone_array::{Array, Chunks};
///
/// let x = Array::<f64>::zeros(&[1000, 70]);
/// let chunks = |spec: Chunks| x.rechunk(spec).chunks().cloned().unwrap();
/// assert_eq!(chunks(300.into()).chunk_shape(), [300, 70]);
/// assert_eq!(chunks([100, -1].into()).counts(), [10, 1]);
/// assert_eq!(chunks((300, 20).into()).chunk_lengths(0), [300, 300, 300, 100]);
/// assert_eq!(chunks(Chunks::from((300, 20)).balanced()).chunk_shape(), [250, 18]);
/// assert_eq!(chunks(Chunks::bytes(8 << 10)).chunk_shape(), [14, 70]);
/// assert_eq!(chunks(Chunks::cubes(8 << 10)).chunk_shape(), [32, 32]);
/// assert_eq!(chunks(Chunks::lists([vec![400, 600], vec![70]])).counts(), [2, 1]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunks {
    spec: Spec,
    balanced: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Spec {
    /// One length for all axes.
    Each(isize),
    /// A length an axis.
    Axes(Vec<isize>),
    /// Lengths of some axes; the others are whole.
    Along(Vec<(isize, isize)>),
    /// The length of every chunk.
    Lists(Vec<Vec<usize>>),
    Bytes(u64),
    Cubes(u64),
    Auto,
}

impl Chunks {
    fn new(spec: Spec) -> Self {
        Chunks {
            spec,
            balanced: false,
        }
    }

    /// Chunks as the planner would choose them, of about equal lengths along all axes.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// use flagstone_array::Chunks;
    /// let x = Array::<f64>::ones(&[1000, 1000]).rechunk(Chunks::auto());
    /// assert_eq!(x.shape(), [1000, 1000]);
    /// ```
    pub fn auto() -> Self {
        Chunks::new(Spec::Auto)
    }

    /// Chunks of at most so many bytes, whole along the last axes as far as they fit: of a table some
    /// rows, of a stack of images (`[n, height, width, 3]`) some images, and where one does not fit
    /// some of its rows. Each is one stretch of the array in C order.
    ///
    /// ```
    /// use flagstone_array::{Array, Chunks};
    ///
    /// let images = Array::<u8>::zeros(&[1000, 480, 640, 3]);
    /// let chunks = |bytes| images.rechunk(Chunks::bytes(bytes)).chunks().cloned().unwrap();
    /// assert_eq!(chunks(4 << 20).chunk_shape(), [4, 480, 640, 3]);
    /// assert_eq!(chunks(256 << 10).chunk_shape(), [1, 136, 640, 3]);
    /// ```
    pub fn bytes(bytes: u64) -> Self {
        Chunks::new(Spec::Bytes(bytes))
    }

    /// Chunks of at most so many bytes, of about equal lengths along all axes (those that are shorter
    /// are whole): for what is read along every one of them.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// use flagstone_array::Chunks;
    /// let x = Array::<f64>::ones(&[100, 100]).rechunk(Chunks::cubes(8 * 50 * 50));
    /// assert_eq!(x.chunks().unwrap().chunk_shape(), [50, 50]);
    /// ```
    pub fn cubes(bytes: u64) -> Self {
        Chunks::new(Spec::Cubes(bytes))
    }

    /// Lengths along some axes, as (axis, length); the others are not cut.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// use flagstone_array::Chunks;
    /// let x = Array::<f64>::ones(&[100, 100]).rechunk(Chunks::along([(0, 10)]));
    /// assert_eq!(x.chunks().unwrap().chunk_shape(), [10, 100]);
    /// ```
    pub fn along(lengths: impl IntoIterator<Item = (isize, isize)>) -> Self {
        Chunks::new(Spec::Along(lengths.into_iter().collect()))
    }

    /// The length of every chunk, axis by axis. Empty chunks, as dask has them after a filter, are
    /// left out; an axis without elements has one.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// use flagstone_array::Chunks;
    /// let x = Array::<f64>::ones(&[5]).rechunk(Chunks::lists([vec![1, 4]]));
    /// assert_eq!(x.chunks().unwrap().chunk_lengths(0), [1, 4]);
    /// ```
    pub fn lists(lists: impl IntoIterator<Item = Vec<usize>>) -> Self {
        Chunks::new(Spec::Lists(lists.into_iter().collect()))
    }

    /// These chunks made equal, as far as they can be, and as many: no small ones at the ends.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// use flagstone_array::Chunks;
    /// let x = Array::<f64>::ones(&[10]).rechunk(Chunks::from([6]).balanced());
    /// assert_eq!(x.chunks().unwrap().chunk_lengths(0), [5, 5]);
    /// ```
    pub fn balanced(self) -> Self {
        Chunks {
            balanced: true,
            ..self
        }
    }

    /// The grid for an array, unless the plan is to choose it.
    pub(crate) fn explicit(
        &self,
        shape: &[usize],
        item: usize,
    ) -> std::result::Result<ChunkGrid, String> {
        match self.spec {
            Spec::Auto => Err("chunks have to be given here, not chosen".to_owned()),
            _ => self.grid(shape, item, 1),
        }
    }

    /// Whether the plan is to choose them.
    pub(crate) fn is_auto(&self) -> bool {
        self.spec == Spec::Auto
    }

    /// The grid for an array, or the sentence that says why there is none.
    pub(crate) fn grid(
        &self,
        shape: &[usize],
        item: usize,
        auto: u64,
    ) -> std::result::Result<ChunkGrid, String> {
        let wrong = || {
            format!(
                "an array of shape {shape:?} cannot have chunks of {:?}",
                self.spec
            )
        };
        let length = |axis: usize, wanted: isize| match wanted {
            -1 => Ok(shape[axis].max(1)),
            wanted if wanted > 0 => Ok(wanted as usize),
            0 if shape[axis] == 0 => Ok(1),
            _ => Err(wrong()),
        };
        let mut chunk = match &self.spec {
            Spec::Each(wanted) => (0..shape.len())
                .map(|axis| length(axis, *wanted))
                .collect::<std::result::Result<Vec<_>, _>>()?,
            Spec::Axes(wanted) if wanted.len() == shape.len() => (0..shape.len())
                .map(|axis| length(axis, wanted[axis]))
                .collect::<std::result::Result<Vec<_>, _>>()?,
            Spec::Along(wanted) => {
                let mut chunk = shape.to_vec();
                for &(axis, wanted) in wanted {
                    let ndim = shape.len() as isize;
                    let at = if axis < 0 { axis + ndim } else { axis };
                    if !(0..ndim).contains(&at) {
                        return Err(wrong());
                    }
                    chunk[at as usize] = length(at as usize, wanted)?;
                }
                chunk
            }
            Spec::Lists(lists) if lists.len() == shape.len() => {
                return ChunkGrid::irregular(shape, lists);
            }
            Spec::Axes(_) | Spec::Lists(_) => return Err(wrong()),
            Spec::Bytes(bytes) => trailing(shape, (*bytes / item as u64).max(1) as usize),
            Spec::Cubes(bytes) => even(shape, (*bytes / item as u64).max(1) as usize),
            Spec::Auto => even(shape, (auto / item as u64).max(1) as usize),
        };
        if self.balanced {
            for (chunk, &length) in chunk.iter_mut().zip(shape) {
                let count = length.div_ceil(*chunk).max(1);
                *chunk = length.div_ceil(count).max(1);
            }
        }
        Ok(ChunkGrid::new(shape, &chunk))
    }
}

/// Lengths whose product is at most `most`, whole from the last axis on.
fn trailing(shape: &[usize], most: usize) -> Vec<usize> {
    let mut rest = most;
    let mut along = |&length: &usize| {
        let chunk = length.clamp(1, rest.max(1));
        rest /= chunk;
        chunk
    };
    let mut chunk: Vec<usize> = shape.iter().rev().map(&mut along).collect();
    chunk.reverse();
    chunk
}

/// Lengths whose product is at most `most`, as equal as the shape allows.
fn even(shape: &[usize], most: usize) -> Vec<usize> {
    let mut axes: Vec<usize> = (0..shape.len()).collect();
    axes.sort_by_key(|&axis| shape[axis]);
    let mut chunk = vec![1; shape.len()];
    let mut rest = most;
    for (done, &axis) in axes.iter().enumerate() {
        let left = (axes.len() - done) as f64;
        // a root that is a whole number may come out just below it
        let edge = ((rest as f64).powf(1.0 / left) + 1e-9).floor() as usize;
        chunk[axis] = shape[axis].clamp(1, edge.max(1));
        rest /= chunk[axis];
    }
    chunk
}

macro_rules! lengths {
    ($($int:ident)*) => {
        $(
            impl From<$int> for Chunks {
                fn from(length: $int) -> Self {
                    Chunks::new(Spec::Each(isize::try_from(length).unwrap_or(isize::MAX)))
                }
            }
            impl<const N: usize> From<[$int; N]> for Chunks {
                fn from(lengths: [$int; N]) -> Self {
                    Chunks::from(&lengths[..])
                }
            }
            impl From<&[$int]> for Chunks {
                fn from(lengths: &[$int]) -> Self {
                    let length = |&length: &$int| isize::try_from(length).unwrap_or(isize::MAX);
                    Chunks::new(Spec::Axes(lengths.iter().map(length).collect()))
                }
            }
            impl From<Vec<$int>> for Chunks {
                fn from(lengths: Vec<$int>) -> Self {
                    Chunks::from(&lengths[..])
                }
            }
        )*
    };
}
lengths!(i32 isize usize);

impl From<(i32, i32)> for Chunks {
    fn from((a, b): (i32, i32)) -> Self {
        Chunks::from([a, b])
    }
}

impl From<(i32, i32, i32)> for Chunks {
    fn from((a, b, c): (i32, i32, i32)) -> Self {
        Chunks::from([a, b, c])
    }
}
