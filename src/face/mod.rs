//! Rung 4: faces.
