//! Fields of records: of dynamic JSON by path, of typed ones by closure.

use std::any::Any;
use std::marker::PhantomData;
use std::panic::Location;
use std::sync::Arc;

use serde_json::Value;

use crate::bag::{Bag, Mistake};
use crate::chain::{Adapted, Adaptor, Consumer, Flow, Site, Source, Stage, Step};
use crate::record::{Field, Json};
use crate::source::json::{Dynamic, ReadJson};

/// The stage of [`Bag::pluck`].
pub type Pluck<S> = Adapted<S, Plucking>;

/// The stage of [`Bag::pluck`] with several paths.
pub type PluckSeveral<S, const N: usize> = Adapted<S, PluckingSeveral<N>>;

/// The stage of [`Bag::pluck_by`].
pub type PluckBy<S, F, U> = Adapted<S, PluckingBy<F, U>>;

/// The adaptor of [`Bag::pluck`].
pub struct Plucking {
    field: Field,
    /// The source gives the field already, and this stage passes it on.
    pushed: bool,
}

/// A dynamic JSON record, of which fields are named by paths.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no dynamic JSON record, so its fields are not named by paths",
    label = "this bag does not hold `Json`",
    note = "take fields of typed records by a closure, `pluck_by(|record| record.name.clone())`, several \
            of them as a tuple; `Bag::read_json_values` reads dynamic records"
)]
pub trait JsonRecord {
    /// The record itself.
    fn into_json(self) -> Json;
}

impl JsonRecord for Json {
    fn into_json(self) -> Json {
        self
    }
}

/// One path or several, and what a record becomes: the value, or an array of as many.
#[diagnostic::on_unimplemented(
    message = "`{Self}` names no field of a dynamic record",
    note = "give a path, such as \"actor.login\", or an array of paths; fields of typed records are \
            taken by `pluck_by` with a closure"
)]
pub trait FieldPaths<S: Stage> {
    /// The stage that takes the fields.
    type Plucked: Stage;

    /// The bag with that stage after it.
    fn pluck_from(
        self,
        bag: &Bag<S>,
        default: Option<Value>,
        location: &'static Location<'static>,
    ) -> Bag<Self::Plucked>;
}

impl<S: Stage> FieldPaths<S> for &str
where
    for<'a> S::Item<'a>: JsonRecord,
{
    type Plucked = Pluck<S>;

    fn pluck_from(
        self,
        bag: &Bag<S>,
        default: Option<Value>,
        location: &'static Location<'static>,
    ) -> Bag<Pluck<S>> {
        let field = Field::new(self, default, location);
        let source = push_down(bag.stage(), &field);
        let pushed = source.is_some();
        let source = source.unwrap_or_else(|| Arc::clone(bag.stage()));
        let step = Step {
            name: "pluck",
            location,
        };
        let adaptor = Plucking { field, pushed };
        let plucked = bag.with_stage(Adapted {
            source,
            adaptor,
            step,
        });
        plucked.mistaken(empty_part(self, location))
    }
}

impl<S: Stage> FieldPaths<S> for &String
where
    for<'a> S::Item<'a>: JsonRecord,
{
    type Plucked = Pluck<S>;

    fn pluck_from(
        self,
        bag: &Bag<S>,
        default: Option<Value>,
        location: &'static Location<'static>,
    ) -> Bag<Pluck<S>> {
        self.as_str().pluck_from(bag, default, location)
    }
}

impl<S: Stage, P: AsRef<str>, const N: usize> FieldPaths<S> for [P; N]
where
    for<'a> S::Item<'a>: JsonRecord,
{
    type Plucked = PluckSeveral<S, N>;

    fn pluck_from(
        self,
        bag: &Bag<S>,
        default: Option<Value>,
        location: &'static Location<'static>,
    ) -> Bag<PluckSeveral<S, N>> {
        let mut paths = self.iter().map(AsRef::as_ref);
        let mistake = paths.find_map(|path| empty_part(path, location));
        let fields = self.map(|path| Field::new(path.as_ref(), default.clone(), location));
        let is_inside = |(i, field): (usize, &Field)| {
            let mut others = fields.iter().enumerate().filter(|(j, _)| *j != i);
            others.any(|(_, other)| field.path().starts_with(other.path()))
        };
        let overlap = fields.iter().enumerate().any(is_inside);
        let step = Step {
            name: "pluck",
            location,
        };
        let source = Arc::clone(bag.stage());
        let adaptor = PluckingSeveral { fields, overlap };
        bag.with_stage(Adapted {
            source,
            adaptor,
            step,
        })
        .mistaken(mistake)
    }
}

fn empty_part(path: &str, location: &'static Location<'static>) -> Option<Mistake> {
    path.split('.').any(str::is_empty).then(|| {
        let message = format!("the path {path:?} has an empty part; write for example a.b");
        Mistake::at(location, message)
    })
}

impl<S: Stage> Bag<S> {
    /// The field that a path names: `pluck("actor.login")`; numbers are places in an array. Several
    /// paths give an array of as many values: `pluck(["id", "actor.login"])`. A record without the
    /// field is an error; see [`Bag::pluck_or`], and [`Bag::pluck_by`] for typed records.
    ///
    /// Directly on [`Bag::read_json_values`], nothing but the one field is built by the parser; where
    /// several are wanted, the record is.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// let dir = tempfile::tempdir()?;
    /// std::fs::write(dir.path().join("a.json"), "{\"tags\":[\"x\",\"y\"]}\n")?;
    /// let second = Bag::read_json_values(dir.path().join("a.json")).pluck("tags.1");
    /// assert_eq!(second.map(|tag| tag.to_string()).compute_with(&SerialExecutor)?, ["\"y\""]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn pluck<P>(&self, path: P) -> Bag<P::Plucked>
    where
        for<'a> S::Item<'a>: JsonRecord,
        P: FieldPaths<S>,
    {
        path.pluck_from(self, None, Location::caller())
    }

