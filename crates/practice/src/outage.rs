//! The lab: one outage, one way of connecting, and what became of the users.
//!
//! A scenario has a steady-state hypothesis, a method and the repair that people
//! made in the report, as an experiment of Chaos Toolkit has its hypothesis, method and
//! rollbacks. A person's time is compressed, a machine's is not.
//!
//! ```
//! use practice::outage::{Course, Column, Facts, Scenario};
//! let text = r#"
//!     title = "A page whose pool is cut"
//!     fault = "application"
//!     [database]
//!     [[service]]
//!     name = "web"
//!     files = "app"
//!     command = ["serve"]
//!     ready = "/health"
//!     [load]
//!     users = 100
//!     rate = 20.0
//!     [[load.request]]
//!     name = "page"
//!     path = "/page/{user}"
//!     [[method]]
//!     at = "20s"
//!     restart = "web"
//! "#;
//! let scenario = Scenario::parse(text).unwrap();
//! let mut course = Course::new(&scenario, &Column::Own);
//! let calm = Facts { now_s: 19.9, ..Facts::default() };
//! assert!(course.due(&calm).is_none());
//! let then = Facts { now_s: 20.0, ..calm };
//! assert_eq!(course.due(&then).unwrap().does, "restart web");
//! assert!(course.due(&then).is_none());
//! ```

mod scenario;
mod written;

mod course;
mod crowd;

mod figures;
mod row;

mod chart;
mod table;

pub use chart::chart;
pub use course::{Course, Due, Facts};
pub use crowd::{Attempt, Crowd};
pub use figures::{Figures, Sample, Second};
pub use row::{Done, Row, Said, Word};
pub use scenario::{
    Action, Column, Database, FILE_MAX, Fault, Gate, Load, Person, Place, Request, Scenario,
    ScenarioError, Service, Steady, Step,
};
pub use table::{Gated, Sheet, markdown, text};
