//! The same for many hosts at once.

use anyhow::Result;

/// How many items are worked on at once: each is a handful of short programs on a host.
const WORKERS: usize = 8;

/// Applies `work` to all items on a few threads, and returns the answers in their order, or the first error.
pub(crate) fn in_parallel<I: Sync, T: Send>(
    items: &[I],
    work: impl Fn(&I) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let next = std::sync::atomic::AtomicUsize::new(0);
    let take = || next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let worker = || -> Result<Vec<(usize, T)>> {
        std::iter::from_fn(|| Some(take()).filter(|&i| i < items.len()))
            .map(|i| Ok((i, work(&items[i])?)))
            .collect()
    };
    let mut done = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS.min(items.len())).map(|_| scope.spawn(worker)).collect();
        let parts = workers.into_iter().map(join).collect::<Result<Vec<_>>>()?;
        anyhow::Ok(parts.into_iter().flatten().collect::<Vec<_>>())
    })?;
    done.sort_by_key(|(i, _)| *i);
    Ok(done.into_iter().map(|(_, answer)| answer).collect())
}

/// The thread's answer, or its panic.
pub(crate) fn join<T>(thread: std::thread::ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parallel_answers_keep_the_order_and_an_error_comes_through() {
        let items: Vec<usize> = (0..100).collect();
        assert_eq!(in_parallel(&items, |i| Ok(i * 2)).unwrap(), (0..200).step_by(2).collect::<Vec<_>>());
        let failing = in_parallel(&items, |&i| if i == 50 { anyhow::bail!("item 50") } else { Ok(()) });
        assert_eq!(failing.unwrap_err().to_string(), "item 50");
    }
}
