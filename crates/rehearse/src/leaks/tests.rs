//! Stories of programs, and what is said of them.
