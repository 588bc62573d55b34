//! Fields of dynamic JSON, by path.

use std::sync::Arc;

use flagstone_graph::Error;
use serde_json::Value;

use crate::bag::{Bag, Mistake};
use crate::json::Json;
use crate::ops::each::With;
use crate::run::Run;
use crate::stage::{Consumer, Flow, Source, Stage, Step, Stop};

/// See [`Bag::pluck`].
pub struct Pluck<S> {
    source: Arc<S>,
    path: Vec<String>,
    default: Option<Value>,
    step: Step,
}

impl<S> Bag<S>
where
    S: for<'a> Stage<Item<'a> = Json>,
{
    /// The field that a path names: `pluck("actor.login")`; numbers are places in an array. A
    /// record without it is an error; see [`Bag::pluck_or`].
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
        let mistake = path.split('.').any(str::is_empty).then(|| {
            Mistake::new(format!(
                "the path {path:?} has an empty part; write for example a.b"
            ))
        });
        let path = path.split('.').map(str::to_owned).collect();
        let plucked = self.then(
            |source, step| Pluck {
                source,
                path,
                default,
                step,
            },
            "pluck",
        );
        plucked.mistaken(mistake)
    }
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
        let mut value = item.0;
        for part in &self.stage.path {
            // moves the field out; the rest of the record is dropped
            let found = match &mut value {
                Value::Object(fields) => fields.get_mut(part),
                Value::Array(items) => part.parse().ok().and_then(|i: usize| items.get_mut(i)),
                _ => None,
            };
            value = match (found, &self.stage.default) {
                (Some(found), _) => found.take(),
                (None, Some(default)) => {
                    value = default.clone();
                    break;
                }
                (None, None) => {
                    let path = self.stage.path.join(".");
                    let place = self.run.place();
                    let message =
                        format!("{place} has no field {path:?}; use pluck_or for a default");
                    let at = self.stage.step.location;
                    return Err(Stop::Failed(Error::failed(message).with_location(at)));
                }
            };
        }
        self.next.push(Json(value))
    }

    fn finish(&mut self) -> Flow {
        self.next.finish()
    }
}
