mod cases;
mod changes;
mod model;
pub(crate) mod script;
