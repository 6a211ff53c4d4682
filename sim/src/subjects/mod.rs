//! The subjects of a test: the machine, the server's own driver around it, the historic connection managers, and
//! machines with a defect put in.

pub mod canary;
pub mod cluster;
#[cfg(feature = "driver")]
pub mod hosted;
pub mod naive;
pub mod recorded;
pub mod reread;
pub mod seeded;
pub mod subject;
