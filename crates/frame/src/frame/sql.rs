//! Frames that SQL describes.

use std::panic::Location;
use std::sync::Arc;

use super::DataFrame;
use crate::plan::stack::planned;
use crate::plan::{Node, Operation, Query, query};
use crate::source::detect::InputFormat;

impl DataFrame {
    /// The rows of a SQL query. Its tables are frames that are given names here, and files, named in
    /// quotes: `FROM 'events/*.parquet'` (Parquet, CSV, TSV or JSON lines by the ending, compressed or
    /// not). Columns are called as they are written in the data, in upper or lower case; of two result
    /// columns with one name the second is called `name_2`. Rows of a query with windows that asks for no
    /// order come in that of a [`Window`](crate::Window).
    ///
    /// ```
    /// use flagstone_frame::DataFrame;
    /// # use flagstone_graph::SerialExecutor;
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
    /// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
    /// // a: 1, 2, 3; b: "xa", "xa", "y"
    /// let text = "SELECT b, sum(a) AS total FROM t GROUP BY b ORDER BY total DESC LIMIT 1";
    /// let rows = DataFrame::sql(text, [("t", &frame)]).compute_with(&SerialExecutor)?;
    /// assert_eq!((rows.num_rows(), rows.num_columns()), (1, 2));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn sql<'a>(
        text: impl Into<String>,
        tables: impl IntoIterator<Item = (&'a str, &'a DataFrame)>,
    ) -> Self {
        let (text, location) = (text.into(), Location::caller());
        let given: Vec<(&str, &DataFrame)> = tables.into_iter().collect();
        // what is wrong with the text is told where it is planned
        let wanted = planned(|| query::tables(&text)).unwrap_or_default();
        let (mut nodes, mut names) = (Vec::new(), Vec::new());
        for name in wanted {
            let table = given.iter().find(|(known, _)| *known == name);
            let node = match table {
                Some((_, frame)) => Some(Arc::clone(&frame.node)),
                None => file(&name, location),
            };
            if let Some(node) = node {
                nodes.push(node);
                names.push(name);
            }
        }
        // and those that are not read are said to be there where one is missing
        if names.is_empty() {
            for (name, frame) in given {
                nodes.push(Arc::clone(&frame.node));
                names.push(name.to_owned());
            }
        }
        let query = Query { text, names };
        let operation = Operation::Sql(nodes, query);
        DataFrame {
            node: Arc::new(Node {
                operation,
                location,
            }),
        }
    }
}

/// The files that a table's name means, if it is one of files.
fn file(name: &str, location: &'static Location<'static>) -> Option<Arc<Node>> {
    let frame = DataFrame::read(name, InputFormat::of_name(name)?);
    let node = Arc::into_inner(frame.node)?;
    let operation = node.operation;
    Some(Arc::new(Node {
        operation,
        location,
    }))
}
