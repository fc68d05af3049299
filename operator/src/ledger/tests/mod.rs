mod cases;
mod changes;
mod holding;
mod model;
mod oracle;
mod properties;
pub(crate) mod script;
mod sharing;
