//! What each command does.

pub(crate) mod budget;
pub(crate) mod catalog;
pub(crate) mod check;
pub(crate) mod docs;
pub(crate) mod explain;
pub(crate) mod fit;
pub(crate) mod fmt;
pub(crate) mod import;
pub(crate) mod levers;
pub(crate) mod search;
#[cfg_attr(not(feature = "validate"), path = "unable.rs")]
pub(crate) mod validate;
pub(crate) mod verify;
