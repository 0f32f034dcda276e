//! Looking again and again until something is so, up to a limit.
//!
//! Must not know: what is waited for.

use std::thread;
use std::time::{Duration, Instant};

/// Starting and stopping take milliseconds; whoever needs longer than this is stuck.
pub(super) const LIMIT: Duration = Duration::from_secs(30);

/// Between two looks: a server is ready 10 to 20 ms after its start, so a longer pause would be most of the
/// wait.
const PAUSE: Duration = Duration::from_millis(3);

/// Calls `look` until it finds something or the limit has passed; none then.
pub(super) fn until<T, E>(
    limit: Duration,
    mut look: impl FnMut() -> Result<Option<T>, E>,
) -> Result<Option<T>, E> {
    let started = Instant::now();
    loop {
        if let Some(found) = look()? {
            return Ok(Some(found));
        }
        if started.elapsed() >= limit {
            return Ok(None);
        }
        thread::sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_that_finds_nothing_ends_at_the_limit() {
        let found = until(Duration::ZERO, || Ok::<Option<()>, ()>(None));
        assert_eq!(found, Ok(None));
    }

    #[test]
    fn it_looks_until_there_is_something() {
        let mut looks = 0;
        let found = until(LIMIT, || {
            looks += 1;
            Ok::<_, ()>((looks == 3).then_some(looks))
        });
        assert_eq!(found, Ok(Some(3)));
    }
}
