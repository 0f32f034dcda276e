//! Faults on purpose, and what must hold after each.

mod course;
mod every_await;
mod every_message;
mod everywhere;
mod expected;
mod lane;
mod lost_answer;
mod proxy;
mod work;
