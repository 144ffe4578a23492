//! What charts say of gaps and edges.
