//! The operator: it gives Services of type LoadBalancer their addresses.
//!
//! A Service goes through four values, each of which only the step before can make:
//! `Service -> Request -> Assignment or Refusal -> Applied`.
//!
//! | module | step | needs a client |
//! |---|---|---|
//! | [`request`] | reads what a Service asks for | no |
//! | [`standing`] | decides which pools are Ready | no |
//! | [`ledger`] | decides who has which address | no |
//! | [`announced`] | says whether the addresses can be announced | no |
//! | [`verdict`] | compares the decision with what the Service says, and drafts the write | no |
//! | [`engine`] | keeps all Services, and says which write comes next | no |
//! | [`object_status`] | says what pools and advertisements show of themselves | no |
//! | [`controller`] | feeds the engine from watches and makes its writes | yes |
//! | [`leader`] | lets one operator of several run its controller | yes |

pub mod announced;
pub mod args;
pub mod controller;
pub mod engine;
pub mod key;
pub mod leader;
pub mod ledger;
pub mod metrics;
pub mod notice;
pub mod object_status;
pub mod refusal;
pub mod request;
pub mod standing;
pub mod verdict;
