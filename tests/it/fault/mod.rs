//! Faults on purpose, and what must hold after each.

mod every_message;
mod lost_answer;
mod proxy;
