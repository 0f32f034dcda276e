//! Everything that needs a real server or the real binary, in one test binary with one shared server: a
//! folder for each subject, and on top what all of them stand on, the rules of the house, and the engines
//! that are broken on purpose.

mod connect;
mod documents;
mod faults;
mod guard;
mod harness;
mod house;
mod mutants;
mod operate;
mod plan;
mod refuse;
mod run;
mod sandbox;
mod sql;
mod steps;
mod support;
mod undo;
mod verify;
