//! Rung 4: faces. A face parses its input into the engine's types, calls the engine, and prints what it answers.

pub mod cli;
