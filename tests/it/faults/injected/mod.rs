//! Faults on purpose, and what must hold after each.

mod every_await;
mod every_message;
mod everywhere;
mod expected;
mod lost_answer;
mod proxy;
mod schedule;
mod test_bed;
mod work;
