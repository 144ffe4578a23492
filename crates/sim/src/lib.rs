//! Virtual time, virtual clients and servers, and the checkers of the promises: not written yet.
