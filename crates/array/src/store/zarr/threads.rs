//! The Zarr library without threads of its own.
//!
//! Whenever it makes options for its codecs it asks Rayon how many threads there are, and Rayon starts one
//! for every processor to answer: threads that nobody uses here, as chunks are tasks of the session's
//! workers, and a panic where they cannot be started. So it is asked inside of a pool of one.

use std::sync::{Arc, Mutex, PoisonError};

use rayon::{ThreadPool, ThreadPoolBuilder};

static POOL: Mutex<Option<Arc<ThreadPool>>> = Mutex::new(None);

/// Calls what makes options of the library.
///
/// # Errors
/// When the one thread cannot be started. It is tried again the next time.
pub(super) fn alone<T: Send>(make: impl FnOnce() -> T + Send) -> Result<T, String> {
    let pool = {
        let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
        match &*pool {
            Some(pool) => Arc::clone(pool),
            None => {
                let one = ThreadPoolBuilder::new().num_threads(1);
                let one = one.thread_name(|_| "flagstone-zarr".to_owned()).build();
                let one =
                    one.map_err(|e| format!("a thread to read it on cannot be started: {e}"))?;
                Arc::clone(pool.insert(Arc::new(one)))
            }
        }
    };
    Ok(pool.install(make))
}
