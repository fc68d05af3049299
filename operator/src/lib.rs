//! The operator: it gives Services of type LoadBalancer their addresses.
//!
//! A Service goes through four values, each of which only the step before can make:
//! `Service -> Request -> Assignment or Refusal -> Applied`.
//!
//! | module | step | needs a client |
//! |---|---|---|
//! | [`request`] | reads what a Service asks for | no |
//! | [`ledger`] | decides who has which address | no |

pub mod key;
pub mod ledger;
pub mod refusal;
pub mod request;
