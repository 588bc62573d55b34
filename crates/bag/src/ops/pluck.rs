//! Fields of dynamic JSON, by path.

use std::any::Any;
use std::panic::Location;
use std::sync::Arc;

use serde_json::Value;

use crate::bag::{Bag, Mistake};
use crate::field::Field;
use crate::json::Json;
use crate::source::json::{Dynamic, ReadJson};
use crate::stage::{Consumer, Flow, Source, Stage, Step};
use crate::then::{At, Then, Work};

/// The stage of [`Bag::pluck`].
pub type Pluck<S> = Then<S, Plucking>;

/// See [`Bag::pluck`].
pub struct Plucking {
    field: Field,
    /// The source gives the field already, and this stage passes it on.
    pushed: bool,
}

impl<S> Bag<S>
where
    S: for<'a> Stage<Item<'a> = Json>,
{
    /// The field that a path names: `pluck("actor.login")`; numbers are places in an array. A
    /// record without it is an error; see [`Bag::pluck_or`].
    ///
    /// Directly on [`Bag::read_json_values`], nothing but the field is built by the parser.
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
    pub fn pluck(&self, path: &str) -> Bag<Pluck<S>> {
        self.plucked(path, None)
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
    pub fn pluck_or(&self, path: &str, default: impl Into<Value>) -> Bag<Pluck<S>> {
        self.plucked(path, Some(default.into()))
    }

    #[track_caller]
    fn plucked(&self, path: &str, default: Option<Value>) -> Bag<Pluck<S>> {
        let location = Location::caller();
        let mistake = path.split('.').any(str::is_empty).then(|| {
            let message = format!("the path {path:?} has an empty part; write for example a.b");
            Mistake::at(location, message)
        });
        let field = Field::new(path, default, location);
        let source = push_down(self.stage(), &field);
        let pushed = source.is_some();
        let source = source.unwrap_or_else(|| Arc::clone(self.stage()));
        let step = Step {
            name: "pluck",
            location,
        };
        let work = Plucking { field, pushed };
        let plucked = self.with_stage(Then { source, work, step });
        plucked.mistaken(mistake)
    }
}

/// The same stage with a parser that reads only this field, if it is one that can.
fn push_down<S: Stage>(stage: &Arc<S>, field: &Field) -> Option<Arc<S>> {
    type Values = Source<ReadJson<Json, Dynamic>>;
    let any: &dyn Any = &**stage;
    let pushed: Arc<dyn Any + Send + Sync> = if let Some(source) = any.downcast_ref::<Values>() {
        Arc::new(Source(Arc::new(source.0.reading(field)?)))
    } else if let Some(outer) = any.downcast_ref::<Pluck<Values>>() {
        // a field of a field: one longer path
        let Plucking { field: first, .. } = &outer.work;
        let field = outer.work.pushed.then(|| first.then(field)).flatten()?;
        let source = Arc::new(Source(Arc::new(outer.source.0.whole().reading(&field)?)));
        let pushed = true;
        Arc::new(Then {
            source,
            work: Plucking { field, pushed },
            step: outer.step,
        })
    } else {
        return None;
    };
    pushed.downcast::<S>().ok()
}

impl<S> Work<S> for Plucking
where
    S: for<'a> Stage<Item<'a> = Json>,
{
    type Output<'a> = Json;
    type State = ();

    const ITEMWISE: bool = true;

    fn push<C: Consumer<Then<S, Self>>>(
        &self,
        (): &mut (),
        item: Json,
        at: At<'_>,
        next: &mut C,
    ) -> Flow {
        if self.pushed {
            return next.push(item);
        }
        let field = &self.field;
        next.push(field.or_default(field.of(item.0), at.run)?)
    }
}
