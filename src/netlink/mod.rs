//! Rung 1: neli messages on the wire.
