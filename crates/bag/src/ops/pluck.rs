//! Fields of dynamic JSON, by path.

use std::any::Any;
use std::panic::Location;
use std::sync::Arc;

use serde_json::Value;

use crate::bag::{Bag, Mistake};
use crate::field::Field;
use crate::json::Json;
use crate::ops::each::With;
use crate::run::Run;
use crate::source::json::{Dynamic, ReadJson};
use crate::stage::{Consumer, Flow, Source, Stage, Step};

/// See [`Bag::pluck`].
pub struct Pluck<S> {
    source: Arc<S>,
    field: Field,
    /// The source gives the field already, and this stage passes it on.
    pushed: bool,
    step: Step,
}

impl<S> Bag<S>
where
    S: for<'a> Stage<Item<'a> = Json>,
{
    /// The field that a path names: `pluck("actor.login")`; numbers are places in an array. A
    /// record without it is an error; see [`Bag::pluck_or`].
    ///
    /// Directly on [`Bag::read_json_values`], nothing but the field is built by the parser.
    #[track_caller]
    pub fn pluck(&self, path: &str) -> Bag<Pluck<S>> {
        self.plucked(path, None)
    }

    /// The field that a path names, or a default where a record has no such field.
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
        let plucked = self.then(
            |source, step| match push_down(&source, &field) {
                Some(source) => Pluck {
                    source,
                    field,
                    pushed: true,
                    step,
                },
                None => Pluck {
                    source,
                    field,
                    pushed: false,
                    step,
                },
            },
            "pluck",
        );
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
        let field = outer.pushed.then(|| outer.field.then(field)).flatten()?;
        let source = Arc::new(Source(Arc::new(outer.source.0.whole().reading(&field)?)));
        Arc::new(Pluck {
            source,
            field,
            pushed: true,
            step: outer.step,
        })
    } else {
        return None;
    };
    pushed.downcast::<S>().ok()
}

impl<S> Stage for Pluck<S>
where
    S: for<'a> Stage<Item<'a> = Json>,
{
    type Item<'a> = Json;
    type Root = S::Root;

    fn root(&self) -> &Arc<S::Root> {
        self.source.root()
    }

    fn consumer<'s, C: Consumer<Self> + 's>(
        &'s self,
        run: &'s Run<'s>,
        next: C,
    ) -> impl Consumer<Source<S::Root>> + 's {
        self.source.consumer(
            run,
            With {
                stage: self,
                run,
                next,
            },
        )
    }

    fn steps(&self, steps: &mut Vec<Step>) {
        self.source.steps(steps);
        steps.push(self.step);
    }
}

impl<S, C> Consumer<S> for With<'_, Pluck<S>, C>
where
    S: for<'a> Stage<Item<'a> = Json>,
    C: Consumer<Pluck<S>>,
{
    fn push(&mut self, item: Json) -> Flow {
        if self.stage.pushed {
            return self.next.push(item);
        }
        let field = &self.stage.field;
        self.next
            .push(field.or_default(field.of(item.0), self.run)?)
    }

    fn finish(&mut self) -> Flow {
        self.next.finish()
    }
}
