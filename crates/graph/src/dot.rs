//! Pictures of a program: DOT text, and SVG without any external program.

use std::fmt::Write as _;

use flagstone_common::{Error, Result};
use layout::backends::svg::SVGWriter;
use layout::gv::{DotParser, GraphBuilder};

use crate::program::Program;

/// Programs with more tasks are drawn by layer.
const TASKS_MAX: usize = 200;

impl Program {
    /// The program in DOT: a node per task with its key and rank, or, above 200 tasks, a node per
    /// layer with its number of tasks.
    pub fn to_dot(&self) -> String {
        let mut dot = String::from("digraph program {\n  rankdir=BT;\n  node [shape=box];\n");
        if self.task_count() <= TASKS_MAX {
            for task in self.tasks() {
                let output = if self.is_output(task) {
                    ", style=filled"
                } else {
                    ""
                };
                let label = format!("{} {task}", self.key(task)).replace('"', "'");
                let _ = writeln!(dot, "  t{} [label=\"{label}\"{output}];", task.0);
            }
            for task in self.tasks() {
                for dep in self.dependencies(task) {
                    let _ = writeln!(dot, "  t{} -> t{};", dep.0, task.0);
                }
            }
        } else {
            let mut counts = vec![0u64; self.layer_count()];
            self.tasks()
                .for_each(|task| counts[self.place(task).0] += 1);
            for (layer, count) in counts.iter().enumerate() {
                let label = format!("{} ({count} tasks)", self.layer_name(layer));
                let _ = writeln!(dot, "  l{layer} [label=\"{}\"];", label.replace('"', "'"));
            }
            for layer in 0..self.layer_count() {
                for input in self.layer_inputs(layer) {
                    let _ = writeln!(dot, "  l{input} -> l{layer};");
                }
            }
        }
        dot.push_str("}\n");
        dot
    }

    /// The layers and how they read each other, as SVG.
    ///
    /// # Errors
    /// Kind `Invalid` when the layout fails.
    pub fn to_svg(&self) -> Result<String> {
        let dot = self.to_dot();
        let parsed = DotParser::new(&dot)
            .process()
            .map_err(|error| Error::invalid(format!("the graph cannot be drawn: {error}")))?;
        let mut builder = GraphBuilder::new();
        builder.visit_graph(&parsed);
        let mut graph = builder.get();
        let mut svg = SVGWriter::new();
        graph.do_it(false, false, false, &mut svg);
        Ok(svg.finalize())
    }
}
