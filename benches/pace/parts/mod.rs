//! What is measured, each part by itself.
//!
//! Must not know: how a figure is shown.

mod comes;
mod foreign;
mod loads;
mod nobody;
mod overhead;
mod steps;

pub(crate) use comes::comes;
pub(crate) use foreign::foreign;
pub(crate) use loads::loads;
pub(crate) use nobody::nobody;
pub(crate) use overhead::overhead;
pub(crate) use steps::steps;