    /// The field that a path names, or a default where a record has no such field.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// let dir = tempfile::tempdir()?;
    /// std::fs::write(dir.path().join("a.json"), "{\"n\":1}\n{}\n")?;
    /// let numbers = Bag::read_json_values(dir.path().join("a.json")).pluck_or("n", 0);
    /// assert_eq!(numbers.map(|n| n.to_string()).compute_with(&SerialExecutor)?, ["1", "0"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn pluck_or<P>(&self, path: P, default: impl Into<Value>) -> Bag<P::Plucked>
    where
        for<'a> S::Item<'a>: JsonRecord,
        P: FieldPaths<S>,
    {
        path.pluck_from(self, Some(default.into()), Location::caller())
    }

    /// The fields that a closure takes of typed records, one or several:
    /// `pluck_by(|event| (event.id, event.repo.name.clone()))`. It sees the record, whether the bag
    /// gives records or, as a [shared](Bag::shared) one does, references to them.
    ///
    /// ```
    /// use flagstone_bag::Bag;
    /// use flagstone_graph::SerialExecutor;
    ///
    /// #[derive(Clone)]
    /// struct Event { id: u64, actor: String }
    /// let events = Bag::from_sequence([Event { id: 7, actor: "ann".into() }], 1);
    /// let pairs = events.pluck_by(|event| (event.id, event.actor.clone()));
    /// assert_eq!(pairs.compute_with(&SerialExecutor)?, [(7, "ann".to_owned())]);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn pluck_by<F, U>(&self, fields: F) -> Bag<PluckBy<S, F, U>>
    where
        F: for<'a, 'b> Fn(&'b S::Item<'a>) -> U + Send + Sync + 'static,
        U: 'static,
    {
        let output = PhantomData;
        self.adapt("pluck_by", PluckingBy { fields, output })
    }
}

/// The stage with a parser that reads only this field, if it is one that can.
fn push_down<S: Stage>(stage: &Arc<S>, field: &Field) -> Option<Arc<S>> {
    type Values = Source<ReadJson<Json, Dynamic>>;
    let any: &dyn Any = &**stage;
    let pushed: Arc<dyn Any + Send + Sync> = if let Some(source) = any.downcast_ref::<Values>() {
        Arc::new(Source(Arc::new(source.0.reading(field)?)))
    } else if let Some(outer) = any.downcast_ref::<Pluck<Values>>() {
        // a field of a field: one longer path
        let Plucking { field: first, .. } = &outer.adaptor;
        let field = outer
            .adaptor
            .pushed
            .then(|| first.within(field))
            .flatten()?;
        let source = Arc::new(Source(Arc::new(outer.source.0.whole().reading(&field)?)));
        let pushed = true;
        Arc::new(Adapted {
            source,
            adaptor: Plucking { field, pushed },
            step: outer.step,
        })
    } else {
        return None;
    };
    pushed.downcast::<S>().ok()
}

impl<S: Stage> Adaptor<S> for Plucking
where
    for<'a> S::Item<'a>: JsonRecord,
{
    type Output<'a> = Json;
    type State = ();

    const ITEMWISE: bool = true;

    fn push<C: Consumer<Adapted<S, Self>>>(
        &self,
        (): &mut (),
        item: S::Item<'_>,
        at: Site<'_>,
        next: &mut C,
    ) -> Flow {
        let item = item.into_json();
        if self.pushed {
            return next.push(item);
        }
        let field = &self.field;
        next.push(field.or_default(field.of(item.0), |what| at.run.says(what))?)
    }
}

/// The adaptor of [`Bag::pluck`] with several paths.
pub struct PluckingSeveral<const N: usize> {
    fields: [Field; N],
    /// One field is another, or lies in it: they are copied, not moved out.
    overlap: bool,
}

impl<S: Stage, const N: usize> Adaptor<S> for PluckingSeveral<N>
where
    for<'a> S::Item<'a>: JsonRecord,
{
    type Output<'a> = [Json; N];
    type State = ();

    const ITEMWISE: bool = true;

    fn push<C: Consumer<Adapted<S, Self>>>(
        &self,
        (): &mut (),
        item: S::Item<'_>,
        at: Site<'_>,
        next: &mut C,
    ) -> Flow {
        let mut value = item.into_json().0;
        let mut plucked: [Json; N] = std::array::from_fn(|_| Json::default());
        for (field, plucked) in self.fields.iter().zip(&mut plucked) {
            let found = match self.overlap {
                true => field.of(value.clone()),
                false => field.take_of(&mut value),
            };
            *plucked = field.or_default(found, |what| at.run.says(what))?;
        }
        next.push(plucked)
    }
}

/// The adaptor of [`Bag::pluck_by`].
pub struct PluckingBy<F, U> {
    fields: F,
    output: PhantomData<fn() -> U>,
}

impl<S, F, U> Adaptor<S> for PluckingBy<F, U>
where
    S: Stage,
    F: for<'a, 'b> Fn(&'b S::Item<'a>) -> U + Send + Sync + 'static,
    U: 'static,
{
    type Output<'a> = U;
    type State = ();

    const ITEMWISE: bool = true;

    #[inline]
    fn push<C: Consumer<Adapted<S, Self>>>(
        &self,
        (): &mut (),
        item: S::Item<'_>,
        _: Site<'_>,
        next: &mut C,
    ) -> Flow {
        next.push((self.fields)(&item))
    }
}
